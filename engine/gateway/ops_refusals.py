"""Why something that an operator asked for was not done, as a problem.

Titles are in the operator's language; details are in English, as the command line has them.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from engine.errors import (
    ActOutrun,
    ActRefused,
    CampaignFileError,
    CannotRun,
    DropwaveError,
    HotStoreError,
    HotStoreUnavailable,
    LedgerUnavailable,
    MistypedCode,
    NotSettledYet,
    RevisionMoved,
    UnknownOffer,
    UnknownVoucher,
    UnknownWave,
    UsageError,
)
from engine.gateway.answer import Words
from engine.gateway.refusals import Problem

MISTAKES_MAX = 1_000
"""Of a campaign file; more are counted. A file with a mistake in each line would give an answer of many megabytes."""
_CODES: Final[Mapping[type[DropwaveError], str]] = {
    UnknownWave: "unknown_wave",
    UnknownOffer: "unknown_offer",
    MistypedCode: "mistyped_code",
    UnknownVoucher: "unknown_code",
    NotSettledYet: "not_settled_yet",
    ActOutrun: "busy",  # not the act is wrong, only its moment
    HotStoreUnavailable: "recovering",
}
"""Failures that have a code of their own, and nothing to tell but their words."""


def problem_of(error: DropwaveError) -> Problem:
    """The problem that this failure means to an operator; raises what is a failure here."""
    words = says(str(error))
    for failure, code in _CODES.items():
        if isinstance(error, failure):
            return Problem(code, words)
    match error:
        case RevisionMoved():
            return moved(str(error), error.revision)
        case CampaignFileError():
            return refused_file(error)
        case UsageError():
            return Problem("invalid_request", words, {"at": "$"})
        case ActRefused():
            return act_refused([str(error)])
        case HotStoreError() | LedgerUnavailable() | CannotRun():
            return Problem("act_incomplete", words)
        case _:
            raise error


def says(text: str) -> Words:
    """The same words in both languages."""
    return Words(text, text)


def act_refused(reasons: Sequence[str]) -> Problem:
    """What cannot be done now, with all reasons."""
    return Problem("act_refused", says("; ".join(reasons)), {"reasons": reasons})


def moved(text: str, revision: int) -> Problem:
    """The campaign is at another revision than the caller thought."""
    return Problem("precondition_failed", says(text), {"revision": revision}, (("ETag", f'"{revision}"'),))


def refused_file(error: CampaignFileError) -> Problem:
    """A campaign file with everything that is wrong with it. `line` is null where the file has no line for it."""
    shown: list[dict[str, Any]] = [
        {"line": mistake.line or None, "path": mistake.path, "what": mistake.what}
        for mistake in error.mistakes[:MISTAKES_MAX]
    ]
    count = len(error.mistakes)
    words = Words(f"the campaign file has {count} mistakes", f"活动文件有 {count} 处错误")
    return Problem("invalid_request", words, {"at": "body", "mistakes": shown, "mistakes_in_all": count})
