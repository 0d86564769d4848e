"""Each promise broken on purpose, directly in the stores, and caught by the audit."""

from collections.abc import Awaitable, Callable

import pytest
from msgspec.structs import replace

from engine.audit.audit import audit
from engine.domain.verdict import Promise, Verdict
from engine.hotstore import keys
from engine.hotstore.records import holder_record, to_json
from engine.hotstore.view import read_shard
from tests.audit.small_drop import EVENING, MORNING, A, B, SmallDrop

Break = Callable[[SmallDrop], Awaitable[None]]


async def judge(drop: SmallDrop, wave: str | None = None) -> Verdict:
    return await audit(drop.ledger, drop.store, drop.catalogue.id, wave, settle_wait_ms=200)


def broken(verdict: Verdict) -> set[Promise]:
    return {finding.promise for finding in verdict.findings if finding.held is False}


def sql(statement: str) -> Break:
    async def change(drop: SmallDrop) -> None:
        await drop.write(statement)

    return change


LEDGER: list[tuple[str, Promise, str]] = [
    ("stock was less", "P1", "update stocks set total = 19 where wave_no = 1 and offer_no = 1"),
    (
        "unit given twice",
        "P1",
        "alter table claims drop constraint claims_one_unit;"
        "update claims set unit = 1 where wave_no = 1 and offer_no = 1 and unit = 2",
    ),
    ("unit above the stock", "P1", "update claims set unit = 11 where wave_no = 1 and offer_no = 2 and unit = 5"),
    (
        "two claims of one claimant in a wave",
        "P2",
        "alter table claims drop constraint claims_one_claimant_nth;"
        "update claims set claimant = 'u1' where claimant = 'u30'",
    ),
    ("claim gone", "P3", "delete from claims where claimant = 'u7'"),
    ("last claim gone", "P3", "delete from claims where sequence = (select max(sequence) from claims)"),
    (
        "code of a claim altered",
        "P3",
        "update claims set code = left(code, 15) || case right(code, 1) when 'Z' then 'Y' else 'Z' end"
        " where claimant = 'u7'",
    ),
    ("claim of somebody else", "P3", "update claims set claimant = 'u99' where claimant = 'u7'"),
    ("voucher gone", "P3", "delete from vouchers where sequence = 9"),
    ("voucher too many", "P3", "insert into vouchers values ($no, 'x', 1, 99, now(), now(), 'pending')"),
    ("code of a voucher altered", "P3", "update vouchers set code = 'y' where sequence = 9"),
    ("unit skipped", "P4", "update claims set unit = 9 where wave_no = 1 and offer_no = 2 and unit = 5"),
    (
        "code given twice",
        "P5",
        "update claims set code = (select code from claims where claimant = 'u30') where claimant = 'u31'",
    ),
    ("code of another campaign", "P5", "update claims set code = 'ZZZ' || right(code, 13) where claimant = 'u31'"),
    ("request granted twice", "P5", "update claims set account = 'u1' where claimant = 'u31'"),
    (
        "before the opening",
        "P6",
        "update claims set claimed_at = claimed_at - interval '2 hours' where claimant = 'u7'",
    ),
    (
        "at the close",
        "P6",
        "update claims set claimed_at = (select closes_at from waves limit 1) where claimant = 'u7'",
    ),
    ("wave never put", "P6", "update acts set wave_no = 9 where kind = 'put_wave' and wave_no = 1"),
    ("stopped", "P6", "update acts set kind = 'stop' where kind = 'put_campaign'"),
    ("act gone", "P7", "delete from acts where kind = 'pause'"),
    ("number skipped", "P7", "update claims set sequence = 99 where sequence = (select max(sequence) from claims)"),
    ("cursor ahead", "P7", "update cursors set last = last + 3"),
    ("cursor behind", "P7", "update cursors set last = last - 1"),
    ("no first number", "P7", "delete from acts where sequence = 1"),
]


@pytest.mark.parametrize(("promise", "statement"), [case[1:] for case in LEDGER], ids=[case[0] for case in LEDGER])
async def test_a_ledger_that_breaks_a_promise_is_caught(drop: SmallDrop, promise: Promise, statement: str) -> None:
    await drop.write(statement)
    verdict = await judge(drop)
    assert promise in broken(verdict), verdict
    assert verdict.broken


