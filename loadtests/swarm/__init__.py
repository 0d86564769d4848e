"""Simulated users for locust, and a verdict on what they were told.

`plan` says how a crowd behaves; `user`, `visit` and `phone` are one of it, `accounts` who it is. `book` keeps what each
was told and sees what contradicts itself, `tally` joins the books of all workers, `verdict` holds them against what
operators see and against the audit. `load` and `umpire` tie them to locust's events, `stage` puts a wave to claim in,
`operator` asks the operators' API. What is known of the engine is known over HTTP.
"""
