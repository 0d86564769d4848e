"""Postgres: what is remembered.

`database` holds the connection pool and says what a failed statement means, `migrate` brings a
database to this program's schema, `queries` reads the SQL of `queries/*.sql`. Then a module a noun:
`campaigns` (apply) and `catalogues` (read back); what an apply would do, pure: `plans`, `changes`, `refusals`,
`standings`, `wording`; `trail` with `trail_subjects` and `differences`; `cursors`, `settlement`, `claims`, `acts`,
`leases`, `epochs` for recovery, `checks` and `audit_queries` with what the audit judges by. The only
folder that imports `asyncpg`. Any feature may call it. It never imports the hot store, decides no claim,
and keeps no state between two statements but the pool.
"""
