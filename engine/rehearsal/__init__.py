"""The rehearsal: a whole drop against simulated users, ending in a verdict.

A plan says who comes and what each of them does, all of it drawn from one seed; a client of its own sends
their requests over real HTTP; a record keeps every answer; the judge holds the record against what was kept. On
servers of its own it reads both stores to judge and to draw its picture; in a running installation it sees what
operators see, and works on a sandbox copy (`visit`). Called by the command line alone. It decides nothing, and
it claims in no other way than a user does.
"""
