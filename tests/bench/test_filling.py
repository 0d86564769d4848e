"""A crowd that is put into the stores at once is what claims one by one would have made of them."""

from engine.domain.codes import is_code
from engine.hotstore.store import HotStore
from engine.ledger.database import Ledger
from engine.settings import Settings
from loadtests.bench.filling import fill
from loadtests.bench.ledger_filling import fill_ledger, filled_code
from loadtests.bench.sides import account
from tests.support.drop import HOUR_MS, campaign, wave
from tests.support.stage import Stage

CROWD = 300


async def stage(store: HotStore, ledger: Ledger, settings: Settings) -> Stage:
    """An open wave with stock for everybody, settled."""
    made = Stage(store, ledger, settings)
    now_ms = await store.time_ms()
    await made.begin(campaign([wave("w1", now_ms - HOUR_MS, now_ms + HOUR_MS, {"o1": 2 * CROWD})]))
    await made.settle()
    return made


async def test_a_filled_ledger_is_rebuilt_and_claimed_from(
    store: HotStore, ledger: Ledger, database_url: str, settings: Settings
) -> None:
    crowded = await stage(store, ledger, settings)
    catalogue = crowded.catalogue
    await fill_ledger(database_url, catalogue, catalogue.waves[0], CROWD)
    await store.call("FLUSHALL")

    recovered = await crowded.recover()
    assert (recovered.loaded, recovered.claims) == (True, CROWD)
    held = await crowded.held_claims()
    assert {claim.claimant for claim in held} == {account("f", number) for number in range(1, CROWD + 1)}
    assert await crowded.settled_claims() == held
    codes = {filled_code(catalogue.code_prefix, number) for number in range(1, CROWD + 1)}
    assert {claim.code for claim in held} == codes
    assert all(is_code(code) for code in codes)

    await fill(store, catalogue, catalogue.waves[0], "late", CROWD, batch=64)
    await crowded.settle()  # the ledger's keys are there again, and refuse none of them
    await crowded.whole()
    assert len(await crowded.settled_claims()) == 2 * CROWD
    indexes = await ledger.fetch("select indexrelid from pg_index where indrelid = 'claims'::regclass and indisunique")
    assert len(indexes) == 3


async def test_fillings_of_other_names_issue_other_codes(store: HotStore, ledger: Ledger, settings: Settings) -> None:
    crowded = await stage(store, ledger, settings)
    for prefix in ("a", "b"):
        await fill(store, crowded.catalogue, crowded.catalogue.waves[0], prefix, 100, batch=50)
    assert len({claim.code for claim in await crowded.held_claims()}) == 200


def test_accounts_have_one_length_and_come_in_no_order() -> None:
    names = [account("r1u", number) for number in range(10_000)]
    assert len(set(names)) == len(names)
    assert {len(name) for name in names} == {len(names[0])}
    assert len({name[:5] for name in names[:16]}) > 8
    assert len({name[-2:] for name in names[:16]}) > 8
