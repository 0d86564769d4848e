"""What the stores kept of a wave, by voucher code, once the drop is over."""

from collections.abc import Mapping
from contextlib import aclosing

from msgspec import Struct

from engine.domain.campaign import Catalogue
from engine.domain.outcome import Claim
from engine.hotstore.log import read_log
from engine.hotstore.store import HotStore
from engine.hotstore.view import read_holders, read_shard
from engine.ledger.claims import read_holdings
from engine.ledger.database import Ledger

CLAIMS_PER_READ = 5_000
ENTRIES_PER_READ = 64


class Kept(Struct, frozen=True):
    """Claims of one wave by code, as each store has them.

    `claims` are those of the ledger, or where that is out of reach those that their users are shown. `held` is
    None where the campaign is not in the hot store, or out of reach. The log holds everything from `log_from`
    (epoch, sequence) on; None where it holds nothing.
    """

    claims: dict[str, Claim]
    held: dict[str, Claim] | None
    log: dict[str, Claim]
    log_from: tuple[int, int] | None
    places: str = "the ledger"
    """Where `claims` were read."""
    counted: Mapping[str, int] | None = None
    """Units by offer id that the installation counts as claimed; None where nobody asked."""
    is_recovered: bool = False
    """The hot store was recovered during the drop, and the epochs of claims are not known."""


async def read_kept(ledger: Ledger, store: HotStore, catalogue: Catalogue, wave_no: int) -> Kept:
    """Read all three. To be read at rest: what is decided meanwhile may be in one and not in another."""
    settled: dict[str, Claim] = {}
    async with aclosing(read_holdings(ledger, catalogue.campaign_no, CLAIMS_PER_READ)) as chunks:
        async for chunk in chunks:
            settled.update((claim.code, claim) for claim in chunk if claim.wave_no == wave_no)
    held: dict[str, Claim] | None = None
    if await read_shard(store, catalogue.id) is not None:
        held = {}
        async for _, claims in read_holders(store, catalogue.id):
            held.update((claim.code, claim) for claim in claims if claim.wave_no == wave_no)
    log, log_from = await _read_log(store, catalogue.id, wave_no)
    return Kept(settled, held, log, log_from)


async def _read_log(store: HotStore, campaign: str, wave_no: int) -> tuple[dict[str, Claim], tuple[int, int] | None]:
    log: dict[str, Claim] = {}
    log_from, place = None, (0, 0)
    while entries := await read_log(store, campaign, place, ENTRIES_PER_READ):
        log_from = log_from or (entries[0].epoch, entries[0].first)
        place = (entries[-1].epoch, entries[-1].last)
        log.update((claim.code, claim) for entry in entries for claim in entry.claims if claim.wave_no == wave_no)
    return log, log_from
