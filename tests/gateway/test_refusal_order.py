"""Several things are wrong at once: the one that the contract lists first is told, wherever each is found out.

How a body comes is seen by the server, who asks and what for by the gateway, the rest is decided by the script; one
order holds through all of them. The script's own part is in tests/hotstore/test_claim_refusals.py.
"""

import asyncio
import itertools
import random
from collections.abc import Iterable, Set
from datetime import UTC, datetime
from typing import Any, NamedTuple

import pytest
from msgspec.structs import replace

from engine.domain.campaign import Cap, Eligibility, Limit
from engine.domain.decisions import ActLine, Rules, WaveState
from engine.domain.tickets import Ticket, TicketBook
from engine.gateway.problems import KINDS
from engine.gateway.voucher_problems import VOUCHER_KINDS
from engine.hotstore.decide import act
from engine.hotstore.view import read_shard
from engine.ledger.campaigns import apply_campaign
from engine.scheduling import acts
from engine.settings import Settings
from tests.gateway.drop import HOUR, OPS, Drop, Reply, campaigns, offer, running_gateway, wave
from tests.gateway.raw import connected_to
from tests.support.waiting import wait_until

ORDER = list(KINDS)
HOUR_MS = 3_600_000
JSON = {"Content-Type": "application/json"}
BODY_BYTES_MAX, OPS_BODY_BYTES_MAX = 1_024, 2_048


@pytest.fixture
def drop_settings(settings: Settings, redis_url: str, database_url: str) -> Settings:
    return replace(
        settings,
        redis_url=redis_url,
        database_url=database_url,
        body_bytes_max=BODY_BYTES_MAX,
        ops_body_bytes_max=OPS_BODY_BYTES_MAX,
        body_deadline_ms=300,
        user_requests_per_second=0,  # the same few accounts ask all the time
        board_refresh_ms=100,  # eight times this without a look, and an unknown wave may be one that is being restored
    )


def first_of(faults: Iterable[str]) -> str:
    """The one that is to be told; "" where nothing is wrong."""
    return min((fault for fault in faults if fault), key=ORDER.index, default="")


def told(reply: Reply) -> str:
    return "" if reply.status < 300 else str(reply["code"])


class Choice(NamedTuple):
    """One way to fill a part of a request, and the refusal that it deserves, if any."""

    fault: str
    value: Any


async def ask_all(drop: Drop, requests: Iterable[tuple[Set[str], dict[str, Any]]]) -> int:
    """Send them, some at a time; how many there were. Each comes with its faults."""
    turns = asyncio.Semaphore(16)

    async def check(faults: Set[str], request: dict[str, Any]) -> None:
        async with turns:
            reply = await drop.call(**request)
        assert told(reply) == first_of(faults), (faults, request, reply)

    checks = [check(faults, request) for faults, request in requests]
    await asyncio.gather(*checks)
    return len(checks)


async def test_every_combination_of_what_a_claim_can_have_wrong_before_it_is_decided(drop: Drop) -> None:
    slow = replace(drop.settings, user_requests_per_second=0.001, user_requests_burst=1)
    async with running_gateway(slow, drop.stores) as gateway:
        one, now_ms = drop.live("one-open").wave.no, await drop.stores.hot_store.time_ms()
        await acts.void_tickets(drop.stores.hot_store, "one", one, now_ms, OPS)
        await wait_until(lambda: gateway.live("one-open").state.void_before_ms)
        assert told(await gateway.claim("nowhere", {"offer": "a"}, gateway.token("hasty"))) == "unknown_wave"
        assert await ask_all(gateway, _claims(gateway)) == 2 * 3 * 2 * 2 * 8 * 3


