"""What the product means, with no I/O: campaigns, outcomes, vouchers, codes, tickets.

Everybody may import from here. Nothing here opens a file or a socket, reads a clock, or draws a
random number that the caller did not hand in: time and randomness are parameters.
"""
