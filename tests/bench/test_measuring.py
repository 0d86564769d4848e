"""What a round costs a side, read from outside."""

from pathlib import Path

from loadtests.baselines.redis import BenchRedis
from loadtests.bench.measuring import Reading, spent, wave_bytes
from loadtests.bench.sides import WaveAt


async def test_bytes_of_a_wave_are_those_of_its_keys(tmp_path: Path) -> None:
    redis = BenchRedis(tmp_path)
    try:
        await redis.start_with("memory")
        empty = await wave_bytes(redis, WaveAt("bench-1", 1))
        for number in range(1_000):  # of a baseline, of the engine, and of another wave
            await redis.command("HSET", "{bench-1}:holders", f"user-{number}", "x" * 100)
            await redis.command("HSET", "{bench-1/0}:7:holders", f"user-{number}", "x" * 100)
            await redis.command("HSET", "{bench-12}:holders", f"user-{number}", "x" * 100)
        held = await wave_bytes(redis, WaveAt("bench-1", 1))
    finally:
        await redis.stop()
    assert empty == 0
    assert 200_000 < held < 500_000


def test_what_was_spent_falls_to_the_claims() -> None:
    before = Reading(10.0, 100, {"gateway": 1.0, "idle": 5.0}, {"cpu_us": 50.0})
    after = Reading(12.0, 1_100, {"gateway": 1.5, "idle": 6.0}, {"cpu_us": 5_050.0})
    figures = spent(before, after)
    assert figures["cpu_gateway_cores"] == 0.25
    assert figures["gateway_us_per_claim"] == 500.0
    assert figures["redis_cpu_us_per_claim"] == 5.0
    assert "idle_us_per_claim" not in figures
