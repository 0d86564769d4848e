"""P8 as tills and holders saw it: what was claimed is taken under the terms of the claim, once, whatever came later."""

from collections import Counter, defaultdict

from engine.domain.verdict import Faults, Finding
from engine.rehearsal.errands import REDEEMED, Errand, ErrandKind
from engine.rehearsal.tills import Said, Shopping


def honoured(shopping: Shopping) -> Finding:
    """P8."""
    faults = Faults()
    by_errand: defaultdict[int, list[Said]] = defaultdict(list)
    for said in shopping.said:
        by_errand[said.errand].append(said)
    for errand in shopping.errands:
        _check_tills(faults, errand, by_errand[errand.number])
    _check_ledger(faults, shopping, by_errand)
    faults.add_many("P8", "cards that promise something else", len(shopping.cards_changed),
                    [f"claim {id}" for id in shopping.cards_changed])  # fmt: skip
    taken = [errand for errand in shopping.errands if errand.then.expected == REDEEMED]
    refused = Counter(said.outcome for said in shopping.said if said.outcome != REDEEMED)
    told = ", ".join(f"{count:,} {outcome}" for outcome, count in refused.most_common()) or "none"
    figures = (
        f"after a revision with fewer stores and smaller discounts {len(taken):,} vouchers were redeemed once each, "
        f"by the terms of their claims, for {sum(each.then.discount for each in taken):,} minor units; "
        f"{shopping.cards:,} cards promise what was promised; refusals: {told}"
    )
    unknown = "" if taken else "no voucher could be used now"
    return faults.finding("P8", figures, unknown=unknown)


def _check_tills(faults: Faults, errand: Errand, said: list[Said]) -> None:
    who = f"claim {errand.holding.claim_id} ({errand.kind})"
    rivals = sorted(each.outcome for each in said if each.visit == errand.then)
    if errand.kind is ErrandKind.TWO_TILLS:
        if rivals != ["already_redeemed", REDEEMED]:
            faults.add("P8", "vouchers at two tills of which not one took it", f"{who}: {', '.join(rivals)}")
        said = [each for each in said if each.outcome == REDEEMED]
    for each in said:
        expected = each.visit.expected
        if each.outcome != expected:
            what = f"{who} at {each.visit.store}: {each.outcome} instead of {expected}"
            faults.add("P8", "answers of tills that the terms of the claim do not give", what)
        elif expected == REDEEMED:
            found, promised = (each.discount, each.terms_version), (each.visit.discount, errand.holding.terms_version)
            if found != promised:
                words = f"{who}: {found[0]} by terms {found[1]} instead of {promised[0]} by terms {promised[1]}"
                faults.add("P8", "discounts by other terms than the claim's", words)


def _check_ledger(faults: Faults, shopping: Shopping, by_errand: dict[int, list[Said]]) -> None:
    """The ledger has what tills were told, and nothing else."""
    taken = defaultdict(list)
    for each in shopping.taken:
        taken[each.code].append((each.discount, each.terms_version))
    for errand in shopping.errands:
        told = {(each.discount, each.terms_version) for each in by_errand[errand.number] if each.outcome == REDEEMED}
        kept = taken.pop(errand.holding.code, [])
        if len(kept) > 1:
            faults.add("P8", "vouchers redeemed twice", f"claim {errand.holding.claim_id}")
        elif set(kept) != told:
            words = f"claim {errand.holding.claim_id}"
            faults.add("P8", "redemptions that ledger and tills tell otherwise", words)
    if taken:
        faults.add("P8", "redemptions that no till asked for", count=len(taken))
