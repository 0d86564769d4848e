"""`dropwave voucher` as an operator uses it."""

import asyncio
import json
from pathlib import Path

import pytest

from engine.domain.codes import campaign_prefix, grouped, new_code
from engine.ledger.campaigns import apply_campaign
from engine.ledger.cursors import read_cursor
from engine.ledger.database import Ledger
from engine.settings import Settings
from engine.settling.settler import Settler
from tests.ledger.samples import campaign, claim, entry_of_claims
from tests.support.command import Run, command_runner


def made_of(number: int) -> str:
    return new_code(campaign_prefix(0), lambda _: number)


GOOD, LATE, NOBODYS = (made_of(number) for number in (1, 2, 3))


@pytest.fixture
def run(
    database_url: str,
    redis_url: str,
    settings: Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Run:
    """GOOD is usable, LATE has expired; the campaign is over in Redis."""

    async def happen() -> None:
        ledger = await Ledger.connect(database_url, settings)
        try:
            await apply_campaign(ledger, campaign("spring", waves=campaign().waves[:1]), "ann")
            given = [claim(1, code=GOOD), claim(2, code=LATE)]
            await Settler(ledger).settle(await read_cursor(ledger, 0), [entry_of_claims(given)])
            await ledger.fetch("update vouchers set expires_at = now() + interval '1 day' where code = $1", GOOD)
        finally:
            await ledger.close()

    asyncio.run(happen())
    monkeypatch.setenv("DROPWAVE_REDIS_URL", redis_url)
    monkeypatch.setenv("DROPWAVE_ACK", "memory")
    return command_runner(database_url, tmp_path / "data", monkeypatch, capsys)


def test_a_voucher_is_shown_and_taken_back(run: Run) -> None:
    shown = run("voucher", "show", grouped(GOOD).lower())
    assert shown.status == 0
    assert "state: pending" in shown.lines
    assert "Nothing was done with it yet." in shown.out
    taken = run("voucher", "invalidate", GOOD, "--reason", "门店停业", "--as", "li")
    assert (taken.status, taken.lines) == (0, [f"{grouped(GOOD)}: pending → invalidated"])
    again = run("voucher", "invalidate", GOOD, "--reason", "once more")
    assert (again.status, again.lines) == (0, [f"{grouped(GOOD)}: was invalidated already, nothing done"])
    [step] = json.loads(run("voucher", "show", GOOD, "--json").out)["steps"]
    assert (step["kind"], step["actor"], step["reason"]) == ("invalidate", "li", "门店停业")
    assert "门店停业" in run("voucher", "show", GOOD).out
    trail = run("trail", "show", "spring").out
    assert "li: invalidate voucher spring-past" in trail
    assert "门店停业" in trail
    assert GOOD not in trail
    assert run("trail", "verify").status == 0
    other = run("voucher", "cancel", GOOD, "--reason", "a mistake")
    assert (other.status, other.err.strip()) == (2, f"dropwave: {GOOD} was invalidated already: 门店停业")


def test_what_cannot_be_taken_back_is_told(run: Run) -> None:
    for code, why in ((LATE, "is expired"), (NOBODYS, "nobody was given"), (GOOD[:-1] + "U", "was mistyped")):
        refused = run("voucher", "cancel", code, "--reason", "a mistake")
        assert refused.status == 2, code
        assert why in refused.err
    assert "voucher" not in run("trail", "show", "spring").out.replace("vouchers", "")
    assert run("voucher", "invalidate", GOOD).status == 2, "without a reason"
