"""Asking for a claim and getting its answer: the desk, the board, and what a caller holds.

A desk gathers the claims of one shard and sends them to the script in batches, a few of which are under way at a
time; where `ack` is `settled`, `settled` waits for the ledger behind it. The board knows what is
on offer and is never asked whether a claim is granted; holdings tell a caller what is theirs; the
archive answers for campaigns that have left the hot store. Called by the gateway; decides nothing itself.
"""
