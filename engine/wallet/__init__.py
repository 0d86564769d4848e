"""The card pack: what a user holds, each voucher with its state, its terms and what to do next.

It joins what somebody claimed (handed in: the hot store knows it from its first moment, the ledger remembers it) with
what has become of it in shops. It changes nothing but what its holder deletes, and never decides a claim or
a redemption.
"""
