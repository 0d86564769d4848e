"""A rehearsal in a running installation: what is real is not touched, and nothing stays open."""

import asyncio
import contextlib
import json
import re
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from msgspec.structs import replace

from engine.domain.campaign import Eligibility, Limit, TagRule
from engine.domain.eligibility import Identity
from engine.domain.tickets import TicketBook
from engine.errors import CannotRun, UsageError
from engine.gateway.identity.minting import mint_token
from engine.gateway.keyring import Keyring
from engine.gateway.problems import KINDS
from engine.hotstore import keys
from engine.hotstore.view import read_shard
from engine.rehearsal.client import Address, Pool
from engine.rehearsal.plan import draw_plan
from engine.rehearsal.requests import Requests
from engine.rehearsal.sandbox import sandbox_ids
from engine.rehearsal.visit import Visit, rehearse_at
from engine.settings import Settings
from engine.wiring import Stores
from tests.rehearsal.machine import Pictures, campaign, machine, put, settings_of, token_maker
from tests.support.waiting import wait_until

USERS = 320
REAL_CLAIMS = 12
TABLES = ("campaigns", "cursors", "offers", "terms", "waves", "stocks", "claims", "vouchers", "acts", "trail")


def visit_of(settings: Settings, port: int, seed: int, claims_max: int = 1, **rules: object) -> Visit:
    """A rehearsal of the real campaign's second wave, which is of tomorrow."""
    keyring = Keyring.of(settings)
    rehearsed = campaign(datetime.now(UTC).replace(microsecond=0), **rules)
    wave = rehearsed.waves[1]
    ids = sandbox_ids(rehearsed.id, wave.id, seed, time.time_ns())
    plan = draw_plan(
        ids.wave,
        wave.stock,
        USERS,
        seed,
        claims_max=claims_max,
        countdown_ms=2_000,
        tokens=rehearsed.eligibility.allow is None,
        spread_ms=600,
        prefix=ids.users,
    )
    return Visit(
        address=Address.of(f"http://127.0.0.1:{port}"),
        campaign=rehearsed,
        wave=wave,
        ids=ids,
        plan=plan,
        opens_in_s=2,
        operator_token=mint_token(keyring.token_keys[0], "tests", ttl_s=600, scope="ops", role="operator"),
        mint_ticket=TicketBook(keyring.ticket_keys).mint,
        mint_token=token_maker(settings),
        documented={code: kind.status for code, kind in KINDS.items()},
    )


async def get(visit: Visit, path: str, token: str = "") -> Any:
    """A page, without the age of its figures."""
    async with Pool(visit.address, 1) as pool:
        head = f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token or visit.operator_token}\r\n\r\n"
        body = (await pool.exchange(head.encode())).body
    return json.loads(re.sub(rb',"left_age_ms":\d+,"left_read_at_ms":\d+', b"", body))


async def claim_some(visit: Visit, settings: Settings) -> list[str]:
    """Real users claim in the real wave; they have the names that a rehearsal gives its own where nobody else is."""
    tokens = [token_maker(settings)(Identity(f"u{number}"), 600) for number in range(REAL_CLAIMS)]
    async with Pool(visit.address, REAL_CLAIMS) as pool:
        requests = Requests("x", "drop")
        asked = (pool.exchange(requests.claim(f"Bearer {token}", ("a",))) for token in tokens)
        assert {reply.status for reply in await asyncio.gather(*asked)} == {201}
    return tokens


async def everything_of(stores: Stores, visit: Visit, tokens: list[str]) -> dict[str, Any]:
    """All that there is of the real campaign: rows, keys, and pages for its users and operators."""
    seen: dict[str, Any] = {}
    no = await stores.ledger.fetch("select campaign_no from campaigns where id = 'small'")
    for table in TABLES:
        rows = await stores.ledger.fetch(
            f"select t::text as row from {table} t where campaign_no = $1 order by 1",
            no[0]["campaign_no"],
        )
        seen[table] = [row["row"] for row in rows]
    for key in sorted(await stores.hot_store.call("KEYS", "*{small/*")):
        seen[key.decode()] = await stores.hot_store.call("DUMP", key)
    for path in ("/v1/waves", "/v1/waves/drop", "/v1/campaigns/small", "/v1/ops/campaigns/small", "/v1/ops/waves/drop"):
        seen[path] = await get(visit, path)
    for number, token in enumerate(tokens):
        seen[f"claims of u{number}"] = await get(visit, "/v1/me/claims", token)
    return seen


