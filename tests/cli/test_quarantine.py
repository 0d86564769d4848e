"""`dropwave quarantine` as an operator uses it."""

import asyncio
import json
from pathlib import Path

import pytest

from engine.domain.codes import claim_id
from engine.ledger.campaigns import apply_campaign
from engine.ledger.cursors import read_cursor
from engine.ledger.database import Ledger
from engine.settings import Settings
from engine.settling.settler import Settler
from tests.ledger.samples import campaign, claim, claims, entry_of_claims, rows_of
from tests.support.command import Run, command_runner


@pytest.fixture
def run(
    database_url: str,
    redis_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Run:
    monkeypatch.setenv("DROPWAVE_REDIS_URL", redis_url)
    monkeypatch.setenv("DROPWAVE_ACK", "memory")
    return command_runner(database_url, tmp_path / "data", monkeypatch, capsys)


@pytest.fixture
def two_held(database_url: str, settings: Settings) -> None:
    """Claims 3 (a NUL in the account) and 5 (a rule forbids it) are in quarantine; the campaign is over in Redis."""

    async def happen() -> None:
        ledger = await Ledger.connect(database_url, settings)
        try:
            plain = campaign()
            await apply_campaign(ledger, campaign("spring", waves=plain.waves[:1]), "ann")
            await ledger.fetch("alter table claims add constraint not_these check (claimant <> 'u5')")
            batch = [*claims(1, 2), claim(3, account="a\0b", claimant="a\0b"), *claims(4, 9)]
            await Settler(ledger).settle(await read_cursor(ledger, 0), [entry_of_claims(batch)])
        finally:
            await ledger.close()

    asyncio.run(happen())


@pytest.mark.usefixtures("two_held")
def test_list_and_show(run: Run) -> None:
    listed = json.loads(run("quarantine", "list", "--json").out)
    assert [each["id"] for each in listed] == ["spring/1-5", "spring/1-3"]
    assert listed[0] | {"quarantined_at": "", "error": ""} == {
        "id": "spring/1-5",
        "claim": claim_id(claim(5).code),
        "campaign": "spring",
        "wave": "spring-past",
        "offer": "mall-50",
        "state": "held",
        "quarantined_at": "",
        "sqlstate": "23514",
        "constraint": "not_these",
        "error": "",
        "ended_by": "",
        "ended_reason": "",
        "ended_at": None,
    }
    assert "CODE" not in json.dumps(listed), "a code is money"
    table = run("quarantine", "list", "spring")
    assert "spring/1-5" in table.out
    assert "not_these" in table.out
    shown = run("quarantine", "show", "spring/1-3")
    assert "account: 'a\\x00b'" in shown.out, "what a terminal would act on is written out"
    assert "\0" not in shown.out
    assert json.loads(run("quarantine", "show", "spring/1-3", "--json").out)["account"] == "a\0b"


@pytest.mark.usefixtures("two_held")
def test_retry_and_void(run: Run, database_url: str) -> None:
    refused = run("quarantine", "retry", "spring/1-5")
    assert refused.status == 3
    assert "not_these" in refused.err
    asyncio.run(rows_of(database_url, "alter table claims drop constraint not_these"))
    assert run("quarantine", "retry", "spring/1-5", "--reason", "mended", "--as", "bob").out == "spring/1-5: settled\n"
    assert "was settled already" in run("quarantine", "retry", "spring/1-5").out
    too_late = run("quarantine", "void", "spring/1-5", "--reason", "no")
    assert (too_late.status, too_late.out) == (2, "")
    assert "was retried by bob: mended" in too_late.err
    assert run("quarantine", "void", "spring/1-3", "--reason", "a broken client", "--as", "bob").status == 0
    again = json.loads(run("quarantine", "void", "spring/1-3", "--reason", "again", "--json").out)
    assert (again["done"], again["state"], again["ended_reason"]) == (False, "voided", "a broken client")
    assert run("quarantine", "list").out == "Nothing is in quarantine.\n"
    ended = json.loads(run("quarantine", "list", "--all", "--json").out)
    assert {each["id"]: each["state"] for each in ended} == {"spring/1-5": "retried", "spring/1-3": "voided"}
    trail = run("trail", "show", "spring")
    assert "bob: void quarantined spring-past" in trail.out
    assert "state: held → voided" in trail.out
    assert run("trail", "verify").status == 0
    assert run("audit", "spring").status in (0, 1)


@pytest.mark.usefixtures("two_held")
@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["show", "spring"], "is not CAMPAIGN/EPOCH-NUMBER"),
        (["show", "spring/1-x"], "is not CAMPAIGN/EPOCH-NUMBER"),
        (["show", "spring/1-4"], "never was"),
        (["retry", "autumn/1-5"], "never was"),
        (["void", "spring/1-4", "--reason", "a mistake"], "never was"),
        (["void", "spring/1-5", "--reason", " "], "the reason must be one line"),
        (["void", "spring/1-5"], "--reason"),
        (["list", "autumn"], "has no campaign autumn"),
    ],
)
def test_what_cannot_be(arguments: list[str], complaint: str, run: Run) -> None:
    said = run("quarantine", *arguments)
    assert said.status == 2
    assert complaint in said.err
