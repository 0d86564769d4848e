"""Redemption: what a till asks for, gathered into batches and decided with the ledger.

`shops` is what the gateway speaks to. `desk` takes what tills ask for to the ledger, in batches that `line` gathers;
`steps` turns one request and what the books say into a step or a refusal; `arrivals` tells whether the ledger is behind
a claim of a moment ago. `quoting` tells what a redemption of each of a user's vouchers would be answered with, and
changes nothing; `taking_back` is what operators do with a voucher. The domain decides (`domain/redemption.py`), one
statement of the ledger takes the step. It never decides a claim, and it knows nothing of HTTP.
"""
