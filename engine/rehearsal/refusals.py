"""P9 as the users saw it: every refusal is one of those documented, and its reason was true at that moment."""

from collections.abc import Callable

from engine.domain.verdict import Finding
from engine.rehearsal.case import Case, named
from engine.rehearsal.record import Answer
from engine.rehearsal.users import TRUE_REFUSALS, User

NOT_KNOWN = frozenset({"busy", "recovering", "outcome_unknown", "too_many_requests", "timeout", "no_answer"})
"""What may be said at any time: that nothing was decided, or is known. It is counted, and no fault by itself."""


def refusals_true(case: Case) -> Finding:
    """P9."""
    not_known = 0
    for answer in case.record.answers:
        _check_documented(case, answer)
        if answer.outcome in NOT_KNOWN:
            not_known += 1
        elif answer.purpose == "claim":
            user = case.users[answer.user]
            if user.entitled:
                _check_entitled(case, user, answer)
            else:
                _check_stranger(case, user, answer)
        elif answer.told.code:
            user = case.users[answer.user]
            case.faults.add("P9", f"{answer.purpose}s that were refused", f"{named(user)}: {answer.outcome}")
    strangers = [user for user in case.plan.users if not user.entitled]
    for user in strangers:
        if user.account in case.kept_of_account:
            case.faults.add("P9", "claims of users who may not claim", named(user))
    refused = sum(bool(answer.told.code) for answer in case.record.answers)
    return case.faults.finding(
        "P9",
        f"{refused:,} refusals, each with its one true reason; {len(strangers):,} strangers got nothing; "
        f"{not_known:,} answers that nothing was decided or known",
    )


def _check_documented(case: Case, answer: Answer) -> None:
    if answer.status in (0, 200, 201) and answer.readable and not answer.told.code:
        return
    if not answer.readable or case.documented.get(answer.told.code) != answer.status or answer.status == 500:
        user = case.users[answer.user]
        case.faults.add("P9", "answers that are not documented", f"{named(user)}: {answer.status} {answer.outcome}")


def _check_stranger(case: Case, user: User, answer: Answer) -> None:
    if answer.outcome not in TRUE_REFUSALS[user.kind]:
        case.faults.add("P9", "strangers that got another answer than they should", f"{named(user)}: {answer.outcome}")


def _check_entitled(case: Case, user: User, answer: Answer) -> None:
    if answer.granted is not None:
        return
    check = _CHECKS.get(answer.outcome)
    if check is None:
        case.faults.add("P9", "refusals that no entitled user may get", f"{named(user)}: {answer.outcome}")
    elif not check(case, user, answer):
        case.faults.add("P9", f"refusals '{answer.outcome}' that were not true", named(user))


def _not_open(case: Case, _: User, answer: Answer) -> bool:
    return answer.sent_ms < case.moments.opens_ms + case.moments.tolerance_ms


def _sold_out(case: Case, _: User, answer: Answer) -> bool:
    """All units of every offer that was asked for had been given by the time of the answer."""
    latest_ms = answer.received_ms + case.moments.tolerance_ms
    return all(
        case.given[offer] == case.plan.stock.get(offer, 0) and case.last_given_ms.get(offer, 0) <= latest_ms
        for offer in answer.offers
    )


def _held_already(case: Case, user: User, answer: Answer) -> bool:
    """The user had as many claims as are allowed, and the one that was shown is among them.

    Where limits count more than one claim, another offer under a request_no that is taken is refused too.
    """
    latest_ms = answer.received_ms + case.moments.tolerance_ms
    held = [claim for claim in case.kept_of_account.get(user.account, []) if claim.claimed_at_ms <= latest_ms]
    shown = answer.told.claim
    reached = len(held) >= case.plan.claims_max or any(claim.request_no == answer.request_no for claim in held)
    return reached and shown is not None and any(claim.code == shown.code for claim in held)


def _closed(case: Case, _: User, answer: Answer) -> bool:
    latest_ms = answer.received_ms + case.moments.tolerance_ms
    begun_ms = case.moments.close_begun_ms
    return latest_ms >= case.moments.closes_ms or (begun_ms is not None and latest_ms >= begun_ms)


def _paused(case: Case, _: User, answer: Answer) -> bool:
    begun_ms, done_ms, off_ms = case.moments.pause_begun_ms, case.moments.resume_done_ms, case.moments.tolerance_ms
    began_before = begun_ms is not None and answer.received_ms + off_ms >= begun_ms
    return began_before and (done_ms is None or answer.sent_ms - off_ms <= done_ms)


def _cap_reached(case: Case, _: User, __: Answer) -> bool:
    cap = case.catalogue.cap
    return cap.claims is not None or cap.value is not None


_CHECKS: dict[str, Callable[[Case, User, Answer], bool]] = {
    "not_open": _not_open,
    "sold_out": _sold_out,
    "already_claimed": _held_already,
    "limit_reached": _held_already,
    "closed": _closed,
    "paused": _paused,
    "cap_reached": _cap_reached,
}
"""The refusals that an entitled user may get, and what makes them true."""
