"""The HTTP face: who asks (callers, identity), what is asked (bodies), what became of it (answers, problems).

`claims`, `ticketing`, `status_pages` and `own_claims` turn plain values (a heading, an id, a body) into an
`Answer` and know nothing of aiohttp; so do `redemptions`, `locks`, `reversals`, `quotes` and `statements` for tills,
and `ops_acts` and its kin for operators. `app` and `server` put them on a socket, `lane` answers the crowd's plain
requests in front of it, `connection` and `connections` keep clients to their time. `wiring` builds a gateway
from `GatewayParts`, the command line mints tokens and tickets here. Nothing here decides a claim,
speaks to Redis or Postgres, or is imported by another feature.
"""
