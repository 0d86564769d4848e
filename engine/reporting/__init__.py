"""Reports: what a wave gave out, to whom in numbers, how fast, and what was done to it; what vouchers came to in shops.

`wave_report` makes a `WaveReport` of the ledger's books and of what the hot store says at the same time;
`stock` follows an offer's units through the acts; `sight` looks at the hot store, which may be away, being
recovered, or rid of the campaign by now. `statement` sums up redemptions and reversals by merchant, store and day.
Called by the command line, by operators' endpoints and, for statements, by merchants'. Nothing in here decides, changes
or waits for anything, and no account, person or code is ever read into it.
"""
