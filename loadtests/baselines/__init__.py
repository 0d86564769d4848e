"""What the engine is measured against: a hand-tuned nginx with Lua, and FastAPI with redis-py.

Both make one EVALSHA of `claim.lua` a request and check no login: the least that a gateway of this kind has to do,
written as fast as it goes. Each is started by a module here, with a Redis of the engine's own configuration;
`scripts/bench` calls them. Nothing here imports the engine's rooms beyond `embedded`, and the engine imports nothing
of this.
"""
