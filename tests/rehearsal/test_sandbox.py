"""The copy of a campaign for a running installation: a file that is read back as what it says."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace

from engine.cli.stage import opening_soon
from engine.domain.campaign import Campaign, Catalogue, Eligibility, Limit, Validity
from engine.domain.voucher import period
from engine.rehearsal.sandbox import LASTS_MAX, SandboxIds, file_of, sandbox_ids, sandbox_of
from engine.scheduling.files import parse_campaign, read_campaign_file

CAMPAIGNS = sorted((Path(__file__).parents[2] / "deploy" / "campaigns").glob("*.yaml"))
LATE = datetime(2026, 3, 1, 15, 30, tzinfo=UTC)
"""23:30 in Shanghai."""


def copy_of(campaign: Campaign, opens_at: datetime = LATE) -> tuple[SandboxIds, Campaign]:
    wave = campaign.waves[-1]
    ids = sandbox_ids(campaign.id, wave.id, seed=1, now_ns=2)
    return ids, sandbox_of(campaign, wave, ids, opens_at)


@pytest.mark.parametrize("path", CAMPAIGNS, ids=lambda path: path.stem)
def test_the_text_of_a_copy_is_read_as_the_copy(path: Path) -> None:
    campaign = read_campaign_file(path)
    ids, copy = copy_of(campaign)
    assert parse_campaign(file_of(copy), "the copy") == copy
    (wave,) = copy.waves
    assert copy.sandbox
    assert (copy.id, wave.id) == (ids.campaign, ids.wave)
    assert wave.opens_at == LATE
    assert wave.closes_at - wave.opens_at <= LASTS_MAX
    assert wave.stock == campaign.waves[-1].stock
    assert copy.offers == campaign.offers
    assert wave.rollover is None
    numbers = {no: offer.id for no, offer in enumerate(copy.offers, 1) if offer.id in wave.stock}
    assert Catalogue.first_of(copy).waves[0].stock == {no: wave.stock[offer] for no, offer in numbers.items()}


def campaign(**rules: object) -> Campaign:
    return replace(read_campaign_file(next(path for path in CAMPAIGNS if path.stem == "hubei-2021")), **rules)


def test_real_accounts_stay_behind() -> None:
    ids, copy = copy_of(campaign(eligibility=Eligibility(allow=frozenset({"alice"}), deny=frozenset({"bob"}))))
    assert copy.eligibility == Eligibility(allow=frozenset({f"{ids.campaign}-listed"}))
    text = file_of(copy)
    assert "alice" not in text
    assert "bob" not in text
    assert parse_campaign(text, "the copy") == copy


@pytest.mark.parametrize(
    "rules",
    [
        {"validity": Validity(natural_days=1)},
        {"validity": Validity(days_after_claim=3)},
        {"validity": Validity(natural_days=7, from_day=2)},
        {"validity": Validity(natural_days=7, from_ms=round(datetime(2021, 9, 18, tzinfo=UTC).timestamp() * 1000))},
        {"validity": Validity(until_ms=round(datetime(2021, 12, 31, tzinfo=UTC).timestamp() * 1000))},
        {"limits": (Limit(1, "wave"), Limit(3, "campaign"))},
        {"limits": (Limit(4, "campaign"), Limit(2, "day"))},
        {"by": "person", "title": 'quotes " and \\ and 🎟'},
    ],
)
def test_rules_that_a_single_wave_would_not_fit(rules: dict[str, object]) -> None:
    copy = copy_of(campaign(**rules))[1]
    assert parse_campaign(file_of(copy), "the copy") == copy


@pytest.mark.parametrize("path", CAMPAIGNS, ids=lambda path: path.stem)
def test_what_is_claimed_in_a_rehearsal_of_an_old_wave_can_be_used(path: Path) -> None:
    """On servers of its own: for as long as it could in the wave's own time, an `until` included."""
    campaign = read_campaign_file(path)
    soon = opening_soon(campaign, campaign.waves[0].id, LATE - timedelta(hours=12))
    lasts = []
    for rules, wave in ((campaign, campaign.waves[0]), (soon, soon.waves[0])):
        claimed_ms = int(wave.opens_at.timestamp() * 1000)
        good = period(rules.terms_of(rules.offers[0]), wave.day.isoformat(), claimed_ms)
        assert good.valid_from_ms <= claimed_ms < good.expires_at_ms
        lasts.append(timedelta(milliseconds=good.expires_at_ms - claimed_ms))
    assert abs(lasts[0] - lasts[1]) < timedelta(days=1), "natural days are whole ones"


def test_ids_are_short_enough_and_never_the_same() -> None:
    ids = sandbox_ids("c" * 64, "w" * 64, seed=1, now_ns=2)
    assert ids == sandbox_ids("c" * 64, "w" * 64, seed=1, now_ns=2)
    assert len(ids.campaign) == len(ids.wave) == 64
    assert ids != sandbox_ids("c" * 64, "w" * 64, seed=1, now_ns=3)
    assert len(f"{ids.users}u999999") < 128


def test_a_clock_change_during_the_copy() -> None:
    before = datetime(2026, 3, 29, 0, 30, tzinfo=UTC)  # clocks in Europe go forward at 01:00 UTC
    copy = copy_of(campaign(timezone="Europe/Berlin"), before)[1]
    read = parse_campaign(file_of(copy), "the copy").waves[0]
    assert read.opens_at == before
    assert read.closes_at - before == min(LASTS_MAX, campaign().waves[-1].closes_at - campaign().waves[-1].opens_at)
    assert timedelta(hours=1) < LASTS_MAX
