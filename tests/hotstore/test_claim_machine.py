"""The scripts against the model: whatever is sent, in whatever order, both say the same.

TEST_EXAMPLES  runs of the machine (25 where it is not set; a few thousand for a night). Where it is set, a
               failing run is shortened too, which takes minutes.
"""

import asyncio
import itertools
import os
import random
from collections.abc import Callable, Coroutine
from typing import Any

import hypothesis
import msgspec
import pytest
from hypothesis import Phase
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from msgspec.structs import replace

from engine.domain.campaign import Cap, Limit
from engine.domain.decisions import ActKind, ActLine, OfferState, Rules, WaveState
from engine.domain.outcome import Ask, Claim, Claimed, Outcome
from engine.errors import ActOutrun, ActRefused
from engine.hotstore import load
from engine.hotstore.decide import Late, act
from engine.hotstore.log import tell_settled
from engine.hotstore.records import whole_line
from engine.hotstore.scripts import Fenced, OtherEpoch
from engine.hotstore.store import HotStore
from engine.hotstore.view import read_holders
from engine.settings import Settings
from tests.hotstore.model import Answer, Model, Record
from tests.support.drop import HOUR_MS, LAG_MAX, Drop, campaign, catalogue_of, wave

EXAMPLES = int(os.environ.get("TEST_EXAMPLES", "25"))
PHASES = [Phase.generate, *([Phase.shrink] if "TEST_EXAMPLES" in os.environ else [])]
STEPS = 50

WAVES = (1, 2, 3)
LATER = 4
"""Is there once an act has put it."""
NO_SUCH = 9
SCHEDULES = {
    "open": (-HOUR_MS, HOUR_MS),
    "to come": (HOUR_MS, 2 * HOUR_MS),
    "over": (-2 * HOUR_MS, -HOUR_MS),
    "a clock step away": (30_000, HOUR_MS),
    "more than a clock step away": (90_000, HOUR_MS),
}
"""When a wave opens and closes, seen from now: time is chosen, not waited for."""
PEOPLE = (("ann", "ann"), ("ben", "ben"), ("ann", "ann's phone"), ("ben", "王,本 \u2028"), ("cui", "cui"))
"""(person, account)."""

# Hypothesis draws what is done, in what order and how much at once. What each piece looks like comes of a number that
# it draws, and of the piece's place in the run: its own choice prefers the odd case, and the same case again, so much
# that hardly a claim would be granted.
seeds = st.integers(0, 2**32 - 1)


def drawn_ask(draw: random.Random, by_person: bool) -> Ask:
    """An ask that mostly could be granted."""
    person, account = draw.choice(PEOPLE)
    offers = draw.choice([(1,), (2,), (3,), (1, 2), (2, 1), (2, 3), (3, 2, 1)])
    if draw.random() < 0.03:
        offers = (*offers, 4)
    return Ask(
        wave_no=draw.choice(WAVES * 10 + (LATER, LATER, NO_SUCH)),
        request_no=draw.choice([1, 1, 2, 3]),
        offers=offers,
        claimant=person if by_person else account,
        account=account,
        broken_rule="city" if draw.random() < 0.05 else "",
    )


def drawn_state(wave_no: int, draw: random.Random, now_ms: int) -> WaveState:
    """A wave that mostly is open."""
    opens, closes = SCHEDULES["open" if draw.random() < 0.85 else draw.choice(sorted(SCHEDULES))]
    value, terms = draw.randint(1, 3), draw.randint(1, 2)
    numbers = draw.choice([(1, 2, 3), (1, 2, 3), (1, 2, 3), (1, 2), (2, 3)])
    offers = {str(no): OfferState(draw.randint(0, 5), terms, value * no) for no in numbers}
    round, day = draw.choice(["r1", "r2"]), draw.choice(["2026-11-11", "2026-11-12"])
    return WaveState(f"w{wave_no}", round, day, now_ms + opens, now_ms + closes, offers)


def drawn_rules(draw: random.Random) -> Rules:
    """Limits, alone and together, and now and then a cap."""
    limits = [
        Limit(draw.choice([1, 2, 2, 3, 4]), draw.choice(["campaign", "round", "wave", "day"]))
        for _ in range(draw.choice([0, 1, 1, 1, 2, 3]))
    ]
    claims = draw.randint(0, 12) if draw.random() < 0.25 else None
    value = draw.randint(0, 40) if draw.random() < 0.25 else None
    return Rules(tuple(limits), Cap(claims, value))


