"""Tickets over HTTP, and what `remaining` counts."""

import asyncio
import json
from datetime import date, datetime, timedelta

import pytest
from msgspec.structs import replace

from engine.claiming.board import LiveWave
from engine.domain.campaign import Catalogue, CatalogueWave, Limit
from engine.domain.outcome import Claim
from engine.domain.tickets import Ticket, TicketBook
from engine.errors import HotStoreUnavailable
from engine.gateway.callers import Asker
from engine.gateway.ticketing import TicketPrinter, remaining
from engine.hotstore.scripts import OtherEpoch
from engine.hotstore.store import HotStore
from engine.hotstore.view import claims_of_claimants
from tests.gateway.drop import Drop, running_gateway
from tests.support.waiting import wait_until


async def test_a_ticket_says_what_it_is_good_for(drop: Drop) -> None:
    issued = await drop.call("POST", "/v1/waves/one-later/tickets", drop.token(person="p1"))
    assert (issued.status, issued.headers["Cache-Control"]) == (201, "no-store")
    live, now_ms = drop.live("one-later"), await drop.stores.hot_store.time_ms()
    assert datetime.fromisoformat(issued["opens_at"]).timestamp() * 1000 == live.state.opens_ms
    assert datetime.fromisoformat(issued["expires_at"]).timestamp() * 1000 > live.state.closes_ms
    assert abs(issued["server_time_ms"] - now_ms) < 1_000
    assert issued["remaining"] == 1
    ticket = TicketBook(drop.keyring.ticket_keys).read(issued["ticket"])
    assert (ticket.wave, ticket.account, ticket.claimant, ticket.broken_rule) == ("one-later", "u1", "u1", "")  # type: ignore[union-attr]  # else the test fails here
    assert abs(ticket.issued_ms - now_ms) < 1_000  # type: ignore[union-attr]  # as above


async def test_remaining_counts_what_is_held_in_other_waves_too(drop: Drop) -> None:
    await drop.claim("one-open", {"offer": "a"})
    await drop.claim("many-open", {"offer": "x"})
    await drop.claim("people-open", {"offer": "x"}, drop.token("phone-1", person="p"))

    async def left(wave: str, auth: str) -> int:
        return int((await drop.call("POST", f"/v1/waves/{wave}/tickets", auth))["remaining"])

    assert await left("one-later", drop.token()) == 0
    assert await left("many-open", drop.token()) == 2
    assert await left("people-open", drop.token("phone-2", person="p")) == 0
    assert await left("people-open", drop.token("phone-1", person="q")) == 1


async def test_a_ticket_counts_the_person_where_the_campaign_does(drop: Drop) -> None:
    tickets = [
        (await drop.call("POST", "/v1/waves/people-open/tickets", drop.token(phone, person="p")))["ticket"]
        for phone in ("phone-1", "phone-2")
    ]
    replies = [await drop.claim("people-open", {"offer": "x"}, f"Ticket {ticket}") for ticket in tickets]
    assert [reply.status for reply in replies] == [201, 409]
    held = [await drop.call("GET", "/v1/waves/people-open/claims", f"Ticket {ticket}") for ticket in tickets]
    assert [len(reply["claims"]) for reply in held] == [1, 0]


async def test_a_body_is_not_needed_and_not_read(drop: Drop) -> None:
    path = "/v1/waves/one-open/tickets"
    assert (await drop.call("POST", path, drop.token(), json={"anything": []})).status == 201
    assert (await drop.call("POST", path, drop.token(), data=b"x" * 100_000))["code"] == "too_large"


async def test_a_ticket_and_its_refusals_are_the_same_without_a_lane(drop: Drop) -> None:
    """`begin` and `answer` take the same steps."""
    asks = [
        ("one-open", drop.token(), 201),
        ("one-open", drop.token(city="上海"), 403),
        ("people-open", drop.token(), 403),
        ("one-over", drop.token(), 410),
        ("one-open", "", 401),
        ("one-open", drop.token(ttl_s=-600), 401),
        ("one-open", drop.token(scope="ops"), 403),
    ]
    async with running_gateway(replace(drop.settings, claim_lane=False), drop.stores) as plain:
        await wait_until(lambda: plain.board.ready and len(plain.board.waves()) == len(drop.board.waves()))
        for wave, token, status in asks:
            path = f"/v1/waves/{wave}/tickets"
            one, other = await drop.call("POST", path, token), await plain.call("POST", path, token)
            for reply in (one, other):
                assert reply.status == status
                for changing in ("ticket", "server_time_ms"):
                    reply.body.pop(changing, None)
            assert one.body == other.body


