"""What an earlier version wrote is read, and goes on in the form of today: an upgrade in a running installation."""

import random

import pytest
from msgspec.structs import replace

from engine.domain.campaign import Limit
from engine.domain.outcome import Claim, Claimed, RefusalCode, Refused
from engine.hotstore.forget import forget, forgotten_claims
from engine.hotstore.records import claims_of_record, entry_of, holder_record, in_36, whole_line
from engine.hotstore.store import HotStore
from engine.hotstore.view import claims_of_claimants, read_holders
from tests.support.drop import HOUR_MS, Drop, ask, campaign, catalogue_of, wave

EPOCH = 1_763_786_563_123
"""An instant, as recoveries have them."""
AT_MS = 1_763_790_000_000


def claim_of(sequence: int, nth: int = 1, claimant: str = "ann", **fields: object) -> Claim:
    claim = Claim(1, 1, nth, EPOCH, sequence, sequence, nth, 1, AT_MS, f"CODE{sequence:012d}", claimant, claimant)
    return replace(claim, **fields)


ANN = [claim_of(1), claim_of(3, 3, wave_no=2, account="ann's phone, the other one:1:1")]
"""Her second claim was voided."""
LONG_RECORD = (
    "3\n"
    f"1,1,1,{EPOCH},1,1,1,{AT_MS},CODE000000000001,\n"
    "-\n"
    f"2,3,1,{EPOCH},3,3,1,{AT_MS},CODE000000000003,ann's phone, the other one:1:1\n"
)


@pytest.fixture
async def drop(store: HotStore) -> Drop:
    """A shard with a holder, as an earlier version left it."""
    now_ms = await store.time_ms()
    waves = [wave(f"w{no}", now_ms - HOUR_MS, now_ms + HOUR_MS, {"o1": 1_000, "o2": 9}) for no in (1, 2)]
    drop = Drop(store, catalogue_of(campaign(waves, limits=[Limit(3, "campaign"), Limit(2, "wave")])))
    await drop.load(epoch=EPOCH)
    await store.call("HDEL", drop.keys.meta, "base")
    await store.call("HSET", drop.keys.holders, "ann", LONG_RECORD)
    await store.call("HSET", drop.keys.meta, "last", 3, "claims", 2)
    await store.call("HSET", drop.keys.left, "1:1", 998, "2:1", 999)
    return drop


async def record_of(drop: Drop, claimant: str) -> str:
    record: bytes = await drop.store.call("HGET", drop.keys.holders, claimant)
    return record.decode()


async def assert_ann_holds(drop: Drop, claims: list[Claim]) -> None:
    assert await claims_of_claimants(drop.store, drop.campaign, drop.epoch, ["ann", "nobody"]) == [claims, []]
    held = {claimant: claims async for claimant, claims in read_holders(drop.store, drop.campaign)}
    assert held["ann"] == claims


async def test_a_record_of_an_earlier_version_is_read(drop: Drop) -> None:
    await assert_ann_holds(drop, ANN)
    other = ask(ANN[1].account, wave=2, request_no=3, person="ann")
    assert await drop.claim(other) == Claimed(ANN[1], replayed=True)
    assert await drop.claim(ask("ann")) == Claimed(ANN[0], replayed=True)
    assert await drop.claim(ask("ann", 2)) == Refused(RefusalCode.LIMIT_REACHED, claim=ANN[0])
    assert await record_of(drop, "ann") == LONG_RECORD, "nobody who only reads has to write"


async def test_a_record_of_an_earlier_version_goes_on_in_the_form_of_today(drop: Drop) -> None:
    third = (await drop.granted(ask("ann", request_no=2))).claim
    assert (third.nth, third.sequence) == (4, 4), "the number of the voided claim is not given again"
    await assert_ann_holds(drop, [*ANN, third])
    record = await record_of(drop, "ann")
    assert record.startswith("\n1:1:1::1:1:1:"), "not a digit: no earlier version may take it for one of its own"
    assert record == holder_record([*ANN, third], EPOCH), "which is what a load would write"
    assert await drop.claim(ask("ann", request_no=3)) == Refused(RefusalCode.LIMIT_REACHED, claim=ANN[0])
    assert await drop.claim(ask("ann", request_no=2)) == Claimed(third, replayed=True)


