"""Redis: what decides.

`keys` spells keys, `records` the text formats that scripts and Python share, `scripts` loads and
calls the Lua files, `wire` is one connection, `connections` hands them out, `store` calls and knows what a failed call
means, `promises` knows what the server has to be set to and `watch` looks whether it is, `decide` lets a batch of
claims or an act be decided, `log` reads the stream of decisions, `view` reads what gateways show, `load` fills and
binds a shard, `forget` takes out what was voided.
The only folder that imports `redis`. It never imports the ledger and never decides in Python what a
script has to decide.
"""
