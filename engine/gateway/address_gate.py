"""Asked before anything else, where addresses are counted at all: whether too much comes from this one.

Probes of a load balancer and of Prometheus are never refused. Operators' requests are counted like all others; the
button that stops everything is there without HTTP too (`dropwave stop-all`).
"""

from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from engine.gateway.forwarded import Forwarded
from engine.gateway.rates import Rates
from engine.gateway.refusals import refuse
from engine.gateway.requests import heading_of, response_of
from engine.gateway.sending import Sender
from engine.settings import Settings

PROBES: Final = frozenset({"/healthz", "/readyz", "/metrics"})


def address_gates(settings: Settings, rates: Rates, sender: Sender) -> list[Middleware]:
    """The one middleware, or none. Raises SettingsError where the proxies are not given as addresses."""
    forwarded = Forwarded(settings.trusted_proxies, settings.forwarded_header)
    if not rates.counts_addresses:
        return []

    @web.middleware
    async def gate(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path in PROBES:
            return await handler(request)
        heading = heading_of(request)
        client = forwarded.client(heading.address, request.headers.getall(forwarded.header, ()))
        problem = rates.address(client)
        if problem is None:
            return await handler(request)
        return response_of(sender.complete("connection", heading, refuse(problem, heading.accept_language)))

    return [gate]
