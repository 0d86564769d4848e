"""The rehearsal: a whole drop against simulated users, ending in a verdict.

A plan says who comes and what each of them does, all of it drawn from one seed; a client of its own sends
their requests over real HTTP; a record keeps every answer; the judge holds the record against ledger, log
and hot store. Called by the command line alone. It decides nothing, and it uses no other way in than a user
has, except to look: it reads both stores to judge and to draw its picture.
"""
