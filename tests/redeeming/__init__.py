"""Vouchers in shops, below HTTP: desks on a real Postgres whose clock stands where a test puts it."""
