"""Forgetting a claim that was voided in the ledger."""

from engine.domain.outcome import Claim
from engine.hotstore import keys
from engine.hotstore.scripts import FORGET
from engine.hotstore.store import Argument, HotStore


async def forget(store: HotStore, campaign: str, epoch: int, claim: Claim, value: int) -> bool:
    """Take the claim out of its holder's record in the live epoch; whether it was there. Again, it does nothing.

    `value` is its worth for the campaign's cap. Raises Fenced or OtherEpoch where the shard is not bound in that
    epoch, or what `HotStore.call` raises.
    """
    shard = keys.shard(campaign, epoch)
    arguments: list[Argument] = [epoch, claim.claimant, claim.epoch, claim.sequence, claim.code, value]
    _, (_, found) = await FORGET.run(store, [shard.head, shard.meta, shard.holders], arguments)
    return bool(found)
