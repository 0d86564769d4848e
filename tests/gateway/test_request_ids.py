"""Each answer names its request: by the client's own name where that is plain, else by a new one."""

import pytest

from engine.gateway.request_ids import request_id_of
from tests.gateway.drop import Drop


@pytest.mark.parametrize("sent", ["a", "0f3c-11.x_Y", "a" * 64])
def test_a_plain_name_is_kept(sent: str) -> None:
    assert request_id_of(sent) == sent


@pytest.mark.parametrize("sent", ["", "a" * 65, "a b", "a\n", "ä", "a\x00", "<a>", "a,b"])
def test_anything_else_gets_a_new_name(sent: str) -> None:
    first, second = request_id_of(sent), request_id_of(sent)
    assert sent not in (first, second)
    assert first != second


async def test_every_answer_names_its_request(drop: Drop) -> None:
    for method, path in (("GET", "/v1/time"), ("GET", "/v1/ops/campaigns"), ("PUT", "/v1/time"), ("GET", "/nowhere")):
        reply = await drop.call(method, path, headers={"X-Request-Id": "mine-1"})
        assert reply.headers.getall("X-Request-Id") == ["mine-1"], reply
        assert (await drop.call(method, path)).headers["X-Request-Id"] not in ("", "mine-1")
