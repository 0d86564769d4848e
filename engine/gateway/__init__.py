"""The HTTP face: who asks (callers, identity), what is asked (bodies), what became of it (answers, problems).

`claims`, `ticketing`, `status_pages` and `own_claims` turn plain values (a heading, an id, a body) into an
`Answer` and know nothing of aiohttp; `app` and `server` put them on a socket. `wiring` builds a gateway
from `GatewayParts`, the command line mints tokens and tickets here. Nothing here decides a claim,
speaks to Redis or Postgres, or is imported by another feature.
"""
