"""The installation's statement of a campaign, as operators get it: what its redemptions and refunds come to."""

from datetime import UTC, datetime, timedelta
from typing import Final

from loadtests.swarm.operator import Operator
from loadtests.swarm.receipts import Sums

_DAY: Final = timedelta(days=1)
"""On either side of today: days are those of the campaign's zone, and a run may go on over midnight."""


def read_sums(operator: Operator, campaign: str, merchant: str) -> Sums:
    """Of the days around today; of that merchant alone, where one is named. Raises OperatorRefused."""
    today = datetime.now(UTC).date()
    of = f"&merchant={merchant}" if merchant else ""
    page = operator.get(f"/v1/ops/statements?from={today - _DAY}&to={today + _DAY}{of}")
    sums = Sums()
    for row in page["rows"]:
        if row["campaign"] == campaign:
            sums = sums.plus(Sums(*(row[name] for name in Sums._fields)))
    return sums
