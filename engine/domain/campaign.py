"""A campaign: its rules, offers, stores and waves, as a file states them and as the ledger numbers them.

`Campaign` is what a campaign file says, with repeats expanded and every time made exact.
`Catalogue` is the same campaign after it was applied: offers and waves carry the small numbers
that the ledger gave them for good, offers carry every version of their terms. It is what the
steward puts into the hot store and what gateways show; a claim names its offer, wave and terms by
these numbers.

Money is in minor units (fen), instants are Unix milliseconds (`*_ms`) or aware datetimes.
"""

import hashlib
from collections.abc import Iterable, Mapping
from datetime import date, datetime
from typing import Literal

import msgspec
from msgspec import UNSET, Struct, UnsetType

Scope = Literal["campaign", "round", "wave", "day"]
ClaimantKind = Literal["account", "person"]
OfferKind = Literal["threshold", "instant", "percent", "gift"]

CLAIMS_PER_CLAIMANT_MAX = 32
"""Claims of one claimant in one campaign: bounds the holder record that the script reads."""


class Limit(Struct, frozen=True):
    """At most `max` claims of one claimant within one campaign, round, wave or day.

    Round and day are labels of the wave; day is the date of its opening in the campaign's zone.
    """

    max: int
    per: Scope


class TagRule(Struct, frozen=True):
    """Tags a token must carry: one of `any` (where it is not empty), each of `all`, none of `none`."""

    any: tuple[str, ...] = ()
    all: tuple[str, ...] = ()
    none: tuple[str, ...] = ()


class Eligibility(Struct, frozen=True):
    """Who may claim. Empty `cities` means any city; `allow` of None means no list, not an empty one."""

    cities: tuple[str, ...] = ()
    tags: TagRule = TagRule()
    allow: frozenset[str] | None = None
    deny: frozenset[str] = frozenset()


class Use(Struct, frozen=True):
    """Where and how a voucher may be used. Empty `cities` means anywhere."""

    cities: tuple[str, ...] = ()
    per_payment: int = 1


class Validity(Struct, frozen=True):
    """From when, and for how long, a voucher is good. Exactly one of the first three is set, at most one of the others.

    natural_days: days counted in the campaign's zone, the drop day being day 1; ends at 24:00 of the last.
    days_after_claim: that many times 24 hours, counted from the claim.
    until_ms: an instant, exclusive, the same for every claim.
    from_ms: no voucher is good before this instant.
    from_day: nor before 0:00 of that day in the campaign's zone, the drop day being day 1.
    Where both are unset it is good from its claim on. What is unset is not encoded, so that promises made before there
    was such a thing keep their hashes.
    """

    natural_days: int | None = None
    days_after_claim: int | None = None
    until_ms: int | None = None
    from_ms: int | UnsetType = UNSET
    from_day: int | UnsetType = UNSET


class Cap(Struct, frozen=True):
    """A stop for the whole campaign: number of claims, and the sum of what they are worth (minor units)."""

    claims: int | None = None
    value: int | None = None


class Store(Struct, frozen=True):
    """A shop that takes vouchers."""

    title: str
    merchant: str
    city: str


class Offer(Struct, frozen=True):
    """What can be claimed. Which of the amounts are set depends on `kind`; `stores` are ids, never "all"."""

    id: str
    title: str
    kind: OfferKind
    stores: tuple[str, ...]
    category: str = ""
    face: int | None = None
    min_spend: int | None = None
    price: int | None = None
    percent_off: int | None = None
    max_discount: int | None = None
    funder: str | UnsetType = UNSET
    """Who pays for the discounts: what statements are summed up by. Where it is unset it is not encoded, so that
    promises made before there was such a thing keep their hashes."""
    code_page: bool | UnsetType = UNSET
    """True: a voucher is taken only while its holder has its code page open (a screenshot cannot be sold). Else unset,
    and not encoded, likewise."""

    @property
    def needs_code_page(self) -> bool:
        """Whether tills take its vouchers only while their holders have the code page open."""
        return self.code_page is True

    @property
    def value(self) -> int:
        """What one claim can cost its funder at most, in minor units; counts against the campaign's cap."""
        return (self.max_discount if self.kind == "percent" else self.face) or 0


class Wave(Struct, frozen=True):
    """One timed drop. `day` is the date of its opening in the campaign's zone; `closes_at` is exclusive."""

    id: str
    opens_at: datetime
    closes_at: datetime
    day: date
    stock: dict[str, int]
    round: str = ""
    eligibility: Eligibility | None = None
    rollover: str | None = None
    """Id of the wave that gets what is unsold here; None where unsold stock lapses."""


class Campaign(Struct, frozen=True):
    """A whole campaign file, checked, repeats expanded."""

    id: str
    title: str
    timezone: str
    currency: str
    validity: Validity
    offers: tuple[Offer, ...]
    waves: tuple[Wave, ...]
    stores: dict[str, Store]
    limits: tuple[Limit, ...] = (Limit(1, "campaign"),)
    by: ClaimantKind = "account"
    eligibility: Eligibility = Eligibility()
    use: Use = Use()
    cap: Cap = Cap()
    sandbox: bool = False
    """To try things out: lists and reports can leave it out."""

    def terms_of(self, offer: Offer) -> "Promise":
        """What a claim of this offer promises, as the file stands now."""
        return Promise(
            offer=offer,
            use=self.use,
            validity=self.validity,
            timezone=self.timezone,
            currency=self.currency,
            stores={store: self.stores[store] for store in offer.stores},
        )


