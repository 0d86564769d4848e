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
from engine.ledger.quarantine import Refusal, add_refusals, count_held, known_numbers, lookup_text
from engine.ledger.settlement import VoucherRow, copy_claims

REFUSED_MAX = 10
"""Claims of one batch that may be refused. More of them are no mishap: something is wrong with the whole (DESIGN 5)."""
HELD_MAX = 1_000
"""Held claims of one campaign. Batches can be small, and a fault that spoils each claim must not go on for ever."""


class Sieve:
    """Keeps what Postgres takes of one batch; `refused` has the rest afterwards, in order."""

    def __init__(self, unfit: Sequence[Refusal] = ()) -> None:
        """`unfit`: claims that are known to be refused already."""
        self.refused = list(unfit)
        self._enough()

    async def keep(
        self, connection: Any, campaign_no: int, claims: Sequence[Claim], vouchers: Sequence[VoucherRow]
    ) -> None:
        """In the caller's transaction. Claims that the ledger has already are left out, identical ones only.

        Raises ShardBroken where more are refused than may be, or a number is another claim's in the ledger.
        """
        await connection.execute("set constraints all immediate")  # a refusal at the commit would come too late
        if claims:
            known = await known_numbers(connection, campaign_no, claims)
            new = [claim for claim in claims if not _is_known(claim, known)]
            unfit = {refusal.claim.sequence for refusal in self.refused}
            by_number = {voucher.sequence: voucher for voucher in vouchers}
            fit = [(claim, by_number[claim.sequence]) for claim in new if claim.sequence not in unfit]
            numbers = {claim.sequence for claim in new}
            self.refused = [refusal for refusal in self.refused if refusal.claim.sequence in numbers]
            await self._halve(connection, campaign_no, fit)
        await add_refusals(connection, campaign_no, self.refused)
        held = await count_held(connection, campaign_no)
        if held > HELD_MAX:
            raise ShardBroken(f"{held} claims would be in quarantine; {HELD_MAX} may be")

    async def _halve(self, connection: Any, campaign_no: int, fit: Sequence[tuple[Claim, VoucherRow]]) -> None:
        refusal = await _try(connection, campaign_no, fit) if fit else None
        if refusal is None:
            return
        if len(fit) == 1:
            self.refused.append(Refusal.of(fit[0][0], refusal))
            self._enough()
            return
        middle = len(fit) // 2
        await self._halve(connection, campaign_no, fit[:middle])
        await self._halve(connection, campaign_no, fit[middle:])

    def _enough(self) -> None:
        if len(self.refused) > REFUSED_MAX:
            raise ShardBroken(
                f"more than {REFUSED_MAX} claims of one batch are refused, the last: {self.refused[-1].error}"
            )


def _is_known(claim: Claim, known: dict[int, str]) -> bool:
    code = known.get(claim.sequence)
    if code is not None and code != lookup_text(claim.code):
        raise ShardBroken(f"decision {claim.epoch}-{claim.sequence} is another claim in the ledger")
    return code is not None


async def _try(connection: Any, campaign_no: int, fit: Sequence[tuple[Claim, VoucherRow]]) -> LedgerRefused | None:
    """Copy these; where they are refused as data, why, and nothing is left of the try."""
    await connection.execute("savepoint tried")
    try:
        with failures():
            await copy_claims(connection, campaign_no, [claim for claim, _ in fit], [voucher for _, voucher in fit])
    except LedgerRefused as error:
        if not error.is_data:
            raise
        await connection.execute("rollback to savepoint tried; release savepoint tried")
        return error
    await connection.execute("release savepoint tried")
    return None
