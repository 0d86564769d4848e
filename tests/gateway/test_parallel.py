"""Twenty requests of one user at the same time are one claim, however they arrive."""

import asyncio
from collections import Counter

import pytest

from tests.gateway.drop import Drop, running_gateway
from tests.gateway.raw import Raw, claim_request, connected_to

TWENTY = 20


def check(replies: list[Raw.Response]) -> None:
    assert Counter(reply.status for reply in replies) == {201: 1, 200: TWENTY - 1}
    assert len({str(reply.json["claim"]) for reply in replies}) == 1


@pytest.mark.loops
async def test_in_one_packet_on_one_connection(drop: Drop) -> None:
    async with connected_to(drop.port) as connection:
        connection.send(claim_request(drop.token(), "one-open", {"offer": "a"}) * TWENTY)
        check([await connection.response() for _ in range(TWENTY)])
    assert (await drop.call("GET", "/v1/me/claims", drop.token()))["claims"]


@pytest.mark.loops
async def test_over_twenty_connections_of_two_gateways(drop: Drop) -> None:
    async with running_gateway(drop.settings, drop.stores) as other:
        ports = [drop.port, other.port] * (TWENTY // 2)
        request, all_connected = claim_request(drop.token(), "one-open", {"offer": "a"}), asyncio.Barrier(TWENTY)

        async def ask(port: int) -> Raw.Response:
            async with connected_to(port) as connection:
                await all_connected.wait()
                connection.send(request)
                return await connection.response()

        check(await asyncio.gather(*map(ask, ports)))


async def test_of_different_offers_one_is_given(drop: Drop) -> None:
    requests = [claim_request(drop.token(), "one-open", {"offer": offer}) for offer in ("a", "b") * (TWENTY // 2)]
    async with connected_to(drop.port) as one, connected_to(drop.port) as two:
        one.send(b"".join(requests[:10]))
        two.send(b"".join(requests[10:]))
        replies = [await connection.response() for connection in (one, two) for _ in range(10)]
    assert Counter(reply.status for reply in replies) == {201: 1, 200: 9, 409: 10}
    assert {reply.code for reply in replies if reply.status == 409} == {"already_claimed"}
    held = (await drop.call("GET", "/v1/me/claims", drop.token()))["claims"]
    assert len(held) == 1
