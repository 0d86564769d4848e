"""What operators send, spoilt: bodies of acts, campaign files, lists, `If-Match`. None of it may change anything."""

import json
from random import Random
from typing import Final

from loadtests.fuzz.cases import Case, one
from loadtests.fuzz.kinds.bodies import spoilt_json
from loadtests.fuzz.kit import Kit

_ACTS: Final = (b"pause", b"resume", b"close", b"cancel", b"restock", b"move", b"void-tickets")
_REASONS: Final[tuple[object, ...]] = (
    "", " ", 1, None, [], {}, True, "a\x00b", "a\tb", "a\nb", "x" * 501, "\u2028", "\x7f", "\x1b[0m", 1e300, ["rain"],
)  # fmt: skip
_INSTANTS: Final[tuple[object, ...]] = (
    "tomorrow", "", 0, -1, 10**30, [], {}, True, "2026-13-45 99:99", "9999-12-31 23:59", "0000-00-00 00:00", "x" * 5_000, "\x00",
    "２０２６-01-01 00:00", "2026-01-01T00:00:00+99:99", "1970-01-01 00:00", 1e308,
)  # fmt: skip
_STOCKS: Final[tuple[object, ...]] = (
    None, [], "1", 1, {"{offer}": -1}, {"{offer}": "1"}, {"{offer}": 1.5}, {"{offer}": True}, {"{offer}": 10**30}, {"": 1},
    {"other": 1}, {"\x00": 1}, {"x" * 5_000: 1}, {"{offer}": None}, {"{offer}": [1]}, {},
)  # fmt: skip
_REFUSED: Final = frozenset(
    {"invalid_request", "unauthenticated", "forbidden", "unknown_wave", "unsupported_media_type", "act_refused", "busy"}
    | {"unknown_offer", "precondition_failed", "not_found"}
)
_IF_MATCH: Final = (
    b"*", b"x", b'"x"', b'"-1"', b'"01"', b'W/"1"', b'"1", "2"', b'"99999999999999999999"', b'""', b"1", b"\xff", b'"' * 3_000,
    b'"7"',
)  # fmt: skip


def bad_acts(draw: Random, kit: Kit, number: int) -> Case:
    """An act that lacks something, or whose actor lacks the right."""
    act = draw.choice((*_ACTS, *_ACTS, b"stop-all", b"start-all"))
    target = b"/v1/ops/%b" % act if act.endswith(b"-all") else b"/v1/ops/waves/%b/%b" % (kit.wave, act)
    token, body = _operator(kit, number), b""
    match draw.randrange(5):
        case 0:
            fields: dict[str, object] = {"reason": draw.choice(_REASONS), "stock": {}, "opens_at": "x"}
            body = json.dumps(fields).encode()
        case 1 if act in (b"restock", b"move", b"void-tickets"):
            offer = kit.offer.decode()
            stock = draw.choice(_STOCKS)
            if isinstance(stock, dict):
                stock = {name.replace("{offer}", offer): total for name, total in stock.items()}
            body = json.dumps(
                {"reason": "fuzz", "stock": stock, "opens_at": draw.choice(_INSTANTS), "before": draw.choice(_INSTANTS)}
            ).encode()
        case 2:
            spoilt = spoilt_json(draw, kit, number).data.partition(b"\r\n\r\n")[2]
            body = b"" if b"reason" in spoilt else spoilt
        case 3:
            body = b'{"reason":"a","reason":"fuzz","stock":{"%b":1,"%b":2},"opens_at":"x"}' % (kit.offer, kit.offer)
        case _:
            token = draw.choice(
                (kit.token(number), kit.token(number, "ops", "viewer"), kit.token(number, "ops", "root"), b"x")
            )
            body = b'{"reason":"fuzz","stock":{"%b":1},"opens_at":"2030-01-01 00:00"}' % kit.offer
    extra = b"Authorization: Bearer %b\r\nContent-Type: application/json\r\n" % token
    return one(number, "", kit.request(b"POST", target, b"%d" % number, extra, body), _REFUSED)


_FILES: Final = (
    b"", b"x", b"[]", b"null", b"- a\n- b", b"campaign: {id}\n", b"campaign: [{id}]", b"%YAML 1.1\n---\na: b", b"--- a\n--- b",
    b"a: &a [*a]", b"a: &a {b: *a}", b"!!python/object/apply:os.system [id]", b"a: !!binary x", b"<<: {a: b}", b"? [a]\n: b",
    b"a: |\n " + b"x" * 50_000, b"a: " + b"9" * 20_000, b"[" * 5_000, b"{a: " * 5_000, b"a: 1\na: 2", b"\tx: 1", b"a: \"\\ud800\"",
    b"a: \"\\UFFFFFFFF\"", b"\xef\xbb\xbfcampaign: x", b"\xff\xfec\x00", b"a: \x00", b"a: \x85b", b"a: *nothing", b"- " * 3_000,
    b"".join(b"a%d: &a%d [%b]\n" % (level, level, b",".join([b"*a%d" % (level - 1)] * 9) if level else b"x") for level in range(12)),
    b"campaign: {id}\ntitle: " + b"x" * 9_000, b"campaign: {id}\nwaves: [" + b"{}," * 2_000 + b"]", b"#" * 60_000,
    b"campaign: " + b"x" * 10_000, b"'", b"\"", b"a: 'b", b"a: [b", b"a: b: c", b"@", b"`", b"a: %", b": :", b"\r\r\r", b"a:\n\tb",
)  # fmt: skip
_TYPES: Final = (
    b"application/yaml",
    b"text/yaml; charset=utf-8",
    b"application/json",
    b"application/yaml; charset=gbk",
    b"x/y",
)


def bad_files(draw: Random, kit: Kit, number: int) -> Case:
    """A campaign file, with or without lists, that is none; or `If-Match` that names no revision."""
    text = draw.choice(_FILES).replace(b"{id}", kit.campaign)
    content_type, extra = draw.choice(_TYPES), b""
    query = draw.choice(
        (
            b"",
            b"?dry_run=1",
            b"?dry_run=%00",
            b"?dry_run=1&reason=%00",
            b"?reason=%ff%c0%af",
            b"?reason=%ed%a0%80&dry_run=%0a",
            b"?reason=" + b"x" * 3_000,
        )
    )
    if content_type == b"application/json" and draw.random() < 0.8:
        lists = draw.choice(
            (b"[]", b'{"a":1}', b'{"a":[1]}', b'{"":"x"}', b'{"a":"x","a":"y"}', b'{"\\u0000":["a"]}', b"null")
        )
        text = b'{"file":%b,"lists":%b}' % (json.dumps(text.decode("latin-1")).encode(), lists)
    if draw.random() < 0.3:
        extra = b"If-Match: %b\r\n" % draw.choice(_IF_MATCH)
    target = b"/v1/ops/campaigns/%b%b" % (
        draw.choice((kit.campaign, kit.campaign, b"other", b"%00", b"x" * 200)),
        query,
    )
    extra += b"Authorization: Bearer %b\r\nContent-Type: %b\r\n" % (_operator(kit, number), content_type)
    return one(number, "", kit.request(b"PUT", target, b"%d" % number, extra, text), _REFUSED)


def _operator(kit: Kit, number: int) -> bytes:
    return kit.token(number, "ops", "operator")
