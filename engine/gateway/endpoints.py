"""What answers requests, free of any HTTP library; made once for all that parses them."""

from engine.gateway.callers import Doorkeeper
from engine.gateway.cards import CardsEndpoint
from engine.gateway.claims import ClaimEndpoint
from engine.gateway.own_claims import OwnEndpoint
from engine.gateway.parts import GatewayParts
from engine.gateway.printing import ClaimPrinter
from engine.gateway.rates import Rates
from engine.gateway.status_pages import StatusPages
from engine.gateway.ticketing import TicketEndpoint
from engine.gateway.tills import Tills


class Endpoints:
    """Those of users, and of tills."""

    def __init__(self, parts: GatewayParts, rates: Rates) -> None:
        printer = ClaimPrinter(parts.board)
        self.doorkeeper = Doorkeeper(parts.tokens, parts.tickets, rates)
        self.claims = ClaimEndpoint(parts, self.doorkeeper, printer)
        self.tickets = TicketEndpoint(parts, self.doorkeeper)
        self.own = OwnEndpoint(parts, self.doorkeeper, printer)
        self.cards = CardsEndpoint(parts, self.doorkeeper)
        self.pages = StatusPages(parts.board)
        self.tills = Tills(parts, self.doorkeeper)
