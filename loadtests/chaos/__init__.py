"""A drop while everything breaks, and a verdict.

`servers` starts Redis, Postgres and six roles as processes of their own, with a proxy on each line between any two of
them; `faults` does the damage; `workload` makes users from a seed, `crowd` lets them claim, `book` keeps every answer
with its time. The `auditor` judges the book against the ledger. It knows the promises and nothing of how the engine
keeps them: of the program only `servers` imports anything, to start it.
"""
