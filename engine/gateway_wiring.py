"""What a gateway is made of, built and connected: the part of wiring that needs a web server's modules."""

from collections.abc import Mapping
from functools import partial

from engine.audit.audit import audit
from engine.claiming.archive import Archive
from engine.claiming.board import Board
from engine.claiming.clock import StoreClock
from engine.claiming.desks import Desks
from engine.claiming.figures import BoardFigures
from engine.claiming.holdings import Holdings
from engine.claiming.live_campaigns import LiveCampaigns
from engine.claiming.settled import SettledWatch
from engine.domain.campaign import Campaign
from engine.domain.tickets import TicketBook
from engine.gateway.garbage import Garbage
from engine.gateway.identity.upkeep import TokenUpkeep
from engine.gateway.keyring import Keyring
from engine.gateway.parts import GatewayParts, OpsPart
from engine.gateway.server import Gateway
from engine.hotstore.watch import PromiseWatch
from engine.ledger.campaigns import Applied, all_catalogues, apply_campaign, plan_campaign
from engine.ledger.claims import settled_codes
from engine.ledger.cursors import all_cursors
from engine.ledger.promise_book import PromiseBook
from engine.ledger.watch import LedgerWatch
from engine.redeeming.arrivals import Arrivals
from engine.redeeming.desk import RedemptionDesk
from engine.redeeming.quoting import Quoting
from engine.redeeming.shops import Shops
from engine.redeeming.taking_back import TakingBack
from engine.reporting.statement import late_ms, statement_on
from engine.reporting.wave_report import report_on
from engine.scheduling.operations import Operations
from engine.scheduling.performing import Actor
from engine.service import Service
from engine.settings import Settings
from engine.wallet.card_pack import CardPack
from engine.wiring import Stores


def gateway_services(stores: Stores, settings: Settings) -> list[Service]:
    """Board, desks and the HTTP server, in the order in which they start."""
    clock = StoreClock()
    archive = Archive(stores.ledger, settings)
    board = Board(stores.hot_store, clock, archive, settings)
    board.watchers.append(BoardFigures(board).see)

    async def places() -> Mapping[str, tuple[int, int]]:
        return {cursor.campaign: cursor.place for cursor in await all_cursors(stores.ledger)}

    find_claims = partial(settled_codes, stores.ledger)
    settled_watch = SettledWatch(places, find_claims, settings) if settings.ack == "settled" else None
    promise_watch, ledger_watch = PromiseWatch(stores.hot_store), LedgerWatch(stores.ledger, settings)

    def keeps_promise() -> bool:
        return promise_watch.kept and ledger_watch.keeps_promise

    desks = Desks(stores.hot_store, board, clock, archive, settled_watch, settings, keeps_promise)
    keyring = Keyring.of(settings)
    tokens = TokenUpkeep(keyring.token_keys, settings)
    holdings = Holdings(stores.hot_store, stores.ledger, board)
    book = PromiseBook(stores.ledger)
    redemption_desk = RedemptionDesk(stores.ledger, book, settings)
    arrivals = Arrivals(stores.hot_store, stores.ledger, settings)
    parts = GatewayParts(
        settings=settings,
        desks=desks,
        board=board,
        holdings=holdings,
        card_pack=CardPack(holdings.newest, arrivals.wait, stores.ledger, book),
        shops=Shops(stores.ledger, book, redemption_desk, arrivals),
        quoting=Quoting(
            stores.ledger, stores.hot_store, book, arrivals, LiveCampaigns(stores.hot_store, board).of_merchant
        ),
        tickets=TicketBook(keyring.ticket_keys),
        tokens=tokens.reader,
        ops=ops_part(stores, settings, TakingBack(stores.ledger, book, arrivals)),
        can_acknowledge=lambda: keeps_promise() and (settings.ack != "settled" or ledger_watch.ready),
    )
    # The desks hear from the board's first reading; the server comes behind all of them and goes before them.
    return [desks, redemption_desk, board, tokens, promise_watch, ledger_watch, Gateway(parts), Garbage()]


def ops_part(stores: Stores, settings: Settings, taking_back: TakingBack) -> OpsPart:
    """What operators reach through a gateway."""
    ledger = stores.ledger
    unload_after_ms = settings.unload_after_ms

    async def apply(campaign: Campaign, actor: Actor, revision: int | None) -> Applied:
        return await apply_campaign(ledger, campaign, actor.name, reason=actor.reason, expected_revision=revision)

    return OpsPart(
        operations=Operations(stores.hot_store),
        catalogues=lambda: all_catalogues(ledger),
        plan=lambda campaign: plan_campaign(ledger, campaign),
        apply=apply,
        audit=lambda campaign, wave: audit(ledger, stores.hot_store, campaign, wave),
        statement=lambda wanted: statement_on(ledger, wanted, late_ms(settings)),
        report=lambda wave: report_on(ledger, stores.hot_store, wave, unload_after_ms=unload_after_ms),
        taking_back=taking_back,
    )