async def _holder_gone(drop: SmallDrop) -> None:
    await drop.store.call("HDEL", _shard(drop).holders, "u7")


async def _holder_too_many(drop: SmallDrop) -> None:
    claim = replace(drop.claims[MORNING, "u33"], claimant="u77", account="u77")
    await drop.store.call("HSET", _shard(drop).holders, "u77", holder_record([claim], _epoch(drop)))


async def _holder_of_a_lost_entry(drop: SmallDrop) -> None:
    claim = replace(drop.claims[MORNING, "u33"], claimant="u77", account="u77", sequence=1, unit=6)
    await drop.store.call("HSET", _shard(drop).holders, "u77", holder_record([claim], _epoch(drop)))


async def _more_holders_than_units(drop: SmallDrop) -> None:
    claim = replace(drop.claims[MORNING, "u3"], claimant="u77", account="u77", sequence=1, unit=21)
    await drop.store.call("HSET", _shard(drop).holders, "u77", holder_record([claim], _epoch(drop)))


async def _two_claims_of_a_wave_held(drop: SmallDrop) -> None:
    both = [drop.claims[MORNING, "u3"], drop.claims[MORNING, "u4"]]
    await drop.store.call("HSET", _shard(drop).holders, "u3", holder_record(both, _epoch(drop)))


async def _other_code_held(drop: SmallDrop) -> None:
    claim = replace(drop.claims[MORNING, "u7"], code="0" * 16)
    await drop.store.call("HSET", _shard(drop).holders, "u7", holder_record([claim], _epoch(drop)))


async def _less_than_nothing_left(drop: SmallDrop) -> None:
    await drop.store.call("HSET", _shard(drop).left, keys.stock_field(MORNING, A), -1)


async def _one_less_left(drop: SmallDrop) -> None:
    await drop.store.call("HINCRBY", _shard(drop).left, keys.stock_field(MORNING, B), -1)


async def _one_more_left(drop: SmallDrop) -> None:
    await drop.store.call("HINCRBY", _shard(drop).left, keys.stock_field(MORNING, B), 1)


async def _sold_out_with_units_left(drop: SmallDrop) -> None:
    await drop.store.call("HSET", _shard(drop).meta, keys.sold_out_field(MORNING, B), 1)


async def _claim_in_a_state(drop: SmallDrop, state: str) -> None:
    """The script is made to believe that the wave is live; the log tells that it was not."""
    await drop.store.call("HSET", _shard(drop).meta, keys.wave_field(EVENING), await _state(drop, EVENING, "live"))
    await drop.store.call("HDEL", _shard(drop).meta, keys.brief_field(EVENING))
    await drop.claim(EVENING, A, [5])
    await drop.store.call("HSET", _shard(drop).meta, keys.wave_field(EVENING), await _state(drop, EVENING, state))


async def _claim_after_the_close(drop: SmallDrop) -> None:
    await _claim_in_a_state(drop, "closed")
    await drop.settle()


async def _unsettled_claim_after_the_close(drop: SmallDrop) -> None:
    await _claim_in_a_state(drop, "closed")


async def _entry_gone_from_the_log(drop: SmallDrop) -> None:
    last = drop.claims[MORNING, "u14"].sequence  # of the third batch of five
    await drop.store.call("XDEL", keys.log(drop.catalogue.id), f"{_epoch(drop)}-{last}")


async def _unsettled_entry_gone(drop: SmallDrop) -> None:
    await drop.claim(MORNING, B, [36])
    await drop.claim(MORNING, B, [37])
    last = drop.claims[MORNING, "u36"].sequence
    await drop.store.call("XDEL", keys.log(drop.catalogue.id), f"{_epoch(drop)}-{last}")


async def _last_entry_gone(drop: SmallDrop) -> None:
    await drop.claim(MORNING, B, [36])
    last = drop.claims[MORNING, "u36"].sequence
    await drop.store.call("XDEL", keys.log(drop.catalogue.id), f"{_epoch(drop)}-{last}")


