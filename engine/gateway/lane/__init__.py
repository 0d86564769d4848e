"""The claim lane: the crowd's requests, answered on their connection without the way through aiohttp.

At 20:00:00 a gateway sees one kind of request a hundred thousand times. `plain` recognises it with certainty, byte for
byte within one packet; `round` keeps it until all sockets are read that have something; `lane` answers it by the same
steps as everywhere else; `connection` gives whatever is not recognised to aiohttp's protocol on the same connection,
as it came, and asks the lane again when that has answered. So the lane decides nothing about HTTP that could be decided
otherwise (docs/decisions/0017-the-claim-lane.md).
"""
