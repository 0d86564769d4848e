"""A client made from the document by openapi-python-client, used as somebody would who has never seen the server."""

import asyncio
import json
import sys
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.gateway.drop import Drop
from tests.support.contract import document

PACKAGE = "dropwave_client"
CONFIG = {
    "post_hooks": [],  # nobody reads the code
    "content_type_overrides": dict.fromkeys(
        ("application/yaml", "application/x-yaml", "text/yaml", "image/svg+xml"), "application/octet-stream"
    ),
}


class Generated:
    """The client's modules, by what they do."""

    def __init__(self) -> None:
        self.package = import_module(PACKAGE)
        self.models = import_module(f"{PACKAGE}.models")

    def __call__(self, chapter: str, operation: str) -> ModuleType:
        return import_module(f"{PACKAGE}.api.{chapter}.{operation}")

    def signed_in(self, drop: Drop, auth: str) -> Any:
        """A client that sends this `Authorization`."""
        prefix, _, credentials = auth.partition(" ")
        return self.package.AuthenticatedClient(base_url=drop.url, token=credentials, prefix=prefix)

    def anybody(self, drop: Drop) -> Any:
        return self.package.Client(base_url=drop.url)


@pytest.fixture
async def generated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Generated]:
    (tmp_path / "openapi.json").write_text(json.dumps(document()), "utf-8")
    (tmp_path / "config.json").write_text(json.dumps(CONFIG), "utf-8")
    command = (
        *(sys.executable, "-m", "openapi_python_client", "generate", "--path", "openapi.json", "--config"),
        *("config.json", "--output-path", PACKAGE, "--meta", "none", "--fail-on-warning"),
    )
    process = await asyncio.create_subprocess_exec(*command, cwd=tmp_path, stdout=PIPE, stderr=STDOUT)
    told, _ = await process.communicate()
    assert process.returncode == 0, told.decode()
    monkeypatch.syspath_prepend(tmp_path)
    yield Generated()
    for name in [name for name in sys.modules if name.partition(".")[0] == PACKAGE]:
        del sys.modules[name]


async def test_a_generated_client_works(drop: Drop, generated: Generated) -> None:
    await claims(drop, generated)
    await refusals(drop, generated)
    await pages_and_operators(drop, generated)


async def claims(drop: Drop, generated: Generated) -> None:
    models, claim = generated.models, generated("claims", "claim")
    async with generated.signed_in(drop, drop.token()) as user:
        issued = await generated("claims", "issue_ticket").asyncio("one-open", client=user)
        assert isinstance(issued, models.Ticket)
        assert issued.remaining == 1
    async with generated.signed_in(drop, f"Ticket {issued.ticket}") as user:
        first = await claim.asyncio_detailed("one-open", client=user, body=models.ClaimOne(offer="rare"))
        assert first.status_code == 201
        assert isinstance(first.parsed, models.Claimed)
        made = first.parsed.claim
        assert (made.offer, made.face, len(made.vouchers)) == ("rare", 1000, 1)
        again = await claim.asyncio_detailed("one-open", client=user, body=models.ClaimFirstOf(offers=["a", "rare"]))
        assert (again.status_code, again.headers["Idempotent-Replayed"]) == (200, "true")
        assert again.parsed == first.parsed
        held = await generated("claims", "list_claims_in_wave").asyncio("one-open", client=user)
        assert held.claims == [made]
    async with generated.signed_in(drop, drop.token()) as user:
        vouchers = await generated("cards", "list_my_vouchers").asyncio(client=user)
        assert [voucher.code for voucher in vouchers.vouchers] == [made.vouchers[0].code]
        other = await claim.asyncio("one-open", client=user, body=models.ClaimOne(offer="b"), accept_language="zh")
        assert isinstance(other, models.AlreadyClaimedProblem)
        assert (other.final, other.claim, other.title) == (True, made, "您已领取过")


async def refusals(drop: Drop, generated: Generated) -> None:
    models, claim = generated.models, generated("claims", "claim")
    one, rare = models.ClaimOne(offer="a"), models.ClaimOne(offer="rare")
    async with generated.signed_in(drop, drop.token("u2")) as user:
        gone = await claim.asyncio("one-open", client=user, body=rare)
        assert isinstance(gone, models.SoldOutProblem)
        assert [alternative.offer for alternative in gone.alternatives] == ["a", "b"]
        early = await claim.asyncio("one-later", client=user, body=one)
        assert isinstance(early, models.NotOpenProblem)
        assert early.retry_after_ms > 3_600_000
        over = await claim.asyncio("one-over", client=user, body=one)
        assert isinstance(over, models.ClosedProblem)
        assert over.closed_at < datetime.now(UTC)
    async with generated.signed_in(drop, drop.token(city="宜昌")) as user:
        stranger = await claim.asyncio("one-open", client=user, body=one)
        assert isinstance(stranger, models.NotEligibleProblem)
        assert stranger.rule == models.NotEligibleProblemRule.CITY
    async with generated.signed_in(drop, drop.token(ttl_s=-60)) as user:
        assert isinstance(await claim.asyncio("one-open", client=user, body=one), models.TokenExpiredProblem)


async def pages_and_operators(drop: Drop, generated: Generated) -> None:
    models = generated.models
    async with generated.anybody(drop) as anybody:
        wave = await generated("pages", "get_wave").asyncio("one-open", client=anybody)
        assert (wave.state, wave.offers[0].left) == (models.WavePageState.OPEN, 1000)
        campaign = await generated("pages", "get_campaign").asyncio("many", client=anybody)
        assert campaign.offers[1].percent_off == 20
        assert isinstance(await generated("pages", "get_wave").asyncio("no", client=anybody), models.UnknownWaveProblem)
    async with generated.signed_in(drop, drop.token("li", scope="ops", role="operator")) as operator:
        body = models.Act(reason="payment is down")
        done = await generated("operators", "pause_wave").asyncio("one-open", client=operator, body=body)
        assert (done.done, done.after.state) == (True, models.WaveSeenState.PAUSED)
        stock = models.RestockStock.from_dict({"a": 5})
        restock = models.Restock(reason="a second tranche", stock=stock)
        done = await generated("operators", "restock_wave").asyncio("one-open", client=operator, body=restock)
        assert done.after.offers[0].stock == 5
