"""Redemptions in the bench: settled vouchers in a real installation, tills at a fixed rate, and what the ledger has."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import pytest

from engine.embedded.running import find_running
from loadtests.bench.bench import Bench, Options
from loadtests.bench.line_up import shop
from loadtests.bench.shop_engine import ShopEngine

ROOT = Path(__file__).parents[2]
VOUCHERS = 200
TOLD = 60


@pytest.fixture
def folder() -> Iterator[Path]:
    """Not below pytest's own: each run of pytest closes that to everybody else, and Postgres does not run as root."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as made:
        Path(made).chmod(0o755)
        yield Path(made)


@pytest.fixture
async def shops(folder: Path) -> AsyncIterator[ShopEngine]:
    """An engine that runs, with settled vouchers."""
    engine = shop(Bench(folder, Options(), print))
    try:
        await engine.start()
        await engine.issue(VOUCHERS)
        yield engine
    finally:
        await engine.stop()


async def break_ledger(folder: Path, statement: str) -> None:
    running = find_running(folder / "side-1")
    assert running is not None
    connection = await asyncpg.connect(running.database_url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


@pytest.mark.long
async def test_tills_are_held_against_the_ledger(shops: ShopEngine, folder: Path) -> None:
    summary = await shops.redeem(TOLD, 200.0)
    assert {status: each.count for status, each in summary.by_status.items()} == {"201": TOLD}
    assert await shops.contradictions() == []
    assert await shops.verdict() == (
        True,
        f"{TOLD} tills were told 201, the ledger has as many vouchers redeemed, each once",
    )
    await break_ledger(folder, "delete from voucher_steps where ctid = (select min(ctid) from voucher_steps)")
    wrong = await shops.contradictions()
    assert wrong == [
        f"{TOLD} tills were told 201, steps: {TOLD - 1}",
        f"{TOLD} tills were told 201, vouchers: {TOLD - 1}",
        f"discounts of {5_000 * (TOLD - 1)} for {TOLD} redemptions",
    ]
    assert await shops.verdict() == (False, "; ".join(wrong))


@pytest.mark.debian
def test_both_scenarios_are_told_and_verified(tmp_path: Path) -> None:
    arguments = (
        "--scenario", "redemptions", "--scenario", "redemptions-beside-claims", "--seconds", "1", "--rounds", "1",
        "--warm-up", "0", "--connections", "32", "--rate", "100", "--claims-max", "1000",
        "--out", str(tmp_path / "out"),
    )  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-P", "-m", "loadtests.bench", *arguments],
        capture_output=True, text=True, timeout=180, env={**os.environ, "PYTHONPATH": str(ROOT)}, cwd=ROOT, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    alone, beside = json.loads((tmp_path / "out" / "results.json").read_text("utf-8"))["results"]
    (figures,) = (sample["figures"] for sample in alone["samples"])
    assert figures["redeemed_per_second"] > 0
    assert figures["postgres_us_per_redemption"] > 0
    assert figures["other_answers"] == 0
    assert "100 tills were told 201" in alone["notes"][0]
    without, with_tills = (sample["figures"] for sample in beside["samples"])
    assert "redeemed_per_second" not in without
    assert with_tills["redeemed_per_second"] > 0
    assert with_tills["redemption_other_answers"] == 0
    assert without["claims_per_second"] > 0 < with_tills["claims_per_second"]
    assert [("tills were told 201" in note, "P1 held" in note) for note in beside["notes"]] == [
        (False, True),
        (True, True),
    ]
