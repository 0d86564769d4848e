"""Identity as it is met from outside: a gateway with an issuer's keys of every kind, and who tries to get in."""

import base64
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from engine.domain.tickets import Ticket, TicketBook
from engine.gateway.identity.minting import Marks, mint_token
from engine.settings import Settings
from tests.gateway.drop import Drop, Reply, running_drop
from tests.gateway.identity.issuers import (
    ALGORITHMS,
    SECRET,
    jwk_of,
    jwks_of,
    part,
    pem_of,
    private_key,
    signature_of,
    token_of,
)
from tests.support.waiting import wait_until

A = {"offer": "a"}
MARKS = Marks("https://issuer.example", "dropwave")
KEYS = [jwk_of(algorithm, kid=algorithm) for algorithm in ALGORITHMS[1:]]


@pytest.fixture
def keys_file(tmp_path: Path) -> Path:
    path = tmp_path / "jwks.json"
    path.write_text(jwks_of(*KEYS))
    return path


@pytest.fixture
async def drop(drop_settings: Settings, keys_file: Path) -> AsyncIterator[Drop]:
    settings = replace(
        drop_settings,
        jwt_secret=SECRET.decode(),
        jwt_keys_file=str(keys_file),
        jwt_issuer=f"https://other.example,{MARKS.iss}",
        jwt_audience=MARKS.aud,
    )
    async with running_drop(settings) as drop:
        yield drop


def said(reply: Reply) -> tuple[int, str]:
    return reply.status, reply["code"]


def claims_of(sub: str = "u1", **rest: Any) -> dict[str, Any]:
    return {"sub": sub, "exp": time.time() + 600, **MARKS._asdict(), **rest}


def bearer(algorithm: str, sub: str = "u1", number: int = 0, **rest: Any) -> str:
    header = {"alg": algorithm, "typ": "JWT", "kid": algorithm}
    return "Bearer " + token_of(claims_of(sub, **rest), algorithm, header, number)


async def test_each_kind_of_token_claims(drop: Drop) -> None:
    for algorithm in ALGORITHMS:
        assert (await drop.claim("one-open", A, bearer(algorithm, algorithm))).status == 201
        assert (await drop.claim("one-open", A, bearer(algorithm, algorithm, scope="claim ops"))).status == 200
    minted = mint_token(private_key("RS256"), "RS256", ttl_s=60, marks=MARKS, kid="RS256")
    assert (await drop.claim("one-open", A, f"Bearer {minted}")).status == 200


def attacks() -> dict[str, str]:
    """The tokens with which an attacker without a key would try, and those of others than our issuer."""
    good = claims_of("attacker")
    json_of_good = part(json.dumps(good).encode())
    rsa_pem = pem_of("RS256").encode()
    confused = part(b'{"alg":"HS256","kid":"RS256"}') + "." + json_of_good
    der = base64.b64decode("".join(pem_of("RS256").splitlines()[1:-1]))
    text, _, signature = token_of(good, "ES256", {"alg": "ES256", "kid": "ES256"}).rpartition(".")
    return {
        "none": part(b'{"alg":"none"}') + f".{json_of_good}.",
        "None, with a signature": token_of(good, header={"alg": "None"}),
        "confusion, PEM": f"{confused}.{part(signature_of('HS256', confused.encode(), secret=rsa_pem))}",
        "confusion, DER": f"{confused}.{part(signature_of('HS256', confused.encode(), secret=der))}",
        "another key": token_of(good, "EdDSA", {"alg": "EdDSA", "kid": "EdDSA"}, number=1),
        "its own key": token_of(good, "ES256", {"alg": "ES256", "jwk": jwk_of("ES256", 1)}, number=1),
        "a fetched key": token_of(good, "ES256", {"alg": "ES256", "jku": "https://attacker.example"}, number=1),
        "injection": token_of(good, "ES256", {"alg": "ES256", "kid": "x' UNION SELECT 'key"}, number=1),
        "path": token_of(good, "HS256", {"alg": "HS256", "kid": "../../dev/null"}, secret=b"\x00" * 32),
        "cut": f"{text}.{signature[:-4]}",
        "altered": f"{text}.{signature[:9]}{'A' if signature[9] != 'A' else 'B'}{signature[10:]}",
        "other claims": f"{text.partition('.')[0]}.{part(json.dumps(claims_of('u1')).encode())}.{signature}",
        "crit": token_of(good, header={"alg": "HS256", "crit": ["exp"]}),
        "twice": token_of(json.dumps(good).encode()[:-1] + b',"sub":"u2"}'),
        "nested": token_of(json.dumps(token_of(good)).encode(), header={"alg": "HS256", "cty": "JWT"}),
        "not yet": token_of(good | {"nbf": time.time() + 60}),
        "another issuer": token_of(good | {"iss": "https://attacker.example"}),
        "no issuer": token_of({name: value for name, value in good.items() if name != "iss"}),
        "another audience": token_of(good | {"aud": ["elsewhere"]}),
        "no audience": token_of({name: value for name, value in good.items() if name != "aud"}),
        "no end": token_of({name: value for name, value in good.items() if name != "exp"}),
        "NaN": token_of(good | {"exp": float("nan")}),
        "far": token_of(good | {"exp": 10**40}),
        "true": token_of(good | {"exp": True}),
        "nobody": token_of(good | {"sub": ""}),
        "of tickets": token_of(good, secret=b"t" * 32),
    }


