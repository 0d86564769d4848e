"""Answers as they stand on the wire, taken apart."""

import re
from typing import Final, NamedTuple

import msgspec
from msgspec import Struct

_STATUS_LINE: Final = re.compile(rb"HTTP/1\.([01]) ([1-5]\d\d) [\t -~\x80-\xff]*")
_FIELD: Final = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+): ([\t -~\x80-\xff]*)")
PROBLEM_TYPE: Final = b"application/problem+json"


class ProblemBody(Struct, frozen=True):
    """The members of a problem that each has."""

    type: str
    title: str
    status: int
    code: str
    final: bool
    detail: str = ""
    at: str = ""


class Answer(NamedTuple):
    """One answer. `code` is that of its problem, or its status where it is none."""

    status: int
    code: str
    headers: dict[bytes, bytes]
    body: bytes
    is_last: bool
    flaw: str = ""
    """What is wrong with it whatever was asked."""

    @property
    def request_id(self) -> bytes:
        """The name of the request that it answers."""
        return self.headers.get(b"x-request-id", b"")

    @property
    def is_interim(self) -> bool:
        """`100 Continue`."""
        return self.status == 100


class NoAnswer(Exception):
    """These bytes are no answer."""


def take_answer(data: bytes, place: int, *, to_head: bool) -> tuple[Answer, int] | None:
    """The answer at that place and where it ends; None where it is not all there. Raises NoAnswer."""
    head_end = data.find(b"\r\n\r\n", place)
    if head_end < 0:
        if len(data) - place > 65_536:
            raise NoAnswer("a head without end")
        return None
    line, *lines = data[place:head_end].split(b"\r\n")
    match = _STATUS_LINE.fullmatch(line)
    fields = [_FIELD.fullmatch(each) for each in lines]
    if match is None or None in fields:
        raise NoAnswer(repr(data[place : place + 80]))
    headers = {field[1].lower(): field[2] for field in fields if field}
    status, start = int(match[2]), head_end + 4
    has_body = not (to_head or status in (100, 204, 304))
    if has_body and not headers.get(b"content-length", b"").isdigit():
        raise NoAnswer("an answer of no stated length")
    end = start + (int(headers[b"content-length"]) if has_body else 0)
    if end > len(data):
        return None
    body = data[start:end]
    connection = headers.get(b"connection", b"").lower()
    is_last = connection == b"close" or (match[1] == b"0" and connection != b"keep-alive")
    code, flaw = _look_at(status, headers, body, has_body=has_body)
    return Answer(status, code, headers, body, is_last and status != 100, flaw), end


def _look_at(status: int, headers: dict[bytes, bytes], body: bytes, *, has_body: bool) -> tuple[str, str]:
    """Its code, and what is wrong with its form."""
    if status < 400 or not has_body:
        return str(status), ""
    try:
        problem = msgspec.json.decode(body, type=ProblemBody)
    except msgspec.DecodeError:
        return str(status), "an error that is no problem"
    if headers.get(b"content-type") != PROBLEM_TYPE:
        return problem.code, "a problem of another content type"
    if problem.status != status:
        return problem.code, "a problem of another status"
    return problem.code, "a stack trace" if b"Traceback" in body or b'File \\"' in body else ""