async def _ledger_gone_back(drop: SmallDrop) -> None:
    await drop.recover()
    await drop.write("update cursors set epoch = 1, last = (select max(sequence) from acts)")


def _shard(drop: SmallDrop) -> keys.Shard:
    return keys.shard(drop.catalogue.id, _epoch(drop))


def _epoch(drop: SmallDrop) -> int:
    return drop.claims[MORNING, "u0"].epoch


async def _state(drop: SmallDrop, wave_no: int, state: str) -> str:
    shard = await read_shard(drop.store, drop.catalogue.id)
    assert shard is not None
    flag = "live" if state == "live" else "closed"
    return to_json(replace(shard.waves[wave_no], state=flag))


HOT_STORE: list[tuple[Promise, Break]] = [
    ("P1", _more_holders_than_units),
    ("P1", _less_than_nothing_left),
    ("P2", _two_claims_of_a_wave_held),
    ("P3", _holder_gone),
    ("P3", _holder_too_many),
    ("P3", _holder_of_a_lost_entry),
    ("P3", _other_code_held),
    ("P3", _ledger_gone_back),
    ("P4", _one_less_left),
    ("P4", _one_more_left),
    ("P4", _sold_out_with_units_left),
    ("P6", _claim_after_the_close),
    ("P6", _unsettled_claim_after_the_close),
    ("P7", _entry_gone_from_the_log),
    ("P7", _unsettled_entry_gone),
    ("P7", _last_entry_gone),
]


@pytest.mark.parametrize(("promise", "change"), HOT_STORE, ids=[case[1].__name__.strip("_") for case in HOT_STORE])
async def test_a_hot_store_that_breaks_a_promise_is_caught(drop: SmallDrop, promise: Promise, change: Break) -> None:
    await change(drop)
    verdict = await judge(drop)
    assert promise in broken(verdict), verdict


async def test_a_fault_of_one_wave_is_no_fault_of_another(drop: SmallDrop) -> None:
    await drop.write("update claims set claimed_at = claimed_at - interval '2 hours' where claimant = 'u7'")
    assert broken(await judge(drop, "morning")) == {"P3", "P6"}
    assert broken(await judge(drop, "evening")) == set()


async def test_examples_name_neither_codes_nor_users(drop: SmallDrop) -> None:
    await drop.write("delete from claims where claimant like 'u1%'")
    verdict = await judge(drop)
    lines = [line for finding in verdict.findings for line in (finding.figures, *finding.examples)]
    assert any(finding.examples for finding in verdict.findings)
    for (_, user), claim in drop.claims.items():
        assert not any(claim.code in line or f"{user} " in line for line in lines)


async def _one_refused(drop: SmallDrop) -> None:
    """The drop goes on; of its claims Postgres refuses that of u36."""
    await drop.write("alter table claims add constraint not_this check (claimant <> 'u36')")
    await drop.claim(MORNING, B, [36, 37])
    await drop.settle()


@pytest.mark.parametrize("state", ["held", "voided"])
async def test_a_claim_in_quarantine_is_neither_lost_nor_stray(drop: SmallDrop, state: str) -> None:
    await _one_refused(drop)
    await drop.write(f"update quarantine set state = '{state}'")
    verdict = await judge(drop)
    assert broken(verdict) == set(), verdict
    said = "1 in quarantine" if state == "held" else "1 voided ones that it still holds: void them again"
    assert said in str(verdict)


@pytest.mark.parametrize(
    ("promise", "statement"),
    [
        ("P3", "delete from quarantine"),
        ("P7", "delete from quarantine"),
        ("P3", "update quarantine set claim = convert_to(replace(convert_from(claim, 'utf8'), 'u36', 'u99'), 'utf8')"),
        ("P2", "update quarantine set claimant = 'u37'"),
        ("P5", "update quarantine set account = 'u37'"),
        ("P5", "update quarantine set code = (select code from claims where claimant = 'u37')"),
    ],
)
async def test_a_quarantine_that_was_tampered_with(drop: SmallDrop, promise: Promise, statement: str) -> None:
    await _one_refused(drop)
    await drop.write(statement)
    assert promise in broken(await judge(drop))