async def test_no_attack_gets_through_and_nothing_is_written(drop: Drop) -> None:
    for name, token in attacks().items():
        for auth in (f"Bearer {token}", f"bearer  {token} "):
            assert said(await drop.claim("one-open", A, auth)) == (401, "unauthenticated"), name
        reply = await drop.call("POST", "/v1/waves/one-open/tickets", f"Bearer {token}")
        assert (said(reply), reply.headers["WWW-Authenticate"]) == (
            (401, "unauthenticated"),
            'Bearer realm="dropwave"',
        ), name
        assert token not in str(reply)
        assert (await drop.call("GET", "/v1/ops/campaigns", f"Bearer {token}")).status == 401, name
    assert said(await drop.claim("one-open", A, bearer("ES256", exp=time.time() - 60))) == (401, "token_expired")
    huge = token_of(claims_of(), header={"alg": "HS256", "kid": "k" * 10_000})
    assert said(await drop.claim("one-open", A, f"Bearer {huge}")) == (431, "headers_too_large")
    for scheme in ("Basic", "Ticket", "", "Bearer Bearer", "JWT"):
        reply = await drop.claim("one-open", A, f"{scheme} {bearer('HS256').partition(' ')[2]}")
        assert reply.status == 401, scheme
    for sub in ("attacker", "u1", "u2"):
        mine = await drop.call("GET", "/v1/waves/one-open/claims", bearer("HS256", sub))
        assert (mine.status, mine["claims"]) == (200, []), sub


async def test_a_scope_is_needed_and_no_other_will_do(drop: Drop) -> None:
    for scope in ("merchant", "ops", "", "Claim", "claims", "claim,ops", "xclaim"):
        assert said(await drop.claim("one-open", A, bearer("ES256", scope=scope))) == (403, "forbidden"), scope
    for rest in ({}, {"scope": "merchant"}, {"scope": "opsx"}, {"role": "operator"}, {"stores": ["s1"]}):
        auth = bearer("ES256", **rest)
        assert said(await drop.call("GET", "/v1/ops/campaigns", auth)) == (403, "forbidden"), rest
    for role in ("", "viewer", "Operator", "operator viewer", "admin"):
        auth = bearer("ES256", scope="ops", role=role)
        reply = await drop.call("POST", "/v1/ops/waves/one-open/pause", auth, json={"reason": "r"})
        assert said(reply) == (403, "forbidden"), role


async def test_a_key_that_is_rotated_out_lets_nobody_in_again(drop: Drop, keys_file: Path) -> None:
    old, new = bearer("ES256"), bearer("ES256", number=1)
    assert (await drop.claim("one-open", A, old)).status == 201
    assert said(await drop.claim("one-open", A, new)) == (401, "unauthenticated")

    async def status(auth: str) -> int:
        return (await drop.call("GET", "/v1/waves/one-open/claims", auth)).status

    async def takes_new() -> bool:
        return await status(new) == 200

    keys_file.write_text(jwks_of(*KEYS[:1], *KEYS[2:], jwk_of("ES256", 1, kid="ES256")))
    await wait_until(takes_new)
    assert said(await drop.claim("one-open", A, old)) == (401, "unauthenticated"), "though it was remembered"
    keys_file.unlink()
    assert await status(new) == 200
    assert await status(bearer("HS256")) == 200


async def test_tickets_of_others(drop: Drop) -> None:
    issued = await drop.call("POST", "/v1/waves/one-open/tickets", bearer("EdDSA", "u1"))
    ticket = str(issued["ticket"])
    fields = base64.urlsafe_b64decode(ticket[5:-22] + "==="[: -len(ticket[5:-22]) % 4])
    another = base64.urlsafe_b64encode(fields.replace(b"\tu1\t", b"\tu2\t")).decode().rstrip("=")
    elsewhere = base64.urlsafe_b64encode(fields.replace(b"one-open", b"one-over")).decode().rstrip("=")
    assert fields.count(b"u1") == fields.count(b"one-open") == 1
    for forged in (
        f"{ticket[:5]}{another}{ticket[-22:]}",
        f"{ticket[:5]}{elsewhere}{ticket[-22:]}",
        *(ticket[:-22] + ticket[-22:][:cut] for cut in range(22)),
        *(f"{ticket[:place]}{'A' if ticket[place] != 'A' else 'B'}{ticket[place + 1 :]}" for place in range(-22, -1)),
        ticket + "A",
        ticket + "=",
    ):
        for wave in ("one-open", "one-over"):
            assert said(await drop.claim(wave, A, f"Ticket {forged}")) == (401, "unauthenticated"), forged
    for place in range(1, 5):  # the name of the key
        forged = f"{ticket[:place]}{'A' if ticket[place] != 'A' else 'B'}{ticket[place + 1 :]}"
        assert said(await drop.claim("one-open", A, f"Ticket {forged}")) == (401, "ticket_expired")
    for wave in ("one-over", "one-later"):
        assert said(await drop.claim(wave, A, f"Ticket {ticket}")) == (401, "ticket_mismatch")
    assert said(await drop.claim("one-open", A, f"Bearer {ticket}")) == (401, "unauthenticated")
    strangers = TicketBook([b"x" * 32]).mint(Ticket("one", "one-open", "u1", "u1", "account", "", 2**40))
    assert said(await drop.claim("one-open", A, f"Ticket {strangers}")) == (401, "ticket_expired")
    for sub in ("u1", "u2"):
        assert (await drop.call("GET", "/v1/waves/one-open/claims", bearer("HS256", sub)))["claims"] == []
    claimed = await drop.claim("one-open", A, f"Ticket {ticket}")
    assert claimed.status == 201
    mine = await drop.call("GET", "/v1/waves/one-open/claims", bearer("HS256", "u1"))
    assert [claim["id"] for claim in mine["claims"]] == [claimed["claim"]["id"]]
