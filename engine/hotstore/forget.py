"""Forgetting claims that were voided in the ledger, and remembering which they were.

The hash `voided` outlives epochs: should the ledger go back to before a void, this is all that still knows of it, and
of the claim's unit. "<epoch>-<sequence>" -> "<nth>\\n<line, every number in full>\\n<claimant>".
"""

from collections.abc import Sequence

from engine.domain.outcome import Claim
from engine.errors import HotStoreError
from engine.hotstore import keys
from engine.hotstore.records import claim_of_line, whole_line
from engine.hotstore.scripts import FORGET, VOIDED
from engine.hotstore.store import HotStore
from engine.hotstore.wire import Argument

Place = tuple[int, int]
"""(epoch, sequence) of a claim."""

VOIDED_PER_CALL = 1_000
"""Two arguments each; see load.CLAIMANTS_PER_CALL. A person voids each of them, so there are a few."""


async def forget(store: HotStore, campaign: str, epoch: int, claim: Claim, value: int) -> bool:
    """Take the claim out of its holder's record in the live epoch; whether it was there. Again, it does nothing.

    `value` is its worth for the campaign's cap. Raises Fenced or OtherEpoch where the shard is not bound in that
    epoch, or what `HotStore.call` raises.
    """
    shard = keys.shard(campaign, epoch)
    of_claim: list[Argument] = [claim.claimant, claim.epoch, claim.sequence, claim.code]
    arguments: list[Argument] = [epoch, *of_claim, value, whole_line(claim)]
    _, (_, found) = await FORGET.run(store, [shard.head, shard.meta, shard.holders, keys.voided(campaign)], arguments)
    return bool(found)


async def forgotten_claims(store: HotStore, campaign: str) -> dict[Place, Claim]:
    """The claims that the shard was told to forget, or was loaded without, as they were."""
    flat = await store.call("HGETALL", keys.voided(campaign))
    claims = [_claim(text.decode()) for text in flat[1::2]]
    return {(claim.epoch, claim.sequence): claim for claim in claims}


async def keep_voided(store: HotStore, campaign: str, term: int, claims: Sequence[Claim]) -> None:
    """Put these in the place of all that it remembers.

    Raises LeaseLost, or HotStoreError where the campaign is not in the hot store any more.
    """
    where = [keys.head(campaign), keys.voided(campaign)]
    for start in range(0, max(1, len(claims)), VOIDED_PER_CALL):
        some = [
            text
            for claim in claims[start : start + VOIDED_PER_CALL]
            for text in (f"{claim.epoch}-{claim.sequence}", f"{claim.nth}\n{whole_line(claim)}\n{claim.claimant}")
        ]
        status, _ = await VOIDED.run(store, where, [term, "0" if start else "1", *some])
        if status != "ok":
            raise HotStoreError(f"could not keep the voided claims of {campaign}: it is {status}")


def _claim(text: str) -> Claim:
    nth, line, claimant = text.split("\n", 2)
    return claim_of_line(line, claimant, int(nth), base=0)  # every number is in full
