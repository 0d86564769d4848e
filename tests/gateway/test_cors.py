"""Pages of other origins: what a browser is told, on every path and with every kind of answer."""

from collections.abc import Mapping

import pytest
from msgspec.structs import replace

from engine.errors import SettingsError
from engine.gateway.answer import Answer
from engine.gateway.cors import ALLOWED, EXPOSED, Cors
from engine.gateway.openapi.document import build_document
from engine.settings import Settings
from tests.gateway.drop import Drop, running_gateway
from tests.gateway.raw import claim_request, connected_to

SHOP, APP, STRANGER = "https://shop.example", "http://localhost:3000", "https://evil.example"
ORIGIN, EXPOSE = "Access-Control-Allow-Origin", "Access-Control-Expose-Headers"


@pytest.fixture
def drop_settings(drop_settings: Settings) -> Settings:
    """Two origins may ask."""
    return replace(drop_settings, cors_origins=f"{SHOP}, {APP}")


def words(value: str) -> set[str]:
    return {word.strip() for word in value.split(",") if word.strip()}


def cors_headers(headers: Mapping[str, str]) -> set[str]:
    return {name for name in headers if name.lower().startswith("access-control-")}


async def test_a_listed_origin_may_read_every_answer(drop: Drop) -> None:
    for method, path, auth, status in (
        ("GET", "/v1/waves/one-open", "", 200),
        ("HEAD", "/v1/waves/one-open", "", 200),
        ("GET", "/v1/time", "", 200),
        ("GET", "/v1/me/claims", drop.token(), 200),
        ("GET", "/v1/me/claims", "", 401),
        ("POST", "/v1/waves/one-open/tickets", drop.token(), 201),
        ("POST", "/v1/waves/one-open/claims", drop.token(), 415),
        ("GET", "/v1/waves/nowhere", "", 404),
        ("GET", "/nowhere", "", 404),
        ("DELETE", "/v1/time", "", 405),
        ("GET", "/problems/sold-out", "", 200),
        ("GET", "/openapi.json", "", 200),
    ):
        for origin in (SHOP, APP):
            reply = await drop.call(method, path, auth, {"Origin": origin})
            assert (reply.status, reply.headers[ORIGIN]) == (status, origin), path
            assert words(reply.headers[EXPOSE]) == set(EXPOSED)
            assert "Origin" in words(reply.headers["Vary"])
        for other in (STRANGER, "null", "https://shop.example.evil.example", "HTTPS://SHOP.EXAMPLE", SHOP + "/", ""):
            reply = await drop.call(method, path, auth, {"Origin": other} if other else {})
            assert (reply.status, cors_headers(reply.headers)) == (status, set()), (path, other)
            assert "Origin" in words(reply.headers["Vary"])  # else a cache would hand this one to the shop
            assert len(reply.headers.getall("Vary")) == 1  # type: ignore[attr-defined]  # a CIMultiDict
    claimed = await drop.claim("one-open", {"offer": "a"}, Origin=SHOP)
    again = await drop.claim("one-open", {"offer": "a"}, Origin=SHOP)
    assert [(reply.status, reply.headers[ORIGIN]) for reply in (claimed, again)] == [(201, SHOP), (200, SHOP)]


async def test_what_never_was_a_request_is_readable_too(drop: Drop) -> None:
    for request, status in (
        (claim_request(drop.token(), "one-open", {"offer": "a"}, f"Origin: {SHOP}\r\nExpect: x\r\n"), 400),
        (claim_request(drop.token(), "one-open", {"x": "x" * 9_000}, f"Origin: {SHOP}\r\n"), 413),
    ):
        async with connected_to(drop.port) as connection:
            connection.send(request)
            reply = await connection.response()
        assert (reply.status, reply.headers[ORIGIN.lower()]) == (status, SHOP)
    async with connected_to(drop.port) as connection:  # no header of it can be believed, and so no origin
        connection.send(f"GET / HTTP/1.1\r\nOrigin: {SHOP}\r\nbroken\r\n\r\n".encode())
        reply = await connection.response()
    assert (reply.status, cors_headers(reply.headers), "Origin" in words(reply.headers["vary"])) == (400, set(), True)


async def test_a_304_gives_the_permission_anew(drop: Drop) -> None:
    page = await drop.call("GET", "/v1/waves/one-open", headers={"Origin": SHOP})
    same = await drop.call("GET", "/v1/waves/one-open", headers={"Origin": APP, "If-None-Match": page.headers["ETag"]})
    assert (same.status, same.headers[ORIGIN], same.headers["Vary"]) == (304, APP, page.headers["Vary"])


SOMETHING = {
    "wave": "one-open",
    "campaign": "one",
    "slug": "sold-out",
    "code": "7ZZS5N2CNT5750W5",
    "redemption": f"r-{0:032x}",
    "lock": f"l-{0:032x}",
}


def documented() -> dict[str, set[str]]:
    """Methods by path, as the contract has them, with something in place of what stands in braces."""
    return {
        path.format_map(SOMETHING): {method.upper() for method in item if method != "parameters"}
        for path, item in build_document()["paths"].items()
    }


