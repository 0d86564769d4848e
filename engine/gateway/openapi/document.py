"""The OpenAPI document, assembled."""

from collections.abc import Iterable, Iterator
from typing import Any, Final

from engine.gateway.openapi.card_shapes import CARD_SHAPES
from engine.gateway.openapi.claim_shapes import CLAIM_SHAPES
from engine.gateway.openapi.headers import EVERYWHERE, HEADERS, PARAMETERS, header_refs, of_problems
from engine.gateway.openapi.operation import CHAPTERS, NEEDS, Content, Operation, Success, Who
from engine.gateway.openapi.operations import OPERATIONS, refusals_of
from engine.gateway.openapi.ops_shapes import OPS_SHAPES
from engine.gateway.openapi.ops_voucher_operations import OPS_VOUCHER_SHAPES
from engine.gateway.openapi.page_shapes import PAGE_SHAPES
from engine.gateway.openapi.problem_shapes import body_shape, camel, problem_example, problem_shapes
from engine.gateway.openapi.quote_shapes import QUOTE_SHAPES
from engine.gateway.openapi.report_shapes import REPORT_SHAPES
from engine.gateway.openapi.shapes import identifier, text
from engine.gateway.openapi.shop_shapes import SHOP_SHAPES
from engine.gateway.openapi.statement_shapes import STATEMENT_SHAPES
from engine.gateway.problems import KINDS

VERSION: Final = "1.2.0"
"""Of the contract, not of the program. Another last number: words; middle: something was added; first: something that
clients rely on has changed (and then the addresses begin with another `/v…`)."""
PROBLEM: Final = "application/problem+json"
ELSEWHERE: Final = ("not_found", "method_not_allowed")
"""What any other address, and any other method, is answered with."""

_ABOUT: Final = """Timed drops of vouchers. JSON in UTF-8; fields of a request that are not known are ignored, and
clients have to ignore members of an answer that they do not know. Instants are RFC 3339 with an offset; what ends in
`_ms` are milliseconds; money is a whole number of the smallest unit; instants at which something expires are exclusive.

A refusal is `application/problem+json` (RFC 9457): `code` is for programs, `title` and `detail` are for people, in
Chinese or English by `Accept-Language`. `final` is true where the same request will not fare better later; where it is
false, `retry_after_ms` says when to come back. The first reason that applies is given, in the order in which the codes
stand here.

Any other address is answered with `not_found`, any other method with `method_not_allowed` and `Allow`. Where pages of
other origins may ask (a setting), answers carry `Access-Control-Allow-Origin`, and a preflight is answered with 204."""
_SECURITY: Final[dict[Who, list[dict[str, list[str]]]]] = {
    "anybody": [],
    "user": [{"bearer": []}],
    "user_or_ticket": [{"bearer": []}, {"ticket": []}],
    "merchant": [{"bearer": []}],
    "viewer": [{"bearer": []}],
    "operator": [{"bearer": []}],
}
_PATH_PARAMETERS: Final[dict[str, dict[str, Any]]] = {
    "wave": {"description": "Id of a wave", "schema": identifier(), "example": "try-it"},
    "campaign": {"description": "Id of a campaign", "schema": identifier(), "example": "try-it"},
    "code": {
        "description": "A voucher's code, as printed or as somebody types it",
        "schema": text(),
        "example": "7ZZS5N2CNT5750W5",
    },
    "redemption": {
        "description": "Id of a redemption, as its answer has it",
        "schema": text(),
        "example": "r-" + "934999ef" * 4,
    },
    "lock": {
        "description": "Id of a lock, as its answer has it",
        "schema": text(),
        "example": "l-" + "934999ef" * 4,
    },
    "slug": {
        "description": "A problem's code with `-` for `_`",
        "schema": text(enum=[kind.slug for kind in KINDS.values()]),
        "example": "sold-out",
    },
}