async def settled(stores: Stores) -> None:
    """The real claims are in the ledger: what is compared is at rest."""

    async def are_there() -> bool:
        (ledger,) = await stores.ledger.fetch(  # one statement: a batch between two of them would go unseen
            "select last, (select count(*) from claims) as claims"
            " from cursors join campaigns c using (campaign_no) where c.id = 'small'"
        )
        told = int(await stores.hot_store.call("HGET", keys.head("small"), "settled") or 0)
        return bool(ledger["claims"] == REAL_CLAIMS and told == ledger["last"])

    await wait_until(are_there)


RULES: dict[str, dict[str, object]] = {
    "one of each account": {},
    "three of each person": {"by": "person", "limits": (Limit(3, "wave"), Limit(5, "campaign"))},
    "for members of a city": {
        "eligibility": Eligibility(cities=("武汉",), tags=TagRule(any=("gold",), all=("member",)))
    },
    "for a list of accounts": {"eligibility": Eligibility(allow=frozenset({"u1"}))},
}


LONG = ("for members of a city", "for a list of accounts")
"""What test_drop.py, or the shape of a campaign, shows as well."""


@pytest.mark.parametrize(
    "rules",
    [pytest.param(rules, id=name, marks=[pytest.mark.long] if name in LONG else []) for name, rules in RULES.items()],
)
async def test_a_drop_that_touches_nothing_real(
    settings: Settings, redis_url: str, database_url: str, seed: int, rules: dict[str, object]
) -> None:
    settings = settings_of(settings, redis_url, database_url)
    async with machine(settings) as (stores, port):
        await put(stores, campaign(datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=1)))
        visit = visit_of(settings, port, seed, claims_max=3 if "limits" in rules else 1, **rules)
        tokens = await claim_some(visit, settings)
        await settled(stores)
        before = await everything_of(stores, visit, tokens)
        assert len(before["claims"]) == REAL_CLAIMS
        assert sum("{small/" in name for name in before) >= 4  # head, log, and more of them
        pictures = Pictures()
        verdict = await rehearse_at(visit, pictures)
        after = await everything_of(stores, visit, tokens)

        assert [finding.held for finding in verdict.findings] == [True] * 8, verdict
        assert after == before
        assert pictures.shown[-1].claims == 100
        assert {picture.lag for picture in pictures.shown} == {None}
        await _is_flagged_and_closed(visit, port)
        strangers = await stores.ledger.fetch(
            "select from claims where account not like 'sandbox-small-%' and account !~ '^u[0-9]+$'"
        )
        assert strangers == []


async def _is_flagged_and_closed(visit: Visit, port: int) -> None:
    rows = {row["id"]: row["sandbox"] for row in (await get(visit, "/v1/ops/campaigns"))["campaigns"]}
    assert rows == {"small": False, visit.ids.campaign: True}
    assert {wave["campaign"] for wave in (await get(visit, "/v1/waves"))["waves"]} == {"small"}
    by_id = await get(visit, f"/v1/waves/{visit.ids.wave}")
    assert (by_id["id"], by_id["state"]) == (visit.ids.wave, "closed")


async def _flag_of(stores: Stores, visit: Visit) -> str:
    shard = await read_shard(stores.hot_store, visit.ids.campaign)
    return shard.waves[1].state if shard is not None and shard.waves else "not there"


async def _is_applied(stores: Stores, _: Visit) -> bool:
    return len(await stores.ledger.fetch("select from campaigns")) == 1


async def _is_live(stores: Stores, visit: Visit) -> bool:
    return await _flag_of(stores, visit) == "live"


