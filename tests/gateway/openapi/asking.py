"""Sends an operation as the document has it, but for what a test changes."""

import re
from typing import Any
from urllib.parse import urlencode

from engine.gateway.openapi.operation import Operation
from tests.gateway.drop import Drop, Reply

ADDRESSES = {"wave": "one-open", "campaign": "one", "slug": "sold-out", "code": "7ZZS5N2CNT5750W5"}
ADDRESSES |= {"redemption": "r-" + "0" * 32, "lock": "l-" + "0" * 32}


def address(operation: Operation, **other: str) -> str:
    """Its path with parameters that are there, and what its query has to have."""
    path = re.sub(r"\{(\w+)\}", lambda match: (ADDRESSES | other)[match[1]], operation.path)
    query = {each["name"]: each["example"] for each in operation.query if each.get("required")}
    return f"{path}?{urlencode(query)}" if query else path


def right(drop: Drop, operation: Operation) -> str:
    """What `Authorization` has to be for it."""
    if operation.who == "anybody":
        return ""
    if operation.who in ("viewer", "operator"):
        return drop.token("li", scope="ops", role="operator")
    if operation.who == "merchant":
        return drop.token("till", scope="merchant", stores=["s1"])
    return drop.token()


async def ask(drop: Drop, operation: Operation, auth: str | None = None, **rest: Any) -> Reply:
    """The answer. `other`: other parameters of the path; the rest is for the client."""
    path = address(operation, **rest.pop("other", {}))
    if operation.sent and not {"json", "data"} & set(rest):
        content = operation.sent[0]
        rest["json"] = content.example or next(iter((content.examples or {}).values()))["value"]
    return await drop.call(operation.method.upper(), path, right(drop, operation) if auth is None else auth, **rest)
