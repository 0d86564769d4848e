"""After the claim: tills that redeem, by themselves and beside a drop."""

from msgspec.structs import replace

from loadtests.bench.bench import Bench
from loadtests.bench.line_up import ENGINE, shop
from loadtests.bench.measuring import Figures, each_us, read, spent
from loadtests.bench.pulling import Wish, pulled_round
from loadtests.bench.samples import Result, Sample
from loadtests.bench.shop_engine import ShopEngine
from loadtests.open_loop.answers import Summary

_RATE = 2_000
_BESIDE = 500
_VOUCHERS_MAX = 1_000_000
"""In the ledger before anybody redeems (less by `--claims-max`)."""
_LATE_MAX_MS = 50.0
_HOW = (
    "%s vouchers of as many claims are in the ledger; tills redeem at fixed times, each another one, in no order,"
    " with 500 tokens on 500 connections that were open before; latency from when each was due."
)


async def redemptions(bench: Bench) -> Result:
    """Redemptions at a fixed rate."""
    rate = bench.options.rate or _RATE
    size = min(_VOUCHERS_MAX, bench.options.claims_max)
    result = Result(
        "redemptions",
        "Redemptions",
        f"{rate:,} a second. " + _HOW % f"{size:,}",
        (
            "redeemed_per_second", "p50_ms", "p99_ms", "p999_ms", "longest_ms", "other_answers",
            "gateway_us_per_redemption", "postgres_us_per_redemption", "generator_late_p99_ms",
        ),
        (),
        reference=None,
    )  # fmt: skip

    async def issue(side: ShopEngine) -> None:
        await side.issue(size)

    async def act(side: ShopEngine, number: int) -> Sample:
        if bench.options.warm_up_s:
            await side.redeem(rate * bench.options.warm_up_s, rate)
        before = await read(side, side.vouchers)
        summary = await side.redeem(rate * bench.options.seconds, rate)
        after = await read(side, side.vouchers)
        figures = {**_figures("", summary), **spent(before, after)}
        figures |= each_us(before, after, rate * bench.options.seconds, "redemption")
        return Sample(side.name, number, figures, (*_late(summary), *await side.contradictions()))

    return await bench.in_turns(result, [shop(bench)], act, steps=(issue,))


async def beside_claims(bench: Bench) -> Result:
    """Claims with and without redemptions beside them."""
    rate = bench.options.rate or _BESIDE
    size = min(_VOUCHERS_MAX, bench.options.claims_max)
    result = Result(
        "redemptions-beside-claims",
        "Redemptions beside claims",
        f"Sustained claims of a campaign, without and with {rate:,} redemptions a second of another one. "
        + _HOW % f"{size:,}",
        (
            "claims_per_second", "p50_ms", "p99_ms", "redeemed_per_second", "redemption_p50_ms", "redemption_p99_ms",
            "redemption_p999_ms", "redemption_other_answers",
        ),
        (),
        reference=ENGINE,
    )  # fmt: skip

    async def issue(side: ShopEngine) -> None:
        await side.issue(size)

    async def act(side: ShopEngine, number: int) -> Sample:
        side.summary = None
        sample = await pulled_round(bench, side, number, Wish())
        if side.summary is None:
            return sample
        wrong = (*sample.wrong, *_late(side.summary), *await side.contradictions())
        figures = {**sample.figures, **_figures("redemption_", side.summary)}
        if side.summary.all is not None:
            figures["cpu_tills_cores"] = side.summary.cpu_s * rate / side.summary.all.count
        return replace(sample, figures=figures, wrong=wrong)

    sides = [shop(bench), shop(bench, name=f"{ENGINE}, {rate:,} redemptions/s beside", beside_per_second=rate)]
    return await bench.in_turns(result, sides, act, steps=(issue,))


def _figures(of: str, summary: Summary) -> Figures:
    redeemed = summary.by_status.get("201")
    others = sum(each.count for status, each in summary.by_status.items() if status != "201")
    figures = {f"{of}other_answers": float(others), "generator_late_p99_ms": summary.sent_late_p99_ms}
    if redeemed:
        seconds = max(redeemed.last_at_ms / 1000, 1e-9)
        figures |= {
            "redeemed_per_second": redeemed.count / seconds,
            f"{of}p50_ms": redeemed.p50_ms,
            f"{of}p99_ms": redeemed.p99_ms,
            f"{of}p999_ms": redeemed.p999_ms,
            f"{of}longest_ms": redeemed.longest_ms,
        }
    return figures


def _late(summary: Summary) -> list[str]:
    if summary.sent_late_p99_ms <= _LATE_MAX_MS:
        return []
    return [f"the generator was {summary.sent_late_p99_ms:.0f} ms late: it did not offer what it should"]