def _claims(drop: Drop) -> Iterable[tuple[Set[str], dict[str, Any]]]:
    """Each account asks once, and `hasty` has done so already."""
    book = TicketBook(drop.keyring.ticket_keys)

    def ticket(wave_id: str) -> str:
        return "Ticket " + book.mint(Ticket("one", wave_id, "somebody", "somebody", "account", "", 0))

    methods = [Choice("", "POST"), Choice("method_not_allowed", "PUT")]
    paths = [
        Choice("", "/v1/waves/one-open/claims"),
        Choice("not_found", "/v1/wave/one-open/claims"),
        Choice("unknown_wave", "/v1/waves/nowhere/claims"),
    ]
    sizes = [Choice("", b""), Choice("too_large", b" " * BODY_BYTES_MAX)]
    types = [Choice("", "application/json"), Choice("unsupported_media_type", "text/plain")]
    callers = [
        Choice("", {}),
        Choice("unauthenticated", "Bearer x"),
        Choice("token_expired", {"ttl_s": -60}),
        Choice("ticket_expired", ticket("one-open")),
        Choice("ticket_mismatch", ticket("one-later")),
        Choice("forbidden", {"scope": "merchant"}),
        Choice("too_many_requests", drop.token("hasty", city="宜昌")),
        Choice("not_eligible", {"city": "宜昌"}),
    ]
    bodies = [
        Choice("", b'{"offer":"a"}'),
        Choice("invalid_request", b"[]"),
        Choice("unknown_offer", b'{"offers":["a","nothing"]}'),
    ]
    accounts = itertools.count()
    for choices in itertools.product(methods, paths, sizes, types, callers, bodies):
        method, path, size, kind, caller, body = choices
        who = caller.value if isinstance(caller.value, str) else drop.token(f"u{next(accounts)}", **caller.value)
        yield (
            {choice.fault for choice in choices},
            {
                "method": method.value,
                "path": path.value,
                "auth": who,
                "headers": {"Content-Type": kind.value},
                "data": body.value + size.value,
            },
        )


async def test_a_request_number_can_only_be_wrong_in_a_wave_that_there_is(drop: Drop) -> None:
    second = {"offer": "nothing", "request_no": 2}  # one-open allows one claim
    assert told(await drop.claim("one-open", second)) == "invalid_request"
    assert told(await drop.claim("nowhere", second)) == "unknown_wave"
    assert told(await drop.claim("nowhere", {"offer": "a", "request_no": 33})) == "invalid_request"


def _head(drop: Drop, *, auth: str, wave_id: str = "one-open", kind: str = "application/json", framing: str) -> bytes:
    return (
        f"POST /v1/waves/{wave_id}/claims HTTP/1.1\r\nHost: test\r\nAuthorization: {auth}\r\n"
        f"Content-Type: {kind}\r\n{framing}\r\n\r\n"
    ).encode()


HALF, CHUNKS = "Content-Length: 13", "Transfer-Encoding: chunked"
ENDLESS = b"400\r\n" + b"x" * 1_024 + b"\r\n400\r\n" + b"x" * 1_024 + b"\r\n"
BROKEN = b"4\r\nabcdX\r\n"


UNREADABLE: list[tuple[str, str, bytes, dict[str, str]]] = [
    ("timeout", HALF, b'{"offer"', {}),
    ("timeout", HALF, b'{"offer"', {"auth": "Bearer x", "wave_id": "nowhere"}),
    ("unsupported_media_type", HALF, b'{"offer"', {"kind": "text/plain", "auth": "Bearer x"}),
    ("too_large", CHUNKS, ENDLESS, {"kind": "text/plain", "auth": "Bearer x"}),
    ("unsupported_media_type", CHUNKS, BROKEN, {"kind": "text/plain", "auth": "Bearer x"}),
    ("unauthenticated", CHUNKS, BROKEN, {"auth": "Bearer x", "wave_id": "nowhere"}),
    ("invalid_request", CHUNKS, BROKEN, {"wave_id": "nowhere"}),
]


async def test_a_body_that_cannot_be_read_is_told_in_its_turn(drop: Drop) -> None:
    async def check(told_first: str, framing: str, body: bytes, wrong: dict[str, str]) -> None:
        async with connected_to(drop.port) as connection:
            connection.send(_head(drop, **({"auth": drop.token(), "framing": framing} | wrong)) + body)
            reply = await connection.response()
            assert (reply.code, reply.headers["connection"]) == (told_first, "close"), (body, wrong)
            assert await connection.ended()

    await asyncio.gather(*(check(*each) for each in UNREADABLE))


OF_VOUCHERS = {kind.code for kind in VOUCHER_KINDS}
DECIDED = [
    code
    for code in ORDER
    if ORDER.index("unknown_wave") <= ORDER.index(code) <= ORDER.index("busy") and code not in OF_VOUCHERS
]
DECIDED.remove("limit_reached")  # one limit is of one or of more


