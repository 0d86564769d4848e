"""Whether what came back is what was due. Every answer is looked at; what is wrong becomes a `Finding`."""

from collections import Counter
from collections.abc import Mapping
from typing import Final, NamedTuple

from loadtests.fuzz.answers import Answer
from loadtests.fuzz.cases import Case, Want
from loadtests.fuzz.reading import End
from loadtests.fuzz.talks import Talk

_TIMEOUT: Final = "timeout"
"""What nobody may be told whose request is malformed: the gateway waited for more of it."""
FINDINGS_KEPT_MAX: Final = 200
_SHED: Final = frozenset({"busy", "recovering", "too_many_requests"})
"""What any request may meet that the gateway has no time for just then. Counted, and told in the table."""
_CLAIMED: Final = b'"status":"claimed"'


class Finding(NamedTuple):
    """Something that is wrong, and the case that shows it."""

    number: int
    kind: str
    what: str


class Judge:
    """Holds talks against what was due. `documented` maps each code of a problem to its status."""

    def __init__(self, documented: Mapping[str, int]) -> None:
        self._documented = documented
        self.findings: list[Finding] = []
        self.wrong: Counter[str] = Counter()
        """How often each thing was wrong; more than `findings` holds."""
        self.requests: Counter[str] = Counter()
        self.codes: dict[str, Counter[str]] = {}
        self.closed: Counter[str] = Counter()
        self.claimed = 0
        """Claims that were granted, each to somebody else."""
        self.controls = 0
        self.shed = 0
        self.longest_s = 0.0
        """That a talk took: two dozen requests in one go, on a machine that has other things to do."""

    def hear(self, talk: Talk) -> None:
        """Judge one talk."""
        answers = [answer for answer in talk.answers if not answer.is_interim]
        self.longest_s = max(self.longest_s, talk.took_s)
        if talk.cases[-1].end is not End.INCOMPLETE and any(answer.code == _TIMEOUT for answer in answers):
            self._find(talk.cases[-1], "slow: the gateway waited for what was there, or could never come")
        place, is_over = 0, False
        for case in talk.cases:
            self.requests[case.kind] += 1
            for want in case.wants:
                if is_over:
                    continue
                if place == len(answers):
                    is_over = self._missing(talk, case)
                    continue
                self._look(case, want, answers[place])
                is_over = answers[place].is_last
                place += 1
            self.closed[case.kind] += case is talk.cases[-1] and talk.has_ended
        self._look_at_end(talk, answers[place:], is_over=is_over)
        self._look_at_interim(talk)

    def _missing(self, talk: Talk, case: Case) -> bool:
        """An answer is due and did not come. True: nothing more is looked for."""
        self._find(case, f"hang: no answer, {talk.flaw or 'the connection ended'}")
        return True

    def _look_at_form(self, case: Case, answer: Answer, *, to_head: bool) -> None:
        self.codes.setdefault(case.kind, Counter())[answer.code] += 1
        if answer.flaw:
            self._find(case, f"form: {answer.flaw}")
        if answer.status >= 400 and not to_head and self._documented.get(answer.code) != answer.status:
            self._find(case, f"undocumented: {answer.status} {answer.code}")
        if answer.status == 500:
            self._find(case, "500")

    def _look(self, case: Case, want: Want, answer: Answer) -> None:
        code = answer.code
        self._look_at_form(case, answer, to_head=want.to_head)
        is_refusal = want.may_end and answer.is_last and answer.status >= 400
        if want.request_id and answer.request_id != want.request_id and not is_refusal:
            self._find(case, f"desync: the answer to {answer.request_id!r} came for {want.request_id!r}")
        if want.codes is not None and not self._is_due(want, want.codes, answer) and not is_refusal:
            self._find(case, f"code: {code}, not {' or '.join(sorted(want.codes))}")
        if answer.is_last and not (want.may_end or case.end is not End.CLEAN):
            self._find(case, f"closed: the connection ended with {code}")
        self.shed += code in _SHED
        if _CLAIMED in answer.body and answer.status == 201:
            self.claimed += 1
            self.controls += case.kind == "control"
            if not want.may_claim:
                self._find(case, "executed: a claim was granted to a request that is none")

    def _is_due(self, want: Want, codes: frozenset[str], answer: Answer) -> bool:
        if not want.to_head:
            return answer.code in codes or answer.code in _SHED
        statuses = {self._documented.get(code, code) for code in codes | _SHED}  # it has no body that would say a code
        return answer.status in statuses or answer.code in statuses

    def _look_at_end(self, talk: Talk, rest: list[Answer], *, is_over: bool) -> None:
        """The last case says how the connection has to end."""
        case, end = talk.cases[-1], talk.cases[-1].end
        for answer in rest:
            self._look_at_form(case, answer, to_head=False)
            if _CLAIMED in answer.body:
                self.claimed += answer.status == 201
                self._find(case, "executed: a claim was granted to bytes that are no request")
        refusals = [answer for answer in rest if answer.status >= 400 and answer.is_last]
        if is_over and rest:
            self._find(case, "desync: an answer behind the last one")
        elif len(rest) > 1 or len(refusals) != len(rest):
            self._find(case, "desync: more answers than requests")
        elif end is End.MALFORMED and not is_over and not rest:
            self._find(case, f"hang: no refusal, {talk.flaw or 'the connection ended'}")
        elif end is End.CLEAN and rest:
            self._find(case, "desync: an answer to nothing")
        if end is not End.CLEAN and not talk.has_ended:
            self._find(case, "hang: the connection was not closed")
        elif talk.flaw and talk.flaw != "nothing more came":
            self._find(case, f"form: {talk.flaw}")

    def _look_at_interim(self, talk: Talk) -> None:
        asked = sum(want.may_be_told_to_go_on for case in talk.cases for want in case.wants)
        told = sum(answer.is_interim for answer in talk.answers)
        is_open = talk.cases[-1].end is End.INCOMPLETE  # the request that goes on may ask it too
        if told > asked + is_open:
            self._find(talk.cases[-1], "desync: told to go on without having asked")

    def _find(self, case: Case, what: str) -> None:
        self.wrong[what.partition(":")[0]] += 1
        if len(self.findings) < FINDINGS_KEPT_MAX:
            self.findings.append(Finding(case.number, case.kind, what))
