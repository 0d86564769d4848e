"""From the log to the ledger, and back into the hot store.

`writer` is the service that settles every campaign's log, batch by batch, while it leads; `settler` makes
one batch of log entries one transaction of the ledger; `trimming` remembers how long ago the cursor was
where; `recovery` brings a shard back into the hot store from the ledger; `expiry` writes down which vouchers have
expired. Wiring builds the writer, the
steward is handed the recovery. Nothing here decides a claim or answers a user.
"""
