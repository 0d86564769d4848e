"""Malformed requests by the million, made from a seed, and a judge of what a gateway makes of them.

`kinds` lists the generators; each makes a `Case` out of a number and the seed, so that any one can be made again.
`reading` is a second, strict reader of HTTP, which says what a case holds; `talks` sends it and `judge` holds the
answers against that. `stage` starts an installation, or visits one. Nothing of the gateway's own reading is used.
"""