async def test_a_look_goes_on_in_a_later_epoch(drop: Drop, monkeypatch: pytest.MonkeyPatch) -> None:
    """A recovery has raised it since the board was read; a server that is behind is not believed."""
    assert (await drop.claim("one-open", {"offer": "a"})).status == 201
    epochs: list[int] = []

    async def look(store: HotStore, campaign: str, epoch: int, claimants: list[str]) -> list[list[Claim]]:
        epochs.append(epoch)
        if len(epochs) == 1:
            raise OtherEpoch(epoch + 1)
        if len(epochs) == 3:
            raise OtherEpoch(epoch - 1)
        return await claims_of_claimants(store, campaign, min(epochs), claimants)

    monkeypatch.setattr("engine.claiming.looks.claims_of_claimants", look)
    told = [(await drop.call("POST", "/v1/waves/one-open/tickets", drop.token()))["remaining"] for _ in range(2)]
    assert told == [0, None]
    assert [epoch - epochs[0] for epoch in epochs] == [0, 1, 0]


async def test_a_ticket_is_given_though_nobody_knows_what_is_held(drop: Drop, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[object] = []

    async def fail(*asked: object) -> list[list[Claim]]:
        looks.append(asked)
        raise HotStoreUnavailable("away")

    monkeypatch.setattr("engine.claiming.looks.claims_of_claimants", fail)
    issued = await drop.call("POST", "/v1/waves/one-open/tickets", drop.token())
    assert (issued.status, issued["remaining"]) == (201, None)
    assert len(looks) == 1, "a store that is away is not waited for twice"


async def test_a_ticket_that_cannot_be_made_is_a_failure_with_a_name(
    drop: Drop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And holds up nobody who asks at the same time."""

    def mint(book: TicketBook, ticket: Ticket) -> str:
        if ticket.account == "unlucky":
            raise ZeroDivisionError
        return made(book, ticket)

    made = TicketBook.mint
    monkeypatch.setattr(TicketBook, "mint", mint)
    names = ["u1", "unlucky", "u2"]
    replies = await asyncio.gather(
        *(drop.call("POST", "/v1/waves/one-open/tickets", drop.token(name)) for name in names)
    )
    assert [reply.status for reply in replies] == [201, 500, 201]
    assert replies[1]["id"] == replies[1].headers["X-Request-Id"]
    assert drop.gateway.load.in_flight == 0


async def test_instants_are_those_of_the_wave_as_it_is_now(drop: Drop) -> None:
    live, asker = drop.live("one-open"), Asker("u1", "u1", "")
    closes_ms = live.state.closes_ms
    moved = replace(live, state=replace(live.state, closes_ms=closes_ms + 60_000))
    printer = TicketPrinter(TicketBook(drop.keyring.ticket_keys), life_ms=1_000)

    def expires_ms(live: LiveWave, now_ms: int) -> int:
        instant = json.loads(printer.ticket(live, asker, 1, now_ms))["expires_at"]
        return round(datetime.fromisoformat(instant).timestamp() * 1000)

    told = [expires_ms(*ask) for ask in ((live, 0), (live, closes_ms + 5), (live, 0), (moved, 0), (live, 0))]
    assert told == [closes_ms + more for more in (1_000, 1_005, 1_000, 61_000, 1_000)]


@pytest.mark.parametrize(
    ("limits", "held", "left"),
    [
        ([Limit(1, "campaign")], [], 1),
        ([Limit(1, "campaign")], [3], 0),
        ([Limit(2, "wave")], [1, 2, 3], 1),
        ([Limit(2, "day")], [1, 2], 0),
        ([Limit(2, "day")], [3, 4], 2),
        ([Limit(2, "round")], [1, 4], 1),
        ([Limit(2, "round"), Limit(3, "campaign")], [3, 3, 3], 0),
        ([Limit(40, "campaign")], [3] * 30, 2),
    ],
)
def test_remaining(limits: list[Limit], held: list[int], left: int) -> None:
    """Waves 1 and 2 are of one day, 1 and 3 of one round; the ticket is for wave 1."""
    day = date(2021, 9, 17)
    days, rounds = (day, day, day + timedelta(7), day + timedelta(14)), ("mid", "late", "mid", "late")
    waves = tuple(
        CatalogueWave(no, f"w{no}", rounds[no - 1], days[no - 1].isoformat(), 0, 1, {1: 9}) for no in (1, 2, 3, 4)
    )
    catalogue = replace(_EMPTY, limits=tuple(limits), waves=waves)
    live = LiveWave(catalogue, waves[0], None, {}, {}, 0)  # type: ignore[arg-type]  # the state is not looked at
    claims = [Claim(no, 1, 1, 1, 1, 1, 1, 1, 0, "", "u", "u") for no in held]
    assert remaining(live, claims) == left


_EMPTY = Catalogue(1, "c", 1, "ABC", "c", "Asia/Shanghai", "CNY", "account", (), None, None, (), ())  # type: ignore[arg-type]  # cap and eligibility are not looked at
