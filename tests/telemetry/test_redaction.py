"""Whatever way a secret takes into a log line, it does not come out."""

import json
import random
import time
import traceback
from typing import Any

import asyncpg
import pytest
from msgspec import Struct

from engine.domain.codes import campaign_prefix, new_code
from engine.domain.tickets import Ticket, TicketBook
from engine.errors import LedgerError
from engine.gateway.identity.minting import mint_token
from engine.telemetry import redact
from engine.telemetry.redaction import HIDDEN, hide_secrets

TOKEN = mint_token(b"k" * 32, "u1", ttl_s=60)
TICKET = TicketBook([b"k" * 32]).mint(Ticket("c", "w", "u1", "u1", "account", "", 0))
CODE = "7ZZS5N2CNT5750W5"
PERSON = "sha256-of-somebody"

KEPT = [
    "campaign hubei-2021, wave hubei-2021-r1-b1 at 2026-11-21T22:26:50.123456Z",
    "request 1b4e28ba-2fa1-11d2-883f-0016d3cca427 of trace 4bf92f3577b34da6a3ce929d0e0e4736",
    "request a1b2c3d4e5f6-1f answered in 12.345 ms with 201, 1637512345678",
    "Redis at 127.0.0.1:6379, Postgres at [::1]:5432/dropwave",
    "http://collector:4318/v1/traces",
    "the ledger is at 3-1024, and the log goes on with 3-1025 (SQLSTATE 57P01)",
    "writer waits: LedgerUnavailable: Postgres is not reachable: [Errno 111] Connect call failed ('127.0.0.1', 5432)",
    'File "/usr/lib/python3.11/asyncio/base_events.py", line 1085, in create_connection',
    "一张消费券：满 30 减 10",
]


def hides(value: Any, *secrets: str, key: str = "error") -> str:
    told = str(redact(None, "info", {"event": "told", key: value}))
    for secret in secrets:
        assert secret not in told
        assert secret.lower() not in told.lower()
    assert HIDDEN in told
    return told


def spellings(code: str) -> list[str]:
    fours = [code[start : start + 4] for start in range(0, 16, 4)]
    return [
        code,
        code.lower(),
        code.swapcase(),
        "-".join(fours),
        " ".join(fours).lower(),
        f"{code[:3]} {code[3:15]} {code[15]}",
        f"{code[:3]}-{code[3:15]}-{code[15]}".lower(),
        f"{code[:8]}-{code[8:]}",
    ]


def test_codes_however_they_are_typed(seed: int) -> None:
    draw = random.Random(seed).getrandbits
    for number in range(40):
        code = new_code(campaign_prefix(number), draw)
        for spelling in spellings(code):
            for text in (
                spelling,
                f"voucher {spelling} is void",
                f"«{spelling}»",
                f"path=/v1/vouchers/{spelling}?x=1",
                f"x_{spelling}_y" if " " not in spelling and "-" not in spelling else f"({spelling})",
                repr(f"first line\n{spelling}\tp"),
                repr(f"1\t{spelling}\tp".encode()),
                json.dumps({"list": [spelling]}),
                f"q=%20{spelling.replace(' ', '')}",
            ):
                assert spelling not in hide_secrets(text), text


@pytest.mark.parametrize("secret", [TOKEN, TICKET])
@pytest.mark.parametrize(
    "text",
    [
        "{}",
        "Bearer {}",
        "bearer  {}",
        "Ticket%20{}",
        "GET /v1/me/claims?access_token={}&x=1",
        "GET /v1/x?auth=Bearer+{}",
        "b'Authorization: Bearer {}\\r\\n'",
        "{{'Authorization': 'Ticket {}', 'Accept': '*/*'}}",
        "header\\n{}\\n",
        "unexpected {},",
    ],
)
def test_tokens_and_tickets_in_texts(text: str, secret: str) -> None:
    hides(text.format(secret), secret, secret[-22:])


def test_a_token_that_was_cut_is_none_the_less_one() -> None:
    hides(f"not a token: {TOKEN[:30]}…", TOKEN[:30])
    header, payload, _ = TOKEN.split(".")
    hides(f"{header}.{payload}", payload)


def test_values_under_telling_names() -> None:
    for text in (
        "person=ab12",
        "person='ab12'",
        '{"person": "ab12"}',
        "{'claimant': 'ab12', 'account': 'u1'}",
        "Ask(wave_no=1, request_no=1, offers=(1,), claimant='ab12', account='u1', broken_rule='')",
        "?token=ab12&person=ab12#x",
        "person%3Dab12",
        "host=db password=ab12 dbname=x",
        "DROPWAVE_JWT_SECRET=ab12",
        "x-api-key: ab12",
        r"claimant='it\'s ab12'",
    ):
        hides(text, "ab12")
    assert "account='u1'" in hides("Ask(claimant='ab12', account='u1')", "ab12")