class Promise(Struct, frozen=True):
    """The content of one version of an offer's terms: all that redemption will ever look at (P8)."""

    offer: Offer
    use: Use
    validity: Validity
    timezone: str
    currency: str
    stores: dict[str, Store]

    def hash(self) -> str:
        """Hex digest (64 characters) of the content; equal for equal content, whatever the order of keys."""
        return hashlib.sha256(msgspec.json.encode(self, order="sorted")).hexdigest()


class Terms(Struct, frozen=True):
    """One version of an offer's terms. Versions count from 1 and are never changed or removed."""

    version: int
    hash: str
    promise: Promise


class CatalogueOffer(Struct, frozen=True):
    """An offer as applied: its number, and every version of its terms, oldest first."""

    no: int
    id: str
    terms: tuple[Terms, ...]

    @property
    def current(self) -> Terms:
        """The terms that a claim made now is given."""
        return self.terms[-1]

    def version(self, version: int) -> Terms:
        """The terms of that version; LookupError where there is none."""
        for terms in reversed(self.terms):
            if terms.version == version:
                return terms
        raise LookupError(f"offer {self.id} has no terms version {version}")


class CatalogueWave(Struct, frozen=True):
    """A wave as applied. `stock` maps offer numbers to totals; `day` is an ISO date."""

    no: int
    id: str
    round: str
    day: str
    opens_at_ms: int
    closes_at_ms: int
    stock: dict[int, int]
    eligibility: Eligibility | None = None
    rollover: str | None = None

    @classmethod
    def of(cls, wave: Wave, no: int, offer_nos: Mapping[str, int]) -> "CatalogueWave":
        """The wave as its file states it, with those numbers. `offer_nos` has every offer that it has stock of."""
        return cls(
            no=no,
            id=wave.id,
            round=wave.round,
            day=wave.day.isoformat(),
            opens_at_ms=round(wave.opens_at.timestamp() * 1000),
            closes_at_ms=round(wave.closes_at.timestamp() * 1000),
            stock={offer_nos[offer]: units for offer, units in wave.stock.items()},
            eligibility=wave.eligibility,
            rollover=wave.rollover,
        )


class Catalogue(Struct, frozen=True):
    """An applied campaign. `revision` counts the applies that changed something, from 1."""

    campaign_no: int
    id: str
    revision: int
    code_prefix: str
    """Three characters that begin every voucher code of this campaign."""
    title: str
    timezone: str
    currency: str
    by: ClaimantKind
    limits: tuple[Limit, ...]
    cap: Cap
    eligibility: Eligibility
    offers: tuple[CatalogueOffer, ...]
    waves: tuple[CatalogueWave, ...]
    sandbox: bool = False
    applied_ms: int = 0
    """When this revision was applied, by the ledger's clock; 0 where that is not known. A ledger that went back in time
    gives a number once more, to another file: the later one counts."""

    @classmethod
    def of(
        cls,
        campaign: Campaign,
        offers: Iterable[CatalogueOffer],
        waves: Iterable[CatalogueWave],
        *,
        campaign_no: int,
        revision: int,
        code_prefix: str,
        applied_ms: int = 0,
    ) -> "Catalogue":
        """The rules of the campaign, with its offers and waves as they were numbered."""
        return cls(
            campaign_no=campaign_no,
            id=campaign.id,
            revision=revision,
            code_prefix=code_prefix,
            title=campaign.title,
            timezone=campaign.timezone,
            currency=campaign.currency,
            by=campaign.by,
            limits=campaign.limits,
            cap=campaign.cap,
            eligibility=campaign.eligibility,
            offers=tuple(offers),
            waves=tuple(waves),
            sandbox=campaign.sandbox,
            applied_ms=applied_ms,
        )

    @classmethod
    def first_of(
        cls, campaign: Campaign, *, campaign_no: int = 0, revision: int = 1, code_prefix: str = ""
    ) -> "Catalogue":
        """The campaign as its first apply numbers it: offers and waves from 1 in the order of the file, terms 1."""
        offer_nos = {offer.id: no for no, offer in enumerate(campaign.offers, start=1)}
        promises = {offer.id: campaign.terms_of(offer) for offer in campaign.offers}
        return cls.of(
            campaign,
            [CatalogueOffer(offer_nos[id], id, (Terms(1, made.hash(), made),)) for id, made in promises.items()],
            [CatalogueWave.of(wave, no, offer_nos) for no, wave in enumerate(campaign.waves, start=1)],
            campaign_no=campaign_no,
            revision=revision,
            code_prefix=code_prefix,
        )

    @property
    def claims_per_wave_max(self) -> int:
        """The highest `request_no` that can ever be granted: every scope contains a wave."""
        return min([CLAIMS_PER_CLAIMANT_MAX, *(limit.max for limit in self.limits)])

    def belongs_in_hot_store(self, now_ms: int, unload_after_ms: int) -> bool:
        """Whether gateways and steward should find it in the hot store: until that long after its last close."""
        return any(now_ms < wave.closes_at_ms + unload_after_ms for wave in self.waves)
