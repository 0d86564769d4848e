"""P1 to P7 as the users saw it: what each of them was told, against what ledger, log and hot store kept."""

from collections import Counter, defaultdict
from collections.abc import Iterator

from engine.domain.codes import claim_id
from engine.domain.verdict import Finding, Verdict
from engine.rehearsal.case import Case, claims_in, instant_ms, named
from engine.rehearsal.plan import first_choices
from engine.rehearsal.record import Answer, ToldClaim
from engine.rehearsal.refusals import refusals_true
from engine.rehearsal.users import Kind

UNDECIDED = frozenset({"no_answer", "busy", "recovering", "outcome_unknown", "too_many_requests", "timeout"})
"""Answers that leave open what became of a claim, or say that nothing did."""


def judge(case: Case) -> Verdict:
    """One finding for each of P1 to P7, and one for P9."""
    return Verdict(
        case.wave.id,
        (
            _stock(case),
            _limits(case),
            _kept(case),
            _given_out(case),
            _repeats(case),
            _window(case),
            _numbers(case),
            refusals_true(case),
        ),
    )


def _stock(case: Case) -> Finding:
    """P1: not more different claims were told than there are units."""
    told: defaultdict[str, set[str]] = defaultdict(set)
    for _, claim in case.granted:
        told[claim.offer].add(claim.code)
    for offer, codes in told.items():
        units = case.plan.stock.get(offer, 0)
        if len(codes) > units:
            example = f"{offer}: {len(codes):,} of {units:,}"
            case.faults.add("P1", "claims told above the stock", example, len(codes) - units)
    return case.faults.finding("P1", f"{sum(map(len, told.values())):,} different claims told to users")


def _limits(case: Case) -> Finding:
    """P2: no user was told of more claims than the limits allow in one wave."""
    most = 0
    for number, answers in case.record.of_user.items():
        codes = {claim.code for answer in answers for claim in claims_in(answer) if claim.wave == case.wave.id}
        most = max(most, len(codes))
        if len(codes) > case.plan.claims_max:
            case.faults.add("P2", "users with more claims than the limits allow", named(case.users[number]))
    parallel = [user.times for user in case.plan.users if user.kind is Kind.PARALLEL]
    return case.faults.finding(
        "P2",
        f"most claims of one user: {most} (allowed {case.plan.claims_max}); "
        f"{len(parallel):,} users sent theirs up to {max(parallel, default=0)} times at once",
    )


def _kept(case: Case) -> Finding:
    """P3: what was told is in every store, and what was kept was told or can be asked for."""
    for answer in case.record.answers:
        for claim in claims_in(answer):
            _check_kept(case, answer, claim)
    silent = case.kept.claims.keys() - case.told_codes
    for code in silent:
        account = case.kept.claims[code].account
        case.faults.add("P3", "claims that nobody was told of, nor can ask for", f"claim {claim_id(code)} of {account}")
    for offer, units in (case.kept.counted or {}).items():
        if units != case.given[offer]:
            example = f"{offer}: {units:,} units are counted as claimed, its users are shown {case.given[offer]:,}"
            case.faults.add(
                "P3",
                "claims that are counted and not shown, or shown and not counted",
                example,
                abs(units - case.given[offer]),
            )
    acknowledged = {claim.code for _, claim in case.granted}
    asked_for = case.kept.claims.keys() & (case.told_codes - acknowledged)
    where = case.kept.places
    if case.kept.counted is None:
        where = "ledger, log and hot store" if case.kept.held is not None else "ledger and log"
    figures = f"{len(acknowledged):,} acknowledged claims, each in {where} with the same code"
    if asked_for:
        figures += f"; {len(asked_for):,} claims whose answer was lost were there when asked for"
    return case.faults.finding("P3", figures)


def _check_kept(case: Case, answer: Answer, claim: ToldClaim) -> None:
    user, kept = case.users[answer.user], case.kept
    settled = kept.claims.get(claim.code)
    if settled is None:
        case.faults.add("P3", f"claims told that {kept.places} lacks", named(user, claim))
        return
    same = (user.account, claim.offer, claim.sequence, claim_id(claim.code), instant_ms(claim.claimed_at))
    offer = case.offer_id(settled.offer_no)
    if same != (settled.account, offer, settled.sequence, claim.id, settled.claimed_at_ms):
        case.faults.add("P3", f"claims told otherwise than {kept.places} has them", named(user, claim))
    if kept.held is not None and kept.held.get(claim.code) != settled:
        case.faults.add("P3", "claims told that the hot store lacks or has otherwise", named(user, claim))
    in_log = kept.log_from is not None and (settled.epoch, settled.sequence) >= kept.log_from
    if in_log and kept.log.get(claim.code) != settled:
        case.faults.add("P3", "claims told that the log lacks or has otherwise", named(user, claim))