class Ladder:
    """A wave that can have everything wrong with it: `winner` holds b in it, `quick` the only one of `rare`."""

    WAVE = "ladder-open"

    def __init__(self, drop: Drop, full: Drop) -> None:
        self.drop = drop
        self.full = full
        """A gateway that finds the log too long for anything new."""
        self.usual: WaveState

    async def prepare(self) -> None:
        now = datetime.now(UTC)
        one = next(campaign for campaign in campaigns(now) if campaign.id == "one")
        ladder = replace(
            one,
            id="ladder",
            offers=(offer("a"), offer("b"), offer("rare")),
            waves=(wave(self.WAVE, now, {"a": 100, "b": 100, "rare": 1}, -HOUR, HOUR),),
            limits=(Limit(1, "campaign"),),
            eligibility=Eligibility(cities=("武汉",)),
        )
        await apply_campaign(self.drop.stores.ledger, ladder, "tests")
        for each in (self.drop, self.full):
            await wait_until(lambda each=each: each.board.wave(self.WAVE))  # type: ignore[misc]  # bound in the loop
        for account, wanted in (("winner", "b"), ("quick", "rare")):
            claimed = await self.drop.claim(self.WAVE, {"offer": wanted}, self.drop.token(account, city="武汉"))
            assert claimed.status == 201
        await self.drop.steward.stop()  # it would put right what is put wrong here
        self.usual = self.drop.live(self.WAVE).state

    async def break_it(self, faults: Set[str]) -> None:
        """Make wave and campaign as these faults want them, by acts."""
        store = self.drop.stores.hot_store
        shard = await read_shard(store, "ladder")
        assert shard is not None
        now_ms = shard.now_ms
        flags = [("cancelled", "cancelled"), ("closed", "closed"), ("paused", "paused")]
        flag: Any = next((flag for fault, flag in flags if fault in faults), "live")
        opens_ms, closes_ms = self.usual.opens_ms, self.usual.closes_ms
        if "not_open" in faults:
            opens_ms, closes_ms = now_ms + HOUR_MS, now_ms + 2 * HOUR_MS
        elif "closed" in faults:  # by the clock, and by the flag where that says nothing else
            closes_ms = now_ms - 1
        state = replace(
            self.usual, state=flag, reason=flag, opens_ms=opens_ms, closes_ms=closes_ms, closed_ms=now_ms - 1
        )
        rules = Rules(
            shard.rules.limits,
            cap=Cap(claims=2) if "cap_reached" in faults else Cap(),
            stopped="stopped" if "stopped" in faults else "",
        )
        wave_no = self.drop.live(self.WAVE).wave.no
        lines = [
            ActLine(shard.act + 1, f"put-{shard.act}", "put_wave", "ops", "test", wave_no, state=state),
            ActLine(shard.act + 2, f"rules-{shard.act}", "put_campaign", "ops", "test", rules=rules),
        ]
        for line in lines:
            await act(store, "ladder", shard.epoch, line)

    async def ask(self, faults: Set[str]) -> Reply:
        """A claim that meets what was broken, and has wrong with it what a claim itself can have."""
        asked = self.full if "busy" in faults else self.drop
        account = "winner" if "already_claimed" in faults else "somebody"
        wanted = ["rare" if "sold_out" in faults else "a"] + ["nothing"] * ("unknown_offer" in faults)
        city = "宜昌" if "not_eligible" in faults else "武汉"
        place = "nowhere" if "unknown_wave" in faults else self.WAVE
        return await asked.claim(place, {"offers": wanted}, asked.token(account, city=city))

    async def ask_again(self) -> Reply:
        """The winner repeats what was granted, from a place where nothing new would be, at a full gateway."""
        return await self.full.claim(self.WAVE, {"offers": ["a", "b"]}, self.full.token("winner", city="宜昌"))


async def test_the_first_reason_is_told_whatever_gateway_and_script_find_and_a_replay_before_all(
    drop: Drop, seed: int
) -> None:
    draw = random.Random(seed)
    sets = [set(faults) for size in (1, 2) for faults in itertools.combinations(DECIDED, size)]
    sets += [set(draw.sample(DECIDED, draw.randint(3, len(DECIDED)))) for _ in range(60)]
    sets += [set(DECIDED[place:]) for place in range(len(DECIDED))]
    async with running_gateway(replace(drop.settings, log_lag_max=1), drop.stores) as full:
        ladder = Ladder(drop, full)
        await ladder.prepare()
        for faults in sets:
            await ladder.break_it(faults)
            reply = await ladder.ask(faults)
            assert told(reply) == first_of(faults), (faults, reply)
            again = await ladder.ask_again()
            assert (again.status, again.headers["Idempotent-Replayed"]) == (200, "true"), (faults, again)