class Ask(Struct):
    claimant: str
    account: str
    code: str


def test_values_of_every_type_and_depth() -> None:
    hides({"deep": [{"er": ({"still": [TICKET, {"person": PERSON}]},)}]}, TICKET, PERSON)
    deep: Any = {"person": PERSON, "text": TICKET}
    for _ in range(12):
        deep = {"down": [deep]}
    hides(deep, PERSON, TICKET)
    hides({CODE: "a code as a key"}, CODE)
    hides({"headers": {"X-Authorization": "abc12", "Set-Cookie": "abc12"}}, "abc12")
    hides({"voucher_code": "abc12", "person_hash": 1, "status_code": 409}, "abc12")
    hides(f"Ticket {TICKET}".encode(), TICKET)
    hides(bytearray(CODE.encode()), CODE)
    hides(memoryview(CODE.encode()), CODE)
    hides(Ask(PERSON, "u1", CODE.lower()), PERSON, CODE)
    hides(ValueError(f"bad {CODE}"), CODE)
    hides({TICKET}, TICKET)
    assert redact(None, "info", {"status_code": 409, "exit_code": 1})["status_code"] == 409


@pytest.mark.parametrize("password", ["hunter2", "hun/ter2", "hun@ter2", "hun:ter2", "%68unter2"])
@pytest.mark.parametrize("scheme", ["redis", "postgresql", "postgres+asyncpg"])
def test_passwords_in_addresses(scheme: str, password: str) -> None:
    told = hides(f"connect to {scheme}://someone:{password}@db.example:5432/x failed", password)
    assert f"{scheme}://someone:" in told
    assert "@db.example:5432/x failed" in told
    hides(f"{scheme}://:{password}@db.example", password)


def test_private_keys() -> None:
    hides("-----BEGIN EC PRIVATE KEY-----\nMHcCAQEEIB\nabcdef\n-----END EC PRIVATE KEY-----", "MHcCAQEEIB", "abcdef")
    hides("cut: -----BEGIN PRIVATE KEY-----\nMHcCAQEEIB", "MHcCAQEEIB")


def test_what_the_stores_quote() -> None:
    for text in (
        f"DataError: invalid input for query argument $3: '{PERSON}' (expected int)",
        f"DataError: invalid input for query argument $1 in element #0 of executemany() sequence: {PERSON}",
        f"DETAIL:  Key (campaign_no, claimant, nth)=(1, {PERSON}, 1) already exists.",
        f"DETAIL:  Failing row contains (1, 2, {PERSON}, null).",
        f'CONTEXT:  COPY claims, line 1, column claimant: "{PERSON}"',
        f"ResponseError: unknown command 'HMGETX', with args beginning with: 'x' '{PERSON}'",
    ):
        hides(text, PERSON)


async def test_what_postgres_really_says(ledger) -> None:
    """The whole traceback of a failed statement, causes included, as `log.exception` would tell it."""
    for statement, arguments in (
        ("select $1::int", (PERSON,)),
        ("select $1::text::int", (PERSON,)),
        ("select cast($1::text as uuid)", (CODE,)),
        ("insert into leases (role, holder, term, until) values ($1, $1, 1, $1)", (PERSON,)),
    ):
        with pytest.raises((LedgerError, asyncpg.PostgresError)) as failed:
            await ledger.fetch(statement, *arguments)
        told = "".join(traceback.format_exception(failed.value))
        clean = hide_secrets(told)
        assert PERSON not in clean, clean
        assert CODE not in clean, clean


@pytest.mark.parametrize("text", KEPT)
def test_what_is_no_secret_stays(text: str) -> None:
    assert hide_secrets(text) == text


@pytest.mark.parametrize(
    "piece",
    ["a", "a-", "a://b:", "a://b", "token   ", "abc_", "person='\\", "Key (", "invalid input value for ", "eyJ.", "1_"],
)
def test_no_text_takes_long(piece: str) -> None:
    """A text from outside that finds its way into a line must not hold the event loop."""
    text = piece * (1_000_000 // len(piece))
    began_s = time.process_time()
    assert len(hide_secrets(text)) < 100_000
    assert time.process_time() - began_s < 3


@pytest.mark.parametrize(
    "typed",
    [
        "7ZZSSN2CNTS7SOWS",
        "7zzssn2cnts7sOwl",
        "7ZZS–5N2C–NT57–50W5",  # dashes as phones type them
        "7ZZS - 5N2C - NT57 - 50W5",
        "７ＺＺＳ５Ｎ２ＣＮＴ５７５０Ｗ５",  # as Chinese keyboards type them
        "I2O4-S67L-NT57-5OW5",
    ],
)
def test_a_code_as_somebody_typed_it(typed: str) -> None:
    assert hide_secrets(f"no voucher {typed} there") == f"no voucher {HIDDEN} there"