def _given_out(case: Case) -> Finding:
    """P4: each offer that was asked for first by as many users as it has units gave out exactly those."""
    decided: defaultdict[str, set[int]] = defaultdict(set)
    capped = False
    for user, answer in case.valid_asks():
        capped = capped or answer.outcome == "cap_reached"
        if answer.outcome not in UNDECIDED:
            decided[answer.offers[0]].add(user.number)
    ratios = []
    for offer, units in case.plan.stock.items():
        given, askers = case.given[offer], len(decided[offer])
        if askers >= units and given < units and not capped:
            case.faults.add(
                "P4", "units not given out", f"{offer}: {given:,} of {units:,}, asked by {askers:,}", units - given
            )
        if units:
            ratios.append(askers / units)
    planned = first_choices(case.plan.users)
    given_in_all, units_in_all = sum(case.given[offer] for offer in case.plan.stock), sum(case.plan.stock.values())
    figures = (
        f"{given_in_all:,} of {units_in_all:,} units given out; "
        f"each offer asked for first by {min(ratios, default=0):.1f} to {max(ratios, default=0):.1f} users a unit "
        f"({sum(planned.values()):,} planned)"
    )
    return case.faults.finding("P4", figures, unknown=_why_not_judged(case, decided, capped=capped))


def _why_not_judged(case: Case, decided: dict[str, set[int]], *, capped: bool) -> str:
    if capped:
        return "the campaign's cap ended the drop before the stock did"
    short = [offer for offer, units in case.plan.stock.items() if len(decided[offer]) < units]
    return f"too few users got a decision on {', '.join(sorted(short))}" if short else ""


def _repeats(case: Case) -> Finding:
    """P5: the same request gets the same claim, and is not refused after it was granted."""
    again = 0
    for number, answers in case.record.of_user.items():
        user = case.users[number]
        first: dict[int, tuple[Answer, ToldClaim]] = {}
        fresh: Counter[int] = Counter()
        for answer in sorted(answers, key=lambda each: each.received_ms):
            claim = answer.granted
            if claim is None:
                continue
            fresh[answer.request_no] += answer.status == 201
            earlier = first.setdefault(answer.request_no, (answer, claim))[1]
            again += answer.status == 200
            if (claim.id, claim.code) != (earlier.id, earlier.code):
                case.faults.add("P5", "requests that got another claim when repeated", named(user, claim))
            if answer.replayed != (answer.status == 200):
                case.faults.add("P5", "answers that do not say whether they repeat", named(user, claim))
        for request_no, count in fresh.items():
            if count > 1:
                case.faults.add(
                    "P5", "requests that were granted as new more than once", f"{named(user)}, {request_no}"
                )
        for refused in _refused_after_grant(answers, first):
            case.faults.add(
                "P5", "granted requests that were refused when repeated", f"{named(user)}: {refused.outcome}"
            )
    return case.faults.finding("P5", f"{again:,} repeated requests got the claim that was theirs, with its code")


def _refused_after_grant(answers: list[Answer], first: dict[int, tuple[Answer, ToldClaim]]) -> Iterator[Answer]:
    """Requests sent after their claim was told, for the offer that is held, with another answer than that claim."""
    for answer in answers:
        if answer.purpose != "claim" or answer.request_no not in first or answer.granted or answer.outcome in UNDECIDED:
            continue
        told, claim = first[answer.request_no]
        if answer.sent_ms > told.received_ms and claim.offer in answer.offers:
            yield answer


def _window(case: Case) -> Finding:
    """P6: nobody was let in before the opening, after the close, or during the pause."""
    moments, off_ms = case.moments, case.moments.tolerance_ms
    for answer, claim in case.granted:
        claimed_ms = instant_ms(claim.claimed_at)
        example = named(case.users[answer.user], claim)
        if not moments.opens_ms <= claimed_ms < moments.closes_ms:
            case.faults.add("P6", "claims told with an instant outside the window", example)
        if answer.received_ms + off_ms < moments.opens_ms:
            case.faults.add("P6", "claims granted before the opening", example)
        if answer.status != 201:
            continue
        if moments.close_done_ms is not None and answer.sent_ms > moments.close_done_ms:
            case.faults.add("P6", "claims granted after the close", example)
    early = sum(answer.outcome == "not_open" for answer in case.record.answers)
    first_ms = min((claim.claimed_at_ms for claim in case.kept.claims.values()), default=None)
    figures = f"{early:,} requests before the opening were told to wait"
    if first_ms is not None:
        figures += f"; first claim {first_ms - moments.opens_ms:,} ms after it"
    return case.faults.finding("P6", figures)


def _numbers(case: Case) -> Finding:
    """P7: numbers tell the order of deciding. A claim told before another was asked for has the lower number."""
    if case.kept.is_recovered:
        why = "the hot store was recovered during the drop, and no answer tells before or after that"
        return case.faults.finding("P7", "numbers begin again then", unknown=why)
    fresh = [
        (answer, (settled.epoch, settled.sequence))
        for answer, claim in case.granted
        if answer.status == 201 and (settled := case.kept.claims.get(claim.code)) is not None
    ]
    by_end = sorted(fresh, key=lambda each: each[0].received_ms)
    told, highest = 0, (0, 0)
    for answer, number in sorted(fresh, key=lambda each: each[0].sent_ms):
        while told < len(by_end) and by_end[told][0].received_ms < answer.sent_ms:
            highest = max(highest, by_end[told][1])
            told += 1
        if number < highest:
            user = case.users[answer.user]
            case.faults.add("P7", "claims numbered below one that was told before they were asked for", named(user))
    return case.faults.finding("P7", f"{len(fresh):,} claims numbered in the order in which they were asked and told")
