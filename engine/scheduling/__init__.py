"""When drops happen: campaign files, and the acts that put, change and close waves.

`files` turns a campaign file into a `Campaign` or into everything that is wrong with it; below it,
`reading` keeps the lines of YAML, `places` asks what the format asks, `rules`, `offers`, `waves` and
`repeats` each read their part, `drops` writes repeats out, `checks` holds the parts against each other.
Called by commands and by whoever wires roles together. Never talks to a user, and never decides a claim.
"""
