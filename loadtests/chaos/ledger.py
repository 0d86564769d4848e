"""What the ledger has in the end, read by plain SQL."""

from dataclasses import dataclass
from typing import Final

from loadtests.chaos.servers import Servers

_CLAIMS: Final = """
    select c.epoch, c.sequence, w.id as wave, o.id as offer, c.unit, c.request_no, c.claimant,
           coalesce(c.account, c.claimant) as account, c.code, extract(epoch from c.claimed_at)::float8 as claimed_at_s
    from claims c join campaigns p using (campaign_no) join waves w using (campaign_no, wave_no)
    join offers o using (campaign_no, offer_no)
    where p.id = $1 order by c.epoch, c.sequence
"""
_ACTS: Final = """
    select a.epoch, a.sequence, a.kind, w.id as wave from acts a join campaigns p using (campaign_no)
    join waves w using (campaign_no, wave_no) where p.id = $1 order by a.epoch, a.sequence
"""
_STOCKS: Final = """
    select w.id as wave, o.id as offer, s.total from stocks s join campaigns p using (campaign_no)
    join waves w using (campaign_no, wave_no) join offers o using (campaign_no, offer_no) where p.id = $1
"""


@dataclass(frozen=True, slots=True)
class Settled:
    """A claim in the ledger."""

    epoch: int
    sequence: int
    wave: str
    offer: str
    unit: int
    request_no: int
    claimant: str
    account: str
    code: str
    claimed_at_s: float


@dataclass(frozen=True, slots=True)
class SettledAct:
    """An act in the ledger, with the number up to which it was decided."""

    epoch: int
    sequence: int
    kind: str
    wave: str


@dataclass(frozen=True, slots=True)
class Ledger:
    """Everything of one campaign."""

    claims: tuple[Settled, ...]
    acts: tuple[SettledAct, ...]
    stocks: dict[tuple[str, str], int]
    """Units by wave and offer, restocks included."""


async def read_ledger(servers: Servers, campaign: str) -> Ledger:
    """As it stands now."""
    claims = await servers.ask_ledger(_CLAIMS, campaign)
    acts = await servers.ask_ledger(_ACTS, campaign)
    stocks = await servers.ask_ledger(_STOCKS, campaign)
    return Ledger(
        tuple(Settled(**dict(row)) for row in claims),
        tuple(SettledAct(**dict(row)) for row in acts),
        {(row["wave"], row["offer"]): row["total"] for row in stocks},
    )
