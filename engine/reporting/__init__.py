"""Reports: what a wave gave out, to whom in numbers, how fast, and what was done to it.

`wave_report` makes a `WaveReport` of the ledger's books and of what the hot store says at the same time;
`stock` follows an offer's units through the acts; `sight` looks at the hot store, which may be away, being
recovered, or rid of the campaign by now. Called by the command line and by operators' endpoint. Nothing in
here decides, changes or waits for anything, and no account, person or code is ever read into it.
"""