@pytest.mark.parametrize("moment", [_is_applied, _is_live], ids=["before it is put", "in the countdown"])
async def test_given_up_it_leaves_its_wave_closed(
    settings: Settings,
    redis_url: str,
    database_url: str,
    seed: int,
    moment: Callable[[Stores, Visit], Awaitable[bool]],
) -> None:
    settings = settings_of(settings, redis_url, database_url)
    async with machine(settings) as (stores, port):
        rehearsal = asyncio.create_task(rehearse_at(visit := visit_of(settings, port, seed), Pictures()))
        await wait_until(lambda: moment(stores, visit))
        rehearsal.cancel()
        with pytest.raises(asyncio.CancelledError):
            await rehearsal
        assert await _flag_of(stores, visit) == "closed"


async def test_a_failure_leaves_its_wave_closed(
    settings: Settings, redis_url: str, database_url: str, seed: int
) -> None:

    settings = settings_of(settings, redis_url, database_url)
    async with machine(settings) as (stores, port):
        visit = visit_of(settings, port, seed)

        def fails(*_: object) -> str:
            raise CannotRun("no ticket")

        with pytest.raises(CannotRun, match="no ticket"):
            await rehearse_at(_with(visit, mint_ticket=fails), Pictures())
        assert await _flag_of(stores, visit) == "closed"


def _with(visit: Visit, **changes: Any) -> Visit:
    return Visit(**{**vars(visit), **changes})


async def test_over_tls(settings: Settings, redis_url: str, database_url: str, seed: int, tmp_path: Path) -> None:
    settings = settings_of(settings, redis_url, database_url)
    async with machine(settings) as (_, port), tls_in_front_of(port, tmp_path) as (tls_port, trusting):
        visit = visit_of(settings, port, seed)
        address = Address.of(f"https://localhost:{tls_port}")
        assert address.tls is not None
        with pytest.raises(CannotRun, match="no answer"):  # nobody vouches for that certificate
            await rehearse_at(_with(visit, address=address), Pictures())
        verdict = await rehearse_at(_with(visit, address=address._replace(tls=trusting)), Pictures())
    assert [finding.held for finding in verdict.findings] == [True] * 8, verdict


@asynccontextmanager
async def tls_in_front_of(port: int, folder: Path) -> AsyncIterator[tuple[int, ssl.SSLContext]]:
    """What a load balancer does: TLS outside, plain connections to the gateway. Also a context that trusts it."""
    file = certificate(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while chunk := await reader.read(65_536):
                writer.write(chunk)
                await writer.drain()
        writer.close()

    async def both_ways(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inside = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(forward(reader, inside[1]), forward(inside[0], writer))

    server = await asyncio.start_server(both_ways, "localhost", 0, ssl=context)
    async with server:
        yield server.sockets[0].getsockname()[1], ssl.create_default_context(cafile=file)


def certificate(folder: Path) -> Path:
    """A key and its certificate for localhost, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    file = folder / "localhost.pem"
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    file.write_bytes(secret + made.public_bytes(Encoding.PEM))
    return file


@pytest.mark.parametrize(
    "url", ["localhost:8080", "ftp://h", "http://", "https://h/path", "http://u:p@h", "http://h:x", "http://h?a=1"]
)
def test_what_is_no_address(url: str) -> None:
    with pytest.raises(UsageError, match="no address of an installation"):
        Address.of(url)


def test_addresses() -> None:
    assert Address.of("http://127.0.0.1:8080")[:3] == ("127.0.0.1", 8080, "127.0.0.1:8080")
    assert Address.of("https://drops.example/")[:3] == ("drops.example", 443, "drops.example")
    assert Address.of("http://[::1]:80")[:3] == ("::1", 80, "[::1]:80")


async def test_another_installations_secret(settings: Settings, redis_url: str, database_url: str, seed: int) -> None:
    settings = settings_of(settings, redis_url, database_url)
    async with machine(settings) as (stores, port):
        visit = visit_of(replace(settings, secret="another one, long enough"), port, seed)
        with pytest.raises(UsageError, match="Is DROPWAVE_SECRET the secret of this installation"):
            await rehearse_at(visit, Pictures())
        assert await stores.ledger.fetch("select from campaigns") == []


async def test_nobody_there(settings: Settings, seed: int) -> None:
    with pytest.raises(CannotRun, match="no answer to GET /v1/time"):
        await rehearse_at(visit_of(settings, 1, seed), Pictures())
