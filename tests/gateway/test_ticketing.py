"""Tickets over HTTP, and what `remaining` counts."""

from datetime import date, datetime, timedelta

import pytest
from msgspec.structs import replace

from engine.claiming.board import LiveWave
from engine.domain.campaign import Catalogue, CatalogueWave, Limit
from engine.domain.outcome import Claim
from engine.domain.tickets import TicketBook
from engine.gateway.ticketing import remaining
from tests.gateway.drop import Drop


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
