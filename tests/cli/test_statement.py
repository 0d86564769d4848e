"""`dropwave statement` as whoever settles up reads it."""

import asyncio
import csv
import io
import json
from datetime import UTC, date, datetime
from pathlib import Path

import asyncpg
import pytest

from engine.cli.options import console
from engine.ledger.campaigns import apply_campaign
from engine.ledger.database import Ledger
from engine.settings import Settings
from tests.ledger.samples import campaign
from tests.support.command import Run, command_runner

DAYS = (date(2026, 11, 1), date(2026, 11, 3))


@pytest.fixture
def run(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    monkeypatch.setattr(console, "width", 200)  # no cell is wrapped
    return command_runner(database_url, tmp_path / "data", monkeypatch, capsys)


@pytest.fixture
def history(database_url: str, settings: Settings) -> None:
    """A redemption a day in a store of m-1, and one in a store of m-2 on the last day."""

    async def happen() -> None:
        ledger, raw = await Ledger.connect(database_url, settings), await asyncpg.connect(database_url)
        await apply_campaign(ledger, campaign(), "ann")
        for number, (merchant, store, day) in enumerate(
            [("m-1", "s-1", DAYS[0]), ("m-1", "s-1", DAYS[1]), ("m-2", "s-2", DAYS[1])]
        ):
            await raw.execute(
                "insert into voucher_steps (campaign_no, code, step, kind, at, offer_no, terms_version, merchant, "
                "store, day, amount, discount) values (0, $1, 1, 'redeem', $2, 2, 1, $3, $4, $5, 9000, 2000)",
                *(f"code-{number}", datetime.now(UTC), merchant, store, day),
            )
        await raw.close()
        await ledger.close()

    asyncio.run(happen())


@pytest.mark.usefixtures("history")
def test_all_of_it_and_parts(run: Run) -> None:
    period = ("--from", "2026-11-01", "--to", "2026-11-03")
    rows = json.loads(run("statement", *period, "--json").out)["rows"]
    assert [(row["day"], row["store"], row["discount"]) for row in rows] == [
        ("2026-11-01", "s-1", 2000),
        ("2026-11-03", "s-1", 2000),
        ("2026-11-03", "s-2", 2000),
    ]
    sheet = run("statement", *period, "--csv").out
    assert [row["store"] for row in csv.DictReader(io.StringIO(sheet))] == ["s-1", "s-1", "s-2"]
    assert [
        row["store"] for row in json.loads(run("statement", *period, "--merchant", "m-2", "--json").out)["rows"]
    ] == ["s-2"]
    table = run("statement", *period, "--store", "s-1").out
    assert "s-2" not in table
    assert all(whole in table for whole in ("2026-11-03", "redemptions", "net_discount")), "it can be read"
    assert "given_back" not in table, "nothing was"
    assert run("statement", "--from", "2026-11-02").out.strip() == "Nothing was redeemed or reversed."


@pytest.mark.usefixtures("history")
@pytest.mark.parametrize(
    "arguments",
    [
        ("--from", "2026-11-02", "--to", "2026-11-01"),
        ("--from", "2026-11-02", "--csv", "--json"),
        ("--from", "2026-11-02", "--store", "s-1", "--merchant", "m-1"),
        ("--from", "2026-11-02", "--store", "nowhere"),
        ("--from", "soon"),
    ],
)
def test_what_cannot_be(run: Run, arguments: tuple[str, ...]) -> None:
    assert run("statement", *arguments).status == 2
