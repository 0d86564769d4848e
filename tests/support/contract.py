"""Every answer of a gateway held against the OpenAPI document, and a record of which documented answers were seen.

`observed` wraps the one place that every answer passes (`Sender.pass_on`); `tests/gateway/conftest.py` does that
around each of its tests, which fail where an answer is not as documented. Stricter than what is published: there
clients are told to ignore members that they do not know; here a member that is not described is a mistake.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, NamedTuple

import jsonschema_rs
import msgspec
import pytest
from msgspec.structs import replace

from engine.gateway.answer import Answer, Headers, Heading
from engine.gateway.openapi.document import PROBLEM, build_document
from engine.gateway.openapi.problem_shapes import problem_name
from engine.gateway.problems import KINDS
from engine.gateway.sending import Sender


class Reached(NamedTuple):
    """An answer as the document knows it. `code` is empty where it is no refusal."""

    operation: str
    status: int
    code: str


REACHED: set[Reached] = set()
"""Seen in this process, since it began."""

NOWHERE = "-"
"""The operation of a request that took no route, or could not be read."""
_OF_HTTP = {"Server", "Date", "Connection", "Content-Type", "Content-Length", "Transfer-Encoding"}
"""Headers that the document leaves to HTTP."""
_OF_CORS = {"Access-Control-Allow-Origin", "Access-Control-Expose-Headers", "Vary"}
"""On any answer, where the setting says so."""
_READ_BEFORE_ROUTING = ("invalid_request", "headers_too_large", "timeout", "busy", "too_many_requests", "internal")


@lru_cache(maxsize=1)
def document() -> dict[str, Any]:
    return build_document()


def documented() -> set[Reached]:
    """All answers that the document names."""
    found = set()
    for item in document()["paths"].values():
        for operation in (each for method, each in item.items() if method != "parameters"):
            for status, response in operation["responses"].items():
                codes = codes_of(operation, status)
                if not codes or any(kind != PROBLEM for kind in _content(response)):
                    found.add(Reached(operation["operationId"], int(status), ""))
                found |= {Reached(operation["operationId"], int(status), code) for code in codes}
    return found


@lru_cache(maxsize=1_000)
def _codes(name: str, status: str) -> tuple[str, ...]:
    return tuple(codes_of(_by_id()[name], status))


def codes_of(operation: dict[str, Any], status: str) -> list[str]:
    """The codes that this operation has for that status; those of a HEAD are those of its GET."""
    name = operation["operationId"].removeprefix("head_")
    response = _by_id()[name]["responses"][status]
    shape = _content(response).get(PROBLEM, {}).get("schema", {})
    shapes = shape.get("oneOf", [shape] if shape else [])
    names = {each["$ref"].rpartition("/")[2] for each in shapes}
    return [code for code in KINDS if problem_name(code) in names]


def mistakes_in(method: str, route: str, answer: Answer) -> list[str]:
    """What the document does not say of this answer; notes it as reached."""
    item = document()["paths"].get(route, {})
    operation = item.get(method.lower()) if method != "parameters" else None
    return _elsewhere(answer) if operation is None else _documented(operation, method, answer)


def _documented(operation: dict[str, Any], method: str, answer: Answer) -> list[str]:
    response = operation["responses"].get(str(answer.status))
    if response is None:
        return [f"status {answer.status} is not documented"]
    response, content_type = _resolved(response), _content_type(answer)
    code = answer.outcome if content_type == PROBLEM else ""
    REACHED.add(Reached(operation["operationId"], answer.status, code))
    if code and code not in _codes(operation["operationId"], str(answer.status)):
        return [f"code {code} is not documented for status {answer.status}"]
    mistakes = _header_mistakes(_headers_of(operation["operationId"], str(answer.status)), answer)
    if method == "HEAD":
        return mistakes
    content = response.get("content", {})
    if not content:
        return mistakes + (["a body is not documented"] if answer.body else [])
    if content_type not in content:
        return [*mistakes, f"content type {content_type} is not documented"]
    if "json" in content_type:
        mistakes += _body_mistakes(content[content_type]["schema"], answer.body)
    return mistakes


def _elsewhere(answer: Answer) -> list[str]:
    """An address or a method that is not there, or a request that could not be read."""
    REACHED.add(Reached(NOWHERE, answer.status, answer.outcome))
    if answer.outcome == "preflight":
        return []
    if answer.outcome not in ("not_found", "method_not_allowed", *_READ_BEFORE_ROUTING):
        return [f"{answer.outcome} where no route was taken"]
    return _body_mistakes({"$ref": f"#/components/schemas/{problem_name(answer.outcome)}"}, answer.body)


def _header_mistakes(described: tuple["_Header", ...], answer: Answer) -> list[str]:
    headers, names = dict(answer.headers), {header.name for header in described}
    mistakes = [f"header {name} is not documented" for name in headers.keys() - names - _OF_HTTP - _OF_CORS]
    for header in described:
        value = headers.get(header.name)
        if value is not None:
            read = int(value) if header.is_number and value.isdigit() else value
            mistakes += [f"header {header.name}{why}" for why in _errors(header.validator, read)]
        elif header.is_required:
            mistakes.append(f"header {header.name} is missing")
    if len(headers) != len(answer.headers):
        mistakes.append("a header stands there twice")
    return mistakes


class _Header(NamedTuple):
    """A header of an answer, ready to be looked at."""

    name: str
    is_required: bool
    is_number: bool
    validator: jsonschema_rs.Draft202012Validator


@lru_cache(maxsize=1_000)
def _headers_of(operation: str, status: str) -> tuple[_Header, ...]:
    found = []
    for name, header in _resolved(_by_id()[operation]["responses"][status]).get("headers", {}).items():
        described = _resolved(header)
        shape = described["schema"]
        validator = _validator(msgspec.json.encode(shape))
        found.append(_Header(name, described["required"], shape["type"] == "integer", validator))
    return tuple(found)


def _body_mistakes(shape: dict[str, Any], body: bytes) -> list[str]:
    return [f"body{why}" for why in why_not(shape, msgspec.json.decode(body))]


def why_not(shape: dict[str, Any], value: object) -> list[str]:
    """What is wrong with a value that ought to have this shape."""
    return _errors(_validator(msgspec.json.encode(shape)), value)


def _errors(validator: jsonschema_rs.Draft202012Validator, value: object) -> list[str]:
    errors = validator.iter_errors(value)
    return [f" at {'/'.join(map(str, error.instance_path)) or '.'}: {error.message[:300]}" for error in errors]


@lru_cache(maxsize=1_000)
def _validator(shape: bytes) -> jsonschema_rs.Draft202012Validator:
    schema = {"allOf": [_strict(msgspec.json.decode(shape))], "components": {"schemas": _strict_schemas()}}
    return jsonschema_rs.Draft202012Validator(schema, validate_formats=True)


@lru_cache(maxsize=1)
def _strict_schemas() -> dict[str, Any]:
    return {name: _strict(shape) for name, shape in document()["components"]["schemas"].items()}


def _strict(shape: Any) -> Any:
    """The shape with members that are not described forbidden."""
    if isinstance(shape, list):
        return [_strict(each) for each in shape]
    if not isinstance(shape, dict):
        return shape
    found = {name: _strict(each) for name, each in shape.items()}
    if "properties" in found and found.get("type") == "object":
        found.setdefault("additionalProperties", False)
    return found


@lru_cache(maxsize=1)
def _by_id() -> dict[str, dict[str, Any]]:
    paths = document()["paths"].values()
    return {
        operation["operationId"]: operation
        for item in paths
        for method, operation in item.items()
        if method != "parameters"
    }


def _content(response: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = _resolved(response).get("content", {})
    return found


def _content_type(answer: Answer) -> str:
    return dict(answer.headers).get("Content-Type", "").partition(";")[0]


def _resolved(part: dict[str, Any]) -> dict[str, Any]:
    if "$ref" not in part:
        return part
    _, _, kind, name = part["$ref"].split("/")
    found: dict[str, Any] = document()["components"][kind][name]
    return found


@contextmanager
def observed(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Every answer that a gateway of this process gives meanwhile is looked at; gives the list of what was wrong."""
    mistakes: list[str] = []
    pass_on = Sender.pass_on

    def pass_on_and_look(self: Sender, endpoint: str, heading: Heading, answer: Answer) -> Headers:
        headers = pass_on(self, endpoint, heading, answer)
        completed = replace(answer, headers=(*headers, ("X-Request-Id", heading.request_id)))
        try:
            found = mistakes_in(heading.method, heading.route, completed)
        except Exception as error:  # it must not change what the gateway answers
            found = [repr(error)]
        mistakes.extend(
            f"{heading.method} {heading.route} {completed.status} {completed.outcome}: {each}" for each in found
        )
        return headers

    with monkeypatch.context() as patch:
        patch.setattr(Sender, "pass_on", pass_on_and_look)
        yield mistakes
