"""Spans of work that no request waits for: what they say when it is done, and when it fails."""

import pytest

from engine.errors import LedgerError
from engine.hotstore.store import HotStore
from engine.ledger.database import Ledger
from engine.settings import Settings
from engine.telemetry.tracing import shared_span, span, trace_request
from tests.settling.shards import Shard
from tests.support.collector import attributes_of, running_collector, traced
from tests.support.waiting import wait_until


async def test_a_recovery_and_a_settling_transaction(
    ledger: Ledger, store: HotStore, settings: Settings, seed: int
) -> None:
    async with running_collector() as collector, traced(collector.url, role="writer"):
        shard = await Shard(ledger, store, settings, seed).start()
        await shard.claim(120)
        await shard.recover()
        await wait_until(lambda: len(collector.spans) == 3)
    assert [attributes_of(each) for each in collector.named("recover")] == [{"campaign": "spring"}] * 2
    (settled,) = collector.named("settle")
    assert attributes_of(settled) == {"campaign": "spring", "claims": 120, "acts": 2}
    assert settled.end_time_unix_nano > settled.start_time_unix_nano
    assert collector.services == {"dropwave-writer"}


async def test_a_failure_is_told_and_not_quoted() -> None:
    async with running_collector() as collector, traced(collector.url):
        trace = trace_request(f"00-{1:032x}-{1:016x}-01", 0.0)
        assert trace is not None
        with pytest.raises(LedgerError), span("settle", campaign="spring"):
            raise LedgerError("duplicate of person-hash-1")
        with pytest.raises(LedgerError), shared_span("claim.batch", [trace], claims=1):
            raise LedgerError("duplicate of person-hash-1")
        await wait_until(lambda: len(collector.spans) == 2)
    assert {each.name: each.status.code for each in collector.spans} == {"settle": 2, "claim.batch": 2}
    assert "person-hash-1" not in str(collector.spans)