async def test_every_combination_of_what_an_act_can_have_wrong(drop: Drop) -> None:
    assert (await drop.claim("one-open", {"offer": "rare"})).status == 201
    methods = [Choice("", "POST"), Choice("method_not_allowed", "GET")]
    paths = [Choice("", "one-open"), Choice("unknown_wave", "nowhere")]
    sizes = [Choice("", b""), Choice("too_large", b" " * OPS_BODY_BYTES_MAX)]
    types = [Choice("", "application/json"), Choice("unsupported_media_type", "application/yaml")]
    callers = [
        Choice("", drop.token("li", scope="ops", role="operator")),
        Choice("unauthenticated", ""),
        Choice("token_expired", drop.token("li", scope="ops", role="operator", ttl_s=-60)),
        Choice("forbidden", drop.token("li", scope="ops", role="viewer")),
    ]
    bodies = [
        Choice("act_refused", b'{"reason":"test","stock":{"rare":0}}'),
        Choice("unknown_offer", b'{"reason":"test","stock":{"rare":0,"nothing":1}}'),
        Choice("invalid_request", b'{"reason":"test","stock":{"rare":0,"nothing":-1}}'),
        Choice("invalid_request", b'{"reason":" ","stock":{"rare":0}}'),
    ]

    def requests() -> Iterable[tuple[Set[str], dict[str, Any]]]:
        for choices in itertools.product(methods, paths, sizes, types, callers, bodies):
            method, path, size, kind, caller, body = choices
            yield (
                {choice.fault for choice in choices},
                {
                    "method": method.value,
                    "path": f"/v1/ops/waves/{path.value}/restock",
                    "auth": caller.value,
                    "headers": {"Content-Type": kind.value},
                    "data": body.value + size.value,
                },
            )

    assert await ask_all(drop, requests()) == 2 * 2 * 2 * 2 * 4 * 4


async def test_a_body_of_an_operator_is_read_only_for_who_may_act(drop: Drop) -> None:
    """It may be megabytes: what only reading it tells comes behind who asks."""
    path = "/v1/ops/waves/nowhere/pause"
    for auth, code in (
        (drop.token("li", scope="ops", role="viewer"), "forbidden"),
        (drop.token("li", scope="ops", role="operator"), "too_large"),
    ):
        async with connected_to(drop.port) as connection:
            head = f"POST {path} HTTP/1.1\r\nHost: test\r\nAuthorization: {auth}\r\nContent-Type: application/json\r\n"
            connection.send((head + CHUNKS + "\r\n\r\n").encode() + ENDLESS + ENDLESS)
            assert (await connection.response()).code == code


async def test_times_that_are_none_are_told_before_a_wave_that_is_none(drop: Drop) -> None:
    auth = drop.token("li", scope="ops", role="operator")
    for name, fields in (
        ("move", {"opens_at": "soon"}),
        ("move", {"opens_at": "2098-01-01 20:00", "closes_at": "late"}),
        ("void-tickets", {"before": "once"}),
    ):
        path = f"/v1/ops/waves/nowhere/{name}"
        reply = await drop.call("POST", path, auth, json={"reason": "test"} | fields)
        assert told(reply) == "invalid_request", reply


async def test_what_a_campaign_that_is_sent_can_have_wrong(drop: Drop) -> None:
    """`one` is at revision 1, and its wave one-over lies behind: another file cannot change that."""
    file = (
        "{campaign: one, title: t, timezone: Asia/Shanghai, currency: CNY, validity: {days_after_claim: 7},"
        " stores: {s1: {title: s, merchant: m, city: c}},"
        " offers: [{id: a, title: a, category: mall, kind: instant, face: 100, stores: all}],"
        ' waves: [{id: one-open, opens_at: "2035-01-01 20:00", lasts: 4h, stock: {a: 10}}]}'
    )
    operator, viewer = (drop.token("li", scope="ops", role=role) for role in ("operator", "viewer"))
    for auth, kind, if_match, body, code in (
        (viewer, "text/plain", "x", "[", "unsupported_media_type"),
        (viewer, "application/yaml", "x", "[", "forbidden"),
        (operator, "application/yaml", "x", "[", "invalid_request"),
        (operator, "application/yaml", '"9"', "[", "invalid_request"),
        (operator, "application/yaml", '"9"', file, "precondition_failed"),
        (operator, "application/yaml", '"1"', file, "act_refused"),
    ):
        headers = {"Content-Type": kind, "If-Match": if_match}
        reply = await drop.call("PUT", "/v1/ops/campaigns/one", auth, headers=headers, data=body.encode())
        assert told(reply) == code, reply
