"""The one place that spells a key of Redis.

Every key of a shard carries the same hash tag, so a shard lives in one slot of a cluster. A campaign
is one shard, the 0. Keys with an epoch in their name belong to one life of the shard: a rebuild fills
the keys of a new epoch beside the live ones and then flips `head`.

    dropwave:campaigns           set: ids of the campaigns that are in the hot store
    {hubei-2021/0}:head          hash: epoch, incarnation, lease — whom this shard is bound to
    {hubei-2021/0}:log           stream: claims and acts in the order in which they were decided
    {hubei-2021/0}:voided        hash: claims that were taken back; only where there are such (see hotstore/forget.py)
    {hubei-2021/0}:7:meta        hash: numbers, rules, waves (see META)
    {hubei-2021/0}:7:left        hash: "<wave>:<offer>" -> units left
    {hubei-2021/0}:7:holders     hash: claimant -> holder record (see hotstore/records.py)
"""

from typing import NamedTuple

CAMPAIGNS = "dropwave:campaigns"

MARKER = "\t"
"""A field that every hash of a shard has from its load on, so that the key exists even when it holds
nothing yet: a key that is missing is a loss, not an empty shard. No identity can contain a tab."""


class Shard(NamedTuple):
    """The keys of one shard in one epoch, in the order in which scripts take them."""

    head: str
    log: str
    meta: str
    left: str
    holders: str


def head(campaign: str) -> str:
    """The key that says which epoch of a campaign is live."""
    return f"{{{campaign}/0}}:head"


def log(campaign: str) -> str:
    """The stream of accepted claims and acts of a campaign; never renamed, never deleted while it is loaded."""
    return f"{{{campaign}/0}}:log"


def voided(campaign: str) -> str:
    """The claims of a campaign that were taken back: like the log, of all its epochs."""
    return f"{{{campaign}/0}}:voided"


def shard(campaign: str, epoch: int) -> Shard:
    """All keys of a campaign's shard in that epoch."""
    tag = f"{{{campaign}/0}}"
    return Shard(head(campaign), log(campaign), f"{tag}:{epoch}:meta", f"{tag}:{epoch}:left", f"{tag}:{epoch}:holders")


def any_epoch(campaign: str) -> str:
    """A pattern that the keys of every epoch of a campaign's shard match, and no other key."""
    return f"{{{campaign}/0}}:[0-9]*"


def stock_field(wave_no: int, offer_no: int) -> str:
    """Field of `left`."""
    return f"{wave_no}:{offer_no}"


def wave_field(wave_no: int) -> str:
    """Field of `meta` that holds a wave's state (`hotstore.records.WaveState`, JSON)."""
    return f"wave:{wave_no}"


def brief_field(wave_no: int) -> str:
    """Field of `meta` in which the claim script keeps what it made of a wave's state after the last act."""
    return f"brief:{wave_no}"


def latch_field(wave_no: int) -> str:
    """Field of `meta` that is set once a wave was seen open."""
    return f"latch:{wave_no}"


def sold_out_field(wave_no: int, offer_no: int) -> str:
    """Field of `meta` that says since when (ms) an offer of a wave has no unit left."""
    return f"sold_out:{wave_no}:{offer_no}"
