"""What every operation can answer, whatever it is for: reached on each of them, by the list in the document."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs

from engine.domain.tickets import TicketBook
from engine.gateway import app, merchant_routes, ops_routes
from engine.gateway.address_gate import PROBES
from engine.gateway.lane import lane
from engine.gateway.openapi.operation import Operation
from engine.gateway.openapi.operations import OPERATIONS
from engine.gateway.ticketing import ticket_for
from tests.gateway.drop import Drop, running_gateway
from tests.gateway.openapi.asking import ADDRESSES, address, ask, right
from tests.gateway.raw import connected_to


def guarded() -> Iterator[Operation]:
    return (operation for operation in OPERATIONS if operation.who != "anybody")


async def refused(drop: Drop, auth: str, operation: Operation) -> tuple[int, str]:
    reply = await ask(drop, operation, auth)
    return reply.status, reply["code"]


async def test_who_asks_is_asked_first(drop: Drop) -> None:
    for operation in guarded():
        scope, wrong = ("claim", "ops") if operation.who in ("user", "user_or_ticket") else ("ops", "claim")
        assert await refused(drop, "", operation) == (401, "unauthenticated"), operation.id
        assert await refused(drop, drop.token(ttl_s=-60, scope=scope), operation) == (401, "token_expired")
        assert await refused(drop, drop.token(scope=wrong), operation) == (403, "forbidden")


async def test_tickets_that_are_no_good(drop: Drop) -> None:
    live = drop.live("many-open")
    other_wave = ticket_for(live, "u1", "u1", drop.board.store_time_ms())
    elsewhere = TicketBook([b"k" * 32]).mint(other_wave)
    for operation in (each for each in OPERATIONS if each.who == "user_or_ticket"):
        mismatch = f"Ticket {TicketBook(drop.keyring.ticket_keys).mint(other_wave)}"
        assert await refused(drop, mismatch, operation) == (401, "ticket_mismatch")
        assert await refused(drop, f"Ticket {elsewhere}", operation) == (401, "ticket_expired")


async def test_a_body_of_another_kind(drop: Drop) -> None:
    for operation in (each for each in OPERATIONS if each.sent):
        reply = await ask(drop, operation, data=b"{}", headers={"Content-Type": "text/plain"})
        assert (reply.status, reply["code"]) == (415, "unsupported_media_type"), operation.id


async def test_what_is_not_there(drop: Drop) -> None:
    for operation in OPERATIONS:
        if {"unknown_wave", "not_found"} & operation.refusals:
            reply = await ask(drop, operation, other=dict.fromkeys(ADDRESSES, "nowhere"))
            assert (reply.status, reply["code"]) in ((404, "unknown_wave"), (404, "not_found")), operation.id


async def test_what_is_expected_and_cannot_be(drop: Drop) -> None:
    for operation in OPERATIONS:
        reply = await ask(drop, operation, headers={"Expect": "miracles"})
        assert (reply.status, reply["code"], reply["at"]) == (400, "invalid_request", "Expect"), operation.id
        async with connected_to(drop.port) as raw:
            head = f"{operation.method.upper()} {address(operation)} HTTP/1.1\r\nHost: x\r\n"
            auth = f"Authorization: {right(drop, operation)}\r\n" if operation.who != "anybody" else ""
            raw.send(f"{head}{auth}Expect: 100-continue\r\nContent-Length: {1 << 30}\r\n\r\n".encode())
            assert ((answer := await raw.response()).status, answer.code) == (413, "too_large"), operation.id


async def test_a_failure_of_ours(drop: Drop, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_request: object) -> None:
        raise RuntimeError("a secret of the house")

    monkeypatch.setattr(app, "heading_of", fail)
    monkeypatch.setattr(lane, "_heading_of", fail)
    monkeypatch.setattr(ops_routes, "heading_of", fail)
    monkeypatch.setattr(merchant_routes, "heading_of", fail)
    for operation in OPERATIONS:
        with capture_logs() as told:  # printing so many stacks takes longer than all else
            reply = await ask(drop, operation)
        assert (reply.status, reply["code"], reply["id"]) == (500, "internal", reply.headers["X-Request-Id"])
        assert "secret" not in str(reply)
        assert reply["id"] in str(told)


@asynccontextmanager
async def other_gateway(drop: Drop, **settings: Any) -> AsyncIterator[Drop]:
    """One more, with other settings."""
    async with running_gateway(replace(drop.settings, **settings), drop.stores) as gateway:
        yield gateway


async def test_too_much_from_one_address(drop: Drop) -> None:
    async with other_gateway(drop, address_requests_per_second=0.001, address_requests_burst=1) as full:
        await full.call("GET", "/v1/waves")
        for operation in OPERATIONS:
            reply = await ask(full, operation)
            assert (reply.status == 429) == (operation.path not in PROBES), operation.id


async def test_head_is_get_without_the_body(drop: Drop) -> None:
    claimed = await drop.claim("one-open", {"offer": "a"})
    code = claimed["claim"]["vouchers"][0]["code"]
    for operation in OPERATIONS:
        if operation.method == "get" and operation.has_head:
            path, auth = address(operation, code=code), right(drop, operation)
            head, got = await asyncio.gather(drop.call("HEAD", path, auth), drop.call("GET", path, auth))
            assert (head.status, head.body or b"") == (200, b""), operation.id
            varying = ("X-Request-Id", "Date", "ETag", "Left-Read-At-Ms", "Content-Length", "Server-Timing")
            assert {name for name in head.headers if name not in varying} == {
                name for name in got.headers if name not in varying
            }
            tag = head.headers.get("ETag")
            if tag is not None and any(success.status == 304 for success in operation.successes):
                same = await drop.call("HEAD", path, auth, headers={"If-None-Match": tag})
                assert same.status in (200, 304)
