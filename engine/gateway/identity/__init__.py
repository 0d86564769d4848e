"""Who a bearer token speaks for, and by whose word.

Here live the keys that may sign tokens (from secrets, a PEM file or a JWKS file that is read again when it
changes), the strict reading and checking of a token, the memory of those that were found good, and the making
of tokens for trials. `callers` asks a `TokenReader`; nothing in here knows of HTTP, waves or tickets.
"""