class ClaimMachine(RuleBasedStateMachine):
    """One shard on a real Redis, and its model beside it."""

    url = ""

    @initialize(rules=seeds, put=st.lists(seeds, min_size=3, max_size=3), by_person=st.booleans())
    def begin(self, rules: int, put: list[int], by_person: bool) -> None:
        self.runner = asyncio.Runner(loop_factory=asyncio.SelectorEventLoop)
        self.pieces = itertools.count()
        self.by_person = by_person
        self.shard_rules = drawn_rules(self._draw(rules))
        hypothesis.note(f"{self.shard_rules}")
        self.model = Model(self.shard_rules.limits, self.shard_rules.cap)
        self.acts = itertools.count(1)
        self.sent: list[list[tuple[Ask, str]]] = []
        self._run(self._load(put))

    async def _load(self, put: list[int]) -> None:
        self.store = await HotStore.connect(self.url, Settings())
        await self.store.call("FLUSHALL")
        waves = [wave(f"w{no}", 0, HOUR_MS, {}) for no in (*WAVES, LATER)]
        file = campaign(waves, limits=self.shard_rules.limits, cap=self.shard_rules.cap)
        self.drop = Drop(self.store, catalogue_of(file))
        states = {
            no: drawn_state(no, self._draw(each), await self.drop.now_ms()) for no, each in enumerate(put, start=1)
        }
        await self.drop.load(states)
        self.model.waves = dict(states)
        self.model.left = {
            (no, int(offer)): each.total for no, state in states.items() for offer, each in state.offers.items()
        }
        self.model.loaded(self.drop.epoch)

    def teardown(self) -> None:
        if hasattr(self, "runner"):
            self.runner.run(self.store.close())
            self.runner.close()

    def _draw(self, seed: int) -> random.Random:
        return random.Random(f"{seed}/{next(self.pieces)}")

    def _run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.runner.run(work)

    # Claims

    @rule(
        drawn=st.lists(seeds, min_size=1, max_size=8),
        late=st.sampled_from([*[False] * 11, True]),
        lag_max=st.sampled_from([*[LAG_MAX] * 8, 3, 6]),
    )
    def claim(self, drawn: list[int], late: bool, lag_max: int) -> None:
        self._send([(drawn_ask(self._draw(seed), self.by_person), self.drop.code()) for seed in drawn], late, lag_max)

    more_claims = claim
    still_more_claims = claim

    @rule(first=seeds, times=st.integers(2, 8))
    def claim_several_times_at_once(self, first: int, times: int) -> None:
        ask = drawn_ask(self._draw(first), self.by_person)
        self._send([(ask, self.drop.code()) for _ in range(times)], late=False, lag_max=LAG_MAX)

    @precondition(lambda self: self.sent)
    @rule(back=st.integers(0, 3), late=st.sampled_from([False, False, False, True]))
    def lose_the_reply_and_ask_again(self, back: int, late: bool) -> None:
        batch = self.sent[-1 - back % len(self.sent)]
        known = {claim["code"] for claim in self.model.claims}
        for (_, code), answer in zip(batch, self._send(batch, late, LAG_MAX), strict=True):
            if code in known:  # for the user it is the first answer, whatever happened to the shard since
                assert isinstance(answer, Claimed)
                assert answer.claim.code == code
                assert not answer.replayed

    def _send(self, batch: list[tuple[Ask, str]], late: bool, lag_max: int) -> list[Outcome | Late]:
        async def send() -> tuple[int, list[Outcome | Late], int]:
            not_after_ms = await self.drop.now_ms() + (-5_000 if late else HOUR_MS)
            decided = await self.drop.batch(
                *(ask for ask, _ in batch),
                codes=[code for _, code in batch],
                not_after_ms=not_after_ms,
                lag_max=lag_max,
            )
            return decided.now_ms, decided.answers, not_after_ms

        now_ms, answers, not_after_ms = self.runner.run(send())
        expected = self.model.batch(batch, now_ms, not_after_ms, lag_max)
        self.sent.append(batch)
        for (ask, code), answer, want in zip(batch, answers, expected, strict=True):
            if want[0] in ("new", "held"):  # of these `replayed` tells which the user is to see
                want = ("claimed", *want[1:])
            assert _as_answer(answer, code) == want, ask
        return answers

    # Acts

    @rule(wave_no=st.sampled_from((*WAVES, LATER)), drawn=seeds)
    def put(self, wave_no: int, drawn: int) -> None:
        draw = self._draw(drawn)

        def change(before: WaveState | None, now_ms: int) -> WaveState:
            state = drawn_state(wave_no, draw, now_ms)
            return (
                replace(state, state=before.state, reason=before.reason, closed_ms=before.closed_ms)
                if before
                else state
            )

        self._act(wave_no, change)

    @rule(wave_no=st.sampled_from(WAVES), totals=st.lists(st.integers(0, 6), min_size=3, max_size=3))
    def restock(self, wave_no: int, totals: list[int]) -> None:
        def change(before: WaveState | None, now_ms: int) -> WaveState | None:
            if before is None:
                return None
            offers = {no: replace(each, total=totals[int(no) - 1]) for no, each in before.offers.items()}
            return replace(before, offers=offers)

        self._act(wave_no, change)

    @rule(wave_no=st.sampled_from(WAVES), schedule=st.sampled_from([*["open"] * 10, *SCHEDULES]))
    def move(self, wave_no: int, schedule: str) -> None:
        def change(before: WaveState | None, now_ms: int) -> WaveState | None:
            opens, closes = SCHEDULES[schedule]
            return replace(before, opens_ms=now_ms + opens, closes_ms=now_ms + closes) if before else None

        self._act(wave_no, change)

    @rule(
        wave_no=st.sampled_from(WAVES), state=st.sampled_from([*["paused", "live", "live"] * 3, "closed", "cancelled"])
    )
    def flag(self, wave_no: int, state: Any) -> None:
        def change(before: WaveState | None, now_ms: int) -> WaveState | None:
            closed_ms = now_ms if state == "closed" else 0
            reason = "" if state == "live" else f"why {state}"
            return replace(before, state=state, reason=reason, closed_ms=closed_ms) if before else None

        self._act(wave_no, change)

    @rule(reason=st.sampled_from(["", "", "", "all stop"]))
    def stop(self, reason: str) -> None:
        rules = replace(self.shard_rules, stopped=reason)
        kind: ActKind = "stop" if reason else "start"
        assert self._put(ActLine(self.model.act + 1, f"a{next(self.acts)}", kind, "tester", "why", rules=rules))
        self.model.stop(reason, self._run(self.drop.log())[-1].at_ms)

    def _act(self, wave_no: int, change: Callable[[WaveState | None, int], WaveState | None]) -> None:
        before = self.model.waves.get(wave_no)
        state = change(before, self._run(self.drop.now_ms()))
        if state is None:
            return
        line = ActLine(self.model.act + 1, f"a{next(self.acts)}", "put_wave", "tester", "why", wave_no, state=state)
        if not self.model.fits(wave_no, state):
            with pytest.raises(ActRefused, match="claimed already"):
                self._put(line)
            return
        assert self._put(line), "done for the first time"
        self.model.put(wave_no, state, self._run(self.drop.log())[-1].at_ms)
        assert not self._put(line), "the same act again is done already"
        with pytest.raises(ActOutrun):
            self._put(replace(line, id="somebody else's"))

    def _put(self, line: ActLine) -> bool:
        return bool(self._run(act(self.store, self.drop.campaign, self.drop.epoch, line, term=self.drop.term)))

    # The shard's life

    @rule(share=st.floats(0, 1))
    def settle(self, share: float) -> None:
        place = int(self.model.last * share)
        self._run(tell_settled(self.store, self.drop.campaign, (self.drop.epoch, place)))
        self.model.settled = max(self.model.settled, place)

    @rule()
    def forget_scripts(self) -> None:
        self._run(self.store.call("SCRIPT", "FLUSH"))

    @rule()
    def upgrade(self) -> None:
        """The holders as a version before this one would have left them."""
        self._run(self._write_long_records())

    async def _write_long_records(self) -> None:
        shard = self.drop.keys
        for claimant, claims in self._holders().items():
            record = f"{len(claims)}\n" + "".join(f"{whole_line(claim)}\n" for claim in claims)
            await self.store.call("HSET", shard.holders, claimant, record)
        await self.store.call("HDEL", shard.meta, "base")

    @rule(how=st.sampled_from(["rebind", "load"]))
    def unbind_and_bind(self, how: str) -> None:
        self._run(self._recover(how))
        if how == "load":
            self.model.loaded(self.drop.epoch)
        else:
            self.model.rebound(self.drop.epoch)

    async def _recover(self, how: str) -> None:
        name, old, new, term = self.drop.campaign, self.drop.epoch, self.drop.epoch + 1, self.drop.term
        seen = await load.unbind(self.store, name, term)
        assert seen.epoch == old
        with pytest.raises(Fenced):
            await self.drop.batch(Ask(1, 1, (1,), "ann", "ann"))
        if how == "rebind":
            await load.rebind(self.store, name, old, self.model.last, new, term, seen.incarnation)
        else:
            await load.drop_other_epochs(self.store, name, old, term)
            await load.begin_epoch(self.store, name, new, term)
            holders = self._holders()
            await load.load_holders(self.store, name, new, term, holders.values())
            await load.load_contents(self.store, name, new, term, self._contents())
            await load.bind(self.store, name, new, term, seen.incarnation, len(holders), old)
        with pytest.raises(OtherEpoch) as raised:
            await self.drop.batch(Ask(1, 1, (1,), "ann", "ann"))
        assert raised.value.epoch == new
        self.drop.epoch = new

    def _holders(self) -> dict[str, list[Claim]]:
        held: dict[str, list[Claim]] = {}
        for claim in self.model.claims:
            held.setdefault(claim["claimant"], []).append(Claim(**claim))
        return held

    def _contents(self) -> load.Contents:
        newest: dict[tuple[int, int], int] = {}
        for claim in self.model.claims:
            place = claim["wave_no"], claim["offer_no"]
            newest[place] = max(newest.get(place, 0), claim["claimed_at_ms"])
        return load.Contents(
            self.drop.catalogue,
            self.model.waves,
            self.model.left,
            act=self.model.act,
            claims=len(self.model.claims),
            value=self.model.value,
            newest_ms=newest,
            stopped=self.model.stopped,
        )

    # What has to be so after each step

    @invariant()
    def stores_agree(self) -> None:
        if hasattr(self, "drop"):
            self._run(self._compare())

    async def _compare(self) -> None:
        model, view = self.model, await self.drop.view()
        assert (view.epoch, view.bound, view.last, view.act) == (model.epoch, True, model.last, model.act)
        assert (view.claims, view.value, view.settled) == (len(model.claims), model.value, model.settled)
        assert view.waves == model.waves
        assert view.rules == replace(self.shard_rules, stopped=model.stopped)
        assert view.left == model.left
        assert view.sold_out_ms == model.sold_out_ms
        held = {claimant: claims async for claimant, claims in read_holders(self.store, self.drop.campaign)}
        assert held == self._holders()
        log = [
            {
                "epoch": entry.epoch,
                "first": entry.first,
                "last": entry.last,
                "at": entry.at_ms,
                **({"wave_no": entry.act.wave_no} if entry.act else {"claims": [*map(_record, entry.claims)]}),
            }
            for entry in await self.drop.log()
        ]
        assert log == model.log

    @invariant()
    def promises_hold(self) -> None:
        """P1, P2, P6 and P7 of what the scripts have said, without the model's help."""
        if not hasattr(self, "drop"):
            return
        entries = self._run(self.drop.log())
        claims = [claim for entry in entries for claim in entry.claims]
        for (wave_no, offer_no), units in _units(claims).items():
            assert units == list(range(1, len(units) + 1))
            assert len(units) <= self.model.waves[wave_no].offers[str(offer_no)].total
        assert len({claim.code for claim in claims}) == len(claims)
        for epoch in {entry.epoch for entry in entries}:
            numbers = [n for entry in entries if entry.epoch == epoch for n in range(entry.first, entry.last + 1)]
            assert numbers == list(range(1, len(numbers) + 1))
        for claimant in {claim.claimant for claim in claims}:
            for limit in self.model.limits:
                if limit.per in ("campaign", "wave"):  # labels of round and day may have changed since
                    waves = [claim.wave_no for claim in claims if claim.claimant == claimant]
                    most = len(waves) if limit.per == "campaign" else max(map(waves.count, waves))
                    assert most <= limit.max


