"""Halving: which claims of a batch are the ones that Postgres refuses.

Runs inside the settling transaction, behind the cursor's compare-and-set: what fits goes to `claims`, what does not to
`quarantine`, and the cursor past both, or nothing happens at all. The halves are tried in order of their numbers, so of
two claims that contradict each other the earlier one is settled.
"""

from collections.abc import Sequence
from typing import Any

from engine.domain.outcome import Claim
from engine.errors import LedgerRefused, ShardBroken
from engine.ledger.database import failures
from engine.ledger.quarantine import Refusal, add_refusals, count_held, known_codes, lookup_text
from engine.ledger.rows import VoucherRow
from engine.ledger.settlement import copy_claims

REFUSED_MAX = 10
"""Claims of one batch that may be refused. More of them are no mishap: something is wrong with the whole."""
HELD_MAX = 1_000
"""Held claims of one campaign. Batches can be small, and a fault that spoils each claim must not go on for ever."""

Pair = tuple[Claim, VoucherRow]


class Sieve:
    """Keeps what Postgres takes of one batch; `refused` has the rest afterwards, in order."""

    def __init__(self) -> None:
        self.refused: list[Refusal] = []

    async def keep(
        self, connection: Any, campaign_no: int, claims: Sequence[Claim], vouchers: Sequence[VoucherRow]
    ) -> None:
        """In the caller's transaction. Claims that the ledger has already are left out, identical ones only.

        Raises ShardBroken where more are refused than may be, or a number is another claim's in the ledger.
        """
        await connection.execute("set constraints all immediate")  # a refusal at the commit would come too late
        if claims:
            known = await known_codes(connection, campaign_no, claims)
            pairs = zip(claims, vouchers, strict=True)
            await self._halve(connection, campaign_no, [pair for pair in pairs if not _is_known(pair[0], known)])
        await add_refusals(connection, campaign_no, self.refused)
        held = await count_held(connection, campaign_no)
        if held > HELD_MAX:
            raise ShardBroken(f"{held} claims would be in quarantine; {HELD_MAX} may be")

    async def _halve(self, connection: Any, campaign_no: int, pairs: Sequence[Pair]) -> None:
        refusal = await _try(connection, campaign_no, pairs) if pairs else None
        if refusal is None:
            return
        if len(pairs) > 1:
            middle = len(pairs) // 2
            await self._halve(connection, campaign_no, pairs[:middle])
            await self._halve(connection, campaign_no, pairs[middle:])
        elif len(self.refused) < REFUSED_MAX:
            self.refused.append(Refusal.of(pairs[0][0], refusal))
        else:
            raise ShardBroken(f"more than {REFUSED_MAX} claims of one batch are refused, the last: {refusal}")


def _is_known(claim: Claim, known: dict[tuple[int, int], str]) -> bool:
    code = known.get((claim.epoch, claim.sequence))
    if code is not None and code != lookup_text(claim.code):
        raise ShardBroken(f"decision {claim.epoch}-{claim.sequence} is another claim in the ledger")
    return code is not None


async def _try(connection: Any, campaign_no: int, pairs: Sequence[Pair]) -> LedgerRefused | None:
    """Copy these; where they are refused as data, why, and nothing is left of the try."""
    await connection.execute("savepoint tried")
    try:
        with failures():
            await copy_claims(connection, campaign_no, [claim for claim, _ in pairs], [voucher for _, voucher in pairs])
    except LedgerRefused as error:
        if not error.is_data:
            raise
        await connection.execute("rollback to savepoint tried; release savepoint tried")
        return error
    await connection.execute("release savepoint tried")
    return None
