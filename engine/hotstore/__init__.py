"""Redis: what decides.

`keys` spells keys, `records` the text formats that scripts and Python share, `scripts` loads and
calls the Lua files, `store` opens connections and knows what the server promises, `log` reads the
stream of decisions, `view` reads what gateways show, `load` fills and binds a shard.
The only folder that imports `redis`. It never imports the ledger and never decides in Python what a
script has to decide.
"""
