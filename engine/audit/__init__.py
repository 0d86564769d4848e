"""The audit: whether the promises P1 to P7 were kept, from the stores themselves.

`audit` reads the ledger, the log and the holders of one campaign, holds them against each other and
against the acts, and ends in a `Verdict`. It changes nothing and may run beside a live drop. Called by
the command line and by operators' tools; it asks no gateway and trusts no counter that it can count itself.
"""