def build_document() -> dict[str, Any]:
    """The whole of it, as JSON has it."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Dropwave",
            "version": VERSION,
            "description": _ABOUT,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": name, "description": says.en} for name, says in CHAPTERS.items()],
        "paths": _paths(),
        "components": {
            "securitySchemes": _schemes(),
            "parameters": PARAMETERS,
            "headers": HEADERS,
            "responses": dict(sorted(_refusals())),
            "schemas": {
                **CLAIM_SHAPES,
                **CARD_SHAPES,
                **SHOP_SHAPES,
                **QUOTE_SHAPES,
                **STATEMENT_SHAPES,
                **PAGE_SHAPES,
                **OPS_SHAPES,
                **OPS_VOUCHER_SHAPES,
                **REPORT_SHAPES,
                **problem_shapes(),
            },
        },
    }


def response_name(codes: Iterable[str]) -> str:
    """What the answer with one of these codes is called under components."""
    return "Or".join(camel(code) for code in codes)


def _schemes() -> dict[str, dict[str, str]]:
    return {
        "bearer": {
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": "JWT",
            "description": "`Authorization: Bearer <token>`: a JWT with `sub`, `exp` and, for operators, `scope`.",
        },
        "ticket": {
            "type": "http",
            "scheme": "Ticket",
            "description": "`Authorization: Ticket <ticket>`, with a ticket for the wave of the address.",
        },
    }


def _paths() -> dict[str, dict[str, Any]]:
    paths: dict[str, dict[str, Any]] = {}
    for operation in OPERATIONS:
        item = paths.setdefault(operation.path, _path_item(operation.path))
        item[operation.method] = _operation(operation)
        if operation.method == "get" and operation.has_head:
            item["head"] = _head(operation)
    return paths


def _path_item(path: str) -> dict[str, Any]:
    names = [part[1:-1] for part in path.split("/") if part.startswith("{")]
    own = [{"name": name, "in": "path", "required": True, **_PATH_PARAMETERS[name]} for name in names]
    shared = [{"$ref": f"#/components/parameters/{name}"} for name in ("AcceptLanguage", "RequestId")]
    return {"parameters": own + shared}


def _operation(operation: Operation) -> dict[str, Any]:
    says = " ".join(part.en for part in (operation.more, NEEDS[operation.who]) if part.en)
    item: dict[str, Any] = {
        "operationId": operation.id,
        "tags": [operation.chapter],
        "summary": operation.title.en,
        **({"description": says} if says else {}),
        "security": _SECURITY[operation.who],
    }
    parameters = [{"$ref": f"#/components/parameters/{name}"} for name in operation.parameters]
    if parameters or operation.query:
        item["parameters"] = [*parameters, *operation.query]
    if operation.sent:
        item["requestBody"] = {"required": True, "content": _contents(operation.sent)}
    item["responses"] = _responses(operation)
    return item


def _responses(operation: Operation) -> dict[str, Any]:
    answers: dict[int, Any] = {success.status: _success(success) for success in operation.successes}
    for status, codes in refusals_of(operation).items():
        if status in answers:
            answers[status] = _either(answers[status], codes)
        else:
            answers[status] = {"$ref": f"#/components/responses/{response_name(codes)}"}
    return {str(status): answers[status] for status in sorted(answers)}


def _either(success: dict[str, Any], codes: tuple[str, ...]) -> dict[str, Any]:
    """One status for an answer that is no refusal and for problems: told apart by their type."""
    headers = {
        name: HEADERS[name] | {"required": False} if name not in success["headers"] else header
        for name, header in of_problems(codes).items()
    }
    content = success["content"] | {PROBLEM: {"schema": body_shape(codes)}}
    return success | {"headers": success["headers"] | headers, "content": content}


def _success(success: Success) -> dict[str, Any]:
    answer: dict[str, Any] = {
        "description": success.says.en,
        "headers": _success_headers(success),
    }
    if success.contents:
        answer["content"] = _contents(success.contents)
    return answer


def _success_headers(success: Success) -> dict[str, Any]:
    sometimes = {name: HEADERS[name] | {"required": False} for name in success.sometimes}
    return dict(sorted((header_refs((*EVERYWHERE, *success.headers)) | sometimes).items()))


def _head(operation: Operation) -> dict[str, Any]:
    """The same without the body."""
    answers = {success.status: _success_headers(success) for success in operation.successes}
    answers |= {status: of_problems(codes) for status, codes in refusals_of(operation).items()}
    item = {name: value for name, value in _operation(operation).items() if name not in ("requestBody", "responses")}
    return item | {
        "operationId": f"head_{operation.id}",
        "summary": f"{operation.title.en}: the headers alone",
        "responses": {
            str(status): {"description": "As for GET, without the body", "headers": answers[status]}
            for status in sorted(answers)
        },
    }


def _contents(contents: Iterable[Content]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for content in contents:
        found[content.media_type] = {"schema": content.shape}
        if content.example is not None:
            found[content.media_type]["example"] = content.example
        if content.examples is not None:
            found[content.media_type]["examples"] = content.examples
    return found


def _refusals() -> Iterator[tuple[str, dict[str, Any]]]:
    """Answers with problems, by name: each set of codes that an operation has for a status, and the two elsewhere."""
    sets = {codes for operation in OPERATIONS for codes in refusals_of(operation).values()}
    for codes in sets | {(code,) for code in ELSEWHERE}:
        examples = {code: {"summary": KINDS[code].title.en, "value": problem_example(code)} for code in codes}
        yield (
            response_name(codes),
            {
                "description": "; ".join(f"`{code}`: {KINDS[code].title.en}" for code in codes),
                "headers": of_problems(codes),
                "content": {PROBLEM: {"schema": body_shape(codes), "examples": examples}},
            },
        )