def _units(claims: list[Claim]) -> dict[tuple[int, int], list[int]]:
    units: dict[tuple[int, int], list[int]] = {}
    for claim in claims:
        units.setdefault((claim.wave_no, claim.offer_no), []).append(claim.unit)
    return units


def _record(claim: Claim) -> Record:
    return msgspec.structs.asdict(claim)


def _as_answer(answer: Outcome | Late, code: str) -> Answer:
    """An answer of the script in the model's words."""
    match answer:
        case Late():
            return ("late",)
        case Claimed(claim, replayed):
            assert replayed == (claim.code != code)
            return "claimed", _record(claim)
    words: dict[str, Answer] = {
        "not_eligible": (answer.rule,),
        "cancelled": (answer.reason,),
        "stopped": (answer.reason,),
        "paused": (answer.reason,),
        "closed": (answer.at_ms,),
        "not_open": (answer.at_ms,),
        "sold_out": (answer.at_ms,),
        "already_claimed": (_record(answer.claim) if answer.claim else None,),
        "limit_reached": (_record(answer.claim) if answer.claim else None,),
    }
    return answer.code.value, *words.get(answer.code.value, ())


def test_scripts_and_model_agree(redis_url: str, seed: int) -> None:
    machine = hypothesis.seed(seed)(type("SeededClaimMachine", (ClaimMachine,), {"url": redis_url}))
    run_state_machine_as_test(
        machine,
        settings=hypothesis.settings(max_examples=EXAMPLES, stateful_step_count=STEPS, deadline=None, phases=PHASES),
    )