async def test_a_preflight_is_answered_on_every_path(drop: Drop) -> None:
    paths = documented()
    assert len(paths) > 20
    for path, methods in paths.items():
        asked = {"Origin": SHOP, "Access-Control-Request-Method": "POST"}
        reply = await drop.call("OPTIONS", path, headers=asked | {"Access-Control-Request-Headers": "authorization"})
        if path.startswith("/v1/ops"):
            assert (reply.status, cors_headers(reply.headers) - {ORIGIN, EXPOSE}) == (405, set()), path
            continue
        assert (reply.status, reply.body, reply.headers[ORIGIN]) == (204, b"", SHOP), path
        assert words(reply.headers["Access-Control-Allow-Methods"]) == methods, path
        assert set(ALLOWED) <= words(reply.headers["Access-Control-Allow-Headers"])
        assert int(reply.headers["Access-Control-Max-Age"]) == 7_200
        assert "Access-Control-Allow-Credentials" not in reply.headers
        assert "Content-Type" not in reply.headers
    unknown = await drop.call("OPTIONS", "/nowhere", headers=asked)
    assert (unknown.status, unknown["code"]) == (404, "not_found")


async def test_what_is_no_preflight_of_a_listed_origin_is_an_options_like_any(drop: Drop) -> None:
    for headers in (
        {},
        {"Origin": SHOP},
        {"Access-Control-Request-Method": "POST"},
        {"Origin": STRANGER, "Access-Control-Request-Method": "POST"},
        {"Origin": "null", "Access-Control-Request-Method": "POST"},
    ):
        reply = await drop.call("OPTIONS", "/v1/waves/one-open/tickets", headers=headers)
        assert (reply.status, reply["code"], reply.headers["Allow"]) == (405, "method_not_allowed", "POST"), headers
        assert "Access-Control-Allow-Methods" not in reply.headers


async def test_operators_and_metrics_are_for_no_page_from_elsewhere(drop: Drop) -> None:
    operator = drop.token("boss", scope="ops", role="operator")
    for path in ("/v1/ops/campaigns", "/v1/ops/waves/one-open", "/metrics"):
        reply = await drop.call("GET", path, operator, {"Origin": SHOP})
        assert (reply.status, cors_headers(reply.headers)) == (200, set())


async def test_off_and_for_everybody(drop: Drop) -> None:
    asked = {"Origin": SHOP, "Access-Control-Request-Method": "POST"}
    async with running_gateway(replace(drop.settings, cors_origins=""), drop.stores) as closed:
        page = await closed.call("GET", "/v1/waves/one-open", headers={"Origin": SHOP})
        assert (page.status, cors_headers(page.headers), "Vary" in page.headers) == (200, set(), False)
        reply = await closed.call("OPTIONS", "/v1/waves/one-open/tickets", headers=asked)
        assert (reply.status, reply.headers["Allow"], reply.headers["Vary"]) == (405, "POST", "Accept-Language")
    async with running_gateway(replace(drop.settings, cors_origins="*"), drop.stores) as open_to_all:
        for origin in (SHOP, STRANGER, "null", ""):
            page = await open_to_all.call("GET", "/v1/waves/one-open", headers={"Origin": origin} if origin else {})
            # The same for all, so that a cache keeps one copy.
            assert (page.headers[ORIGIN], "Vary" in page.headers) == ("*", False)
        reply = await open_to_all.call("OPTIONS", "/v1/waves/one-open/tickets", headers=asked)
        assert (reply.status, reply.headers[ORIGIN], "Vary" in reply.headers) == (204, "*", False)
        assert "Access-Control-Allow-Credentials" not in reply.headers
        ops = await open_to_all.call("OPTIONS", "/v1/ops/stop-all", headers=asked)
        assert ops.status == 405


def test_null_matches_where_it_is_listed() -> None:
    cors = Cors(f"null, {SHOP}")
    assert (ORIGIN, "null") in cors.opened("status", "null", ())
    assert isinstance(cors.preflight("/v1/time", "null", "GET", "GET"), Answer)
    assert Cors("").opened("status", SHOP, (("Vary", "Accept"),)) == (("Vary", "Accept"),)


@pytest.mark.parametrize(
    "origins",
    [
        "shop.example",
        "https://shop.example/",
        "https://shop.example/path",
        "https://Shop.example",
        "https://shop.example:443",
        "http://shop.example:80",
        "https://*.example",
        "*, https://shop.example",
        "https://shop.example https://app.example",
        "https://",
        "https://shop.example:0",
        "https://user@shop.example",
    ],
)
def test_an_origin_that_no_browser_sends_is_refused_at_the_start(origins: str) -> None:
    with pytest.raises(SettingsError, match="cors_origins"):
        Cors(origins)


def test_origins_as_browsers_send_them() -> None:
    for origin in (SHOP, APP, "https://shop.example:8443", "http://[::1]:8080", "http://192.0.2.1", "capacitor://app"):
        assert Cors(f" {origin} ,").is_on
    assert not Cors(" , ").is_on