async def test_a_claim_of_an_earlier_version_is_forgotten(drop: Drop) -> None:
    assert await forget(drop.store, drop.campaign, drop.epoch, ANN[1], 0)
    await assert_ann_holds(drop, ANN[:1])
    assert await forgotten_claims(drop.store, drop.campaign) == {(EPOCH, 3): ANN[1]}
    assert (await record_of(drop, "ann")).endswith("\n-\n-")
    assert not await forget(drop.store, drop.campaign, drop.epoch, ANN[1], 0)


@pytest.mark.parametrize("epoch", [1, EPOCH])
async def test_scripts_and_loads_write_the_same_record(store: HotStore, epoch: int) -> None:
    now_ms = await store.time_ms()
    waves = [wave("w1", now_ms - HOUR_MS, now_ms + HOUR_MS, {"o1": 3_000})]
    drop = Drop(store, catalogue_of(campaign(waves, limits=[Limit(32, "campaign")], by="person")))
    await drop.load(epoch=epoch)
    await store.call("HSET", drop.keys.meta, "last", 1_290)  # so that another digit comes
    await store.call("HSET", drop.keys.left, "1:1", 3_000 - 35)
    answers = await drop.batch(*(ask(f"user {nth}", person=f"person {nth % 40}", request_no=nth) for nth in range(80)))
    claims = [answer.claim for answer in answers.answers if isinstance(answer, Claimed)]
    assert [claim.unit for claim in claims] == list(range(36, 116))
    for nth in range(40):
        own = [claim for claim in claims if claim.claimant == f"person {nth}"]
        assert await record_of(drop, f"person {nth}") == holder_record(own, epoch)


def test_numbers_and_claims_of_before_the_base() -> None:
    draw = random.Random(36)
    numbers = [0, 1, 35, 36, 1_295, 1_296, 2**53, *(draw.randrange(10**13) for _ in range(200))]
    for number in numbers:
        assert int(in_36(number), 36) == number
        assert int(in_36(-number), 36) == -number
    of_an_epoch_before = claim_of(7, epoch=EPOCH - 86_400_000, claimed_at_ms=EPOCH - 80_000_000)
    record = holder_record([of_an_epoch_before], EPOCH)
    assert claims_of_record(record, "ann", EPOCH) == [of_an_epoch_before]
    assert claims_of_record(f"1\n{whole_line(of_an_epoch_before)}\n", "ann", EPOCH) == [of_an_epoch_before]


@pytest.mark.parametrize(
    ("version", "claims"),
    [
        (
            "1",
            "1\t1\t1\t1\t1\t1\t0\tCODE000000000001\tann\t\n"
            "1\t1\t1\t2\t1\t1\t0\tCODE000000000002\tbob\tbob's phone,\n"
            "2\t2\t1\t3\t2\t1\t5\tCODE000000000003\tann\t",
        ),
        (
            "2",
            "+1\t1\t1\t1\t1\t0\n1\tCODE000000000001,\tann\n2\tCODE000000000002,bob's phone,\tbob\n"
            "+2\t2\t1\t2\t1\t5\n3\tCODE000000000003,\tann",
        ),
        (
            "3",
            "+1\t1\t1\t1\t1\t0\t1\nCODE000000000001\tCODE000000000002,bob's phone,\nann\tbob\n"
            "+2\t2\t1\t2\t1\t5\t3\nCODE000000000003\nann",
        ),
    ],
)
def test_a_log_entry_of_each_version_is_read(version: str, claims: str) -> None:
    fields = {b"v": version.encode(), b"first": b"1", b"at": str(AT_MS).encode(), b"claims": claims.encode()}
    entry = entry_of(f"{EPOCH}-3".encode(), fields)
    assert entry.claims == (
        claim_of(1),
        claim_of(2, claimant="bob", account="bob's phone,"),
        claim_of(3, 2, wave_no=2, claimed_at_ms=AT_MS + 5),
    )
