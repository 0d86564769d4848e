"""Simulated users for locust, and a verdict on what they were told.

`plan` says how a crowd behaves; `user`, `visit` and `phone` are one of it, `accounts` who it is; `shopping` is what a
winner does in shops, `tills` who they are there. `book` keeps what each user was told, `receipts` what tills were told,
and both see what contradicts itself; `tally` joins the books of all workers, `verdict` holds them against what
operators see, their `statement` and the audit. `load` and `umpire` tie them to locust's events, `stage` puts a wave to
claim in, `operator` asks the operators' API. What is known of the engine is known over HTTP.
"""
