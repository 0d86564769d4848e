"""The document by itself: valid, complete, the same as what is routed and what is kept in docs/; its page."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from engine.gateway.openapi.__main__ import printed
from engine.gateway.openapi.document import ELSEWHERE
from engine.gateway.openapi.operations import BEFORE_ROUTING, OPERATIONS, refusals_of
from engine.gateway.openapi.ops_shapes import CAMPAIGN_EXAMPLES
from engine.gateway.problems import KINDS
from tests.gateway.drop import Drop
from tests.support.contract import codes_of, document, why_not

ROOT = Path(__file__).parents[3]
METHODS = {"get", "head", "post", "put", "delete", "patch", "options", "trace"}


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Path, method and operation."""
    for path, item in document()["paths"].items():
        yield from ((path, method, item[method]) for method in METHODS & set(item))


def test_it_is_a_valid_document() -> None:
    errors = [str(error) for error in OpenAPIV31SpecValidator(document()).iter_errors()]
    assert not errors


def test_the_file_in_docs_is_up_to_date() -> None:
    kept = (ROOT / "docs" / "openapi.json").read_text("utf-8")
    assert kept == printed(), "stale: python -m engine.gateway.openapi > docs/openapi.json"


async def test_every_route_is_documented_and_every_operation_is_routed(drop: Drop) -> None:
    app = drop.gateway._runner.app
    assert app is not None
    routed = {
        (route.resource.canonical, route.method.lower()) for route in app.router.routes() if route.resource is not None
    }
    assert routed == {(path, method) for path, method, _ in operations()}


async def test_other_methods_are_refused_with_those_that_are_documented(drop: Drop) -> None:
    allowed: dict[str, set[str]] = {}
    for path, method, _ in operations():
        allowed.setdefault(path, set()).add(method.upper())
    for path, methods in allowed.items():
        address = re.sub(r"\{\w+\}", "one", path)
        for method in ("OPTIONS", "DELETE", "PATCH", "TRACE", "HEAD", "GET", "PUT", "POST"):
            if method in methods:
                continue
            reply = await drop.call(method, address)
            assert reply.status == 405, (method, address)
            assert set(reply.headers["Allow"].split(",")) == methods, address


def test_every_code_is_documented_in_the_order_of_the_contract() -> None:
    found = set(ELSEWHERE)
    for _, method, operation in operations():
        if method == "head":
            continue
        for status in operation["responses"]:
            codes = codes_of(operation, status)
            assert codes == sorted(codes, key=list(KINDS).index)
            assert all(KINDS[code].status == int(status) for code in codes)
            found |= set(codes)
    assert found == set(KINDS)
    assert {code for each in OPERATIONS for codes in refusals_of(each).values() for code in codes} >= BEFORE_ROUTING


def test_names_are_unique_and_every_shape_is_used() -> None:
    names = [operation["operationId"] for _, _, operation in operations()]
    assert len(names) == len(set(names))
    assert len({operation.id for operation in OPERATIONS}) == len(OPERATIONS)
    text = msgspec.json.encode(document()).decode()
    for kind, parts in document()["components"].items():
        for name in parts:
            uses = text.count(f'"#/components/{kind}/{name}"') + text.count(f'{{"{name}":[]}}')
            assert uses or name in ("NotFound", "MethodNotAllowed"), f"{kind}/{name}"


def examples() -> Iterator[tuple[str, dict[str, Any], Any]]:
    """Where it stands, its shape, the example."""
    found: list[tuple[str, dict[str, Any]]] = []
    for path, method, operation in operations():
        found.append((f"{method} {path} sent", operation.get("requestBody", {})))
        found += [(f"{method} {path} {status}", each) for status, each in operation["responses"].items()]
    found += [(name, each) for name, each in document()["components"]["responses"].items()]
    for where, part in found:
        for content in part.get("content", {}).values():
            shown = [each["value"] for each in content.get("examples", {}).values()]
            for example in [*shown, *([content["example"]] if "example" in content else [])]:
                yield where, content["schema"], example


def test_every_example_is_true_to_its_shape() -> None:
    found = list(examples())
    assert len(found) > 50
    for where, shape, example in found:
        assert not why_not(shape, example), where


def test_every_object_sent_as_json_has_an_example() -> None:
    for path, method, operation in operations():
        for media_type, content in operation.get("requestBody", {}).get("content", {}).items():
            assert "json" not in media_type or "example" in content or "examples" in content, (method, path)


async def test_the_examples_of_campaigns_can_be_put(drop: Drop) -> None:
    for example in CAMPAIGN_EXAMPLES.values():
        auth = drop.token("li", scope="ops", role="operator")
        reply = await drop.call("PUT", "/v1/ops/campaigns/try-it?dry_run=1", auth, json=example["value"])
        assert (reply.status, reply["refusals"]) == (200, []), reply


async def test_it_is_served_with_a_tag(drop: Drop) -> None:
    served = await drop.call("GET", "/openapi.json")
    assert (served.status, served.body) == (200, document())
    assert served.headers["Cache-Control"] == "public, max-age=300"
    same = await drop.call("GET", "/openapi.json", headers={"If-None-Match": served.headers["ETag"]})
    assert (same.status, same.body, same.headers["ETag"]) == (304, b"", served.headers["ETag"])
    assert (await drop.call("GET", "/openapi.json", headers={"If-None-Match": '"0"'})).status == 200


@pytest.mark.parametrize(("header", "language", "words"), [("", "en", "Get a ticket"), ("zh-CN", "zh", "获取领取凭证")])
async def test_the_page_shows_all_of_it_and_loads_nothing(drop: Drop, header: str, language: str, words: str) -> None:
    page = await drop.call("GET", "/docs", headers={"Accept-Language": header})
    text = page.body.decode()
    assert page.headers["Content-Language"] == language
    assert words in text
    for path, method, operation in operations():
        if method != "head":
            assert f'id="{operation["operationId"]}"' in text, path
    for code in KINDS:
        assert f'id="code-{code}"' in text
    until = {"en": "until the instant that it names, and 0–500 ms", "zh": "至所示时刻，另加 0–500 ms"}[language]
    assert text.count(until) == sum(kind.retry is not None and not kind.retry.at_least_ms for kind in KINDS.values())
    for name in document()["components"]["schemas"]:
        assert name.endswith("Problem") or f'id="shape-{name}"' in text, name
    targets = set(re.findall(r'href="#([^"]+)"', text))
    assert targets <= set(re.findall(r'id="([^"]+)"', text)), "links within the page lead somewhere"
    assert not re.search(r"<(script|img|link|iframe|form)|https?://|\son\w+=|style=", text)
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    same = await drop.call("GET", "/docs", headers={"Accept-Language": header, "If-None-Match": page.headers["ETag"]})
    assert (same.status, same.headers["Vary"]) == (304, "Accept-Language")


async def test_the_page_of_another_language_is_another_page(drop: Drop) -> None:
    tags = [
        (await drop.call("GET", "/docs", headers={"Accept-Language": each})).headers["ETag"] for each in ("en", "zh")
    ]
    assert tags[0] != tags[1]
