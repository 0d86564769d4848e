"""The umpire of a run, in its master: before, and after."""

import json
import logging
import secrets
import time
from pathlib import Path
from typing import Any, Final

import gevent
import gevent.lock
from locust.env import Environment
from locust.rpc import Message
from locust.runners import LocalRunner, MasterRunner

from engine.errors import CannotRun, DropwaveError
from loadtests.swarm.accounts import Tokens
from loadtests.swarm.checking import CHECK_S
from loadtests.swarm.crowd import UNDER_WAY_S
from loadtests.swarm.operator import Operator
from loadtests.swarm.plan import Plan
from loadtests.swarm.receipts import Sums
from loadtests.swarm.stage import MERCHANT_OF_ITS_OWN, PUT_S, Stage, look, put_own_wave, worsen
from loadtests.swarm.statement import read_sums
from loadtests.swarm.tally import Tally
from loadtests.swarm.verdict import BROKEN, KEPT, NOT_KNOWN, Booked, Seen, Verdict, judge

CLOSE: Final = "dropwave close the book"
"""The message to workers that ends a run."""
BOOK: Final = "dropwave book"
"""A worker's answer, in parts."""
NEW_TERMS: Final = "dropwave new terms"
"""To workers: the terms of the run of that mark have been replaced."""
VISITS: Final = "dropwave visits"
"""From a worker whose users have all ended their visits."""
HAND_IN_S: Final = UNDER_WAY_S + CHECK_S + 10.0
"""For the books of all workers."""
_LOOK_S: Final = 0.05
_say: Final = logging.getLogger("loadtests").info
_warn: Final = logging.getLogger("loadtests").error


class Umpire:
    """Puts or finds the wave before a run, and judges behind it."""

    def __init__(self, environment: Environment, tokens: Tokens) -> None:
        self._environment = environment
        self._tokens = tokens
        self.visits: dict[str, int] = {}
        """How many have ended, by the id of each worker whose users have all come to the end."""
        self._workers: set[int] = set()
        """Indexes of all that took part in this run, with those that went or were replaced."""
        self._once = gevent.lock.BoundedSemaphore(1)
        self.is_over = True
        """Whether no run is under way that has not been judged."""
        self._statuses: set[int] = set()
        """Of all runs of this process: the web page starts one after the other."""
        self._tally = Tally()
        self._stage: Stage
        self._before: Seen
        self._booked: Sums | None = None
        """By the statement before the run, where winners go on to shops."""

    def start(self, plan: Plan) -> dict[str, Any]:
        """Puts or finds the wave; what every worker has to know. Raises DropwaveError where there can be no run."""
        options = self._environment.parsed_options
        assert options is not None
        self._tally, self.visits = Tally(), {}
        self._environment.process_exit_code = NOT_KNOWN  # should it end before it is judged
        self._workers = self._answering()
        seed = options.seed or secrets.randbelow(2**31)
        _say(f"seed {seed} (--seed {seed} repeats what the users want, not how they interleave)")
        operator, mark = self._operator(), secrets.token_hex(4)
        wave, offers = options.wave, tuple(offer for offer in options.offers.split(",") if offer)
        if not wave:
            wave, offers = put_own_wave(operator, mark, plan)
        self._before = look(operator, wave, 0.0 if options.wave else PUT_S)
        offers = offers or tuple(self._before.stock)
        workers = 1 if isinstance(self._environment.runner, LocalRunner) else options.shares
        self._stage = Stage(mark, wave, offers, not options.wave, workers, seed, plan._asdict())
        self._booked = self._read_sums(operator) if plan.shop_part else None
        if plan.shop_part and self._stage.is_own:
            now_ms = operator.get("/v1/time")["server_time_ms"]
            wait_s = max(0.0, (self._before.opens_ms - now_ms) / 1000 + plan.worse_after_s)
            gevent.spawn_later(wait_s, self._worsen, self._stage, plan)
        units = ", ".join(f"{self._before.stock.get(offer, 0):,} of {offer}" for offer in offers)
        _say(f"wave {wave} at {self._environment.host}: {units}")
        self.is_over = False
        return self._stage._asdict()

    def greet(self, client_id: str, **_rest: Any) -> None:
        """A worker that comes."""
        self._workers.add(self._index(client_id))

    def hear_of(self, msg: Message, **_rest: Any) -> None:
        """All users of a worker have ended their visits, so many."""
        self.visits[msg.node_id] = msg.data

    def take(self, msg: Message, **_rest: Any) -> None:
        """A part of a worker's book."""
        self._tally.add(self._index(msg.node_id), msg.data)

    def end(self) -> None:
        """Judge, once for a run, however it ends."""
        with self._once:
            if not self.is_over:
                self.is_over = True
                self._tell(self._judge())

    def _judge(self) -> Verdict:
        missing = self._collect()
        after, audit = None, None
        booked = None if self._booked is None else Booked(self._booked, None, self._stage.is_own)
        try:
            operator = self._operator()
            after = look(operator, self._stage.wave, PUT_S)
            if booked is not None:
                booked = booked._replace(after=self._read_sums(operator))
            audit = operator.audit(self._stage.wave)
            if self._stage.is_own:
                operator.act(self._stage.wave, "close", "load-test")
        except DropwaveError as error:
            missing.append(f"no audit: {error}" if audit is None else f"the wave could not be closed: {error}")
        return judge(self._tally, self._before, after, audit, missing, booked)

    def _read_sums(self, operator: Operator) -> Sums:
        """The statement of the campaign."""
        campaign = self._before.campaign
        return read_sums(operator, campaign, campaign + MERCHANT_OF_ITS_OWN if self._stage.is_own else "")

    def _worsen(self, stage: Stage, plan: Plan) -> None:
        """Terms become worse while the run goes on: what was claimed before has to stay as it was promised."""
        if self.is_over or stage is not self._stage:
            return
        try:
            worsen(self._operator(), stage.wave, plan, self._before.opens_ms)
        except DropwaveError as error:
            _warn(f"the terms stay as they are, so P8 is put to the test by them alone: {error}")
        else:
            assert self._environment.runner is not None
            self._environment.runner.send_message(NEW_TERMS, stage.mark)
            _say("the terms are worse from now on: fewer stores, half the discount, twice the spend")

    def _collect(self) -> list[str]:
        """Have the books handed in; which workers did not, a line each."""
        runner = self._environment.runner
        assert runner is not None
        runner.send_message(CLOSE, self._stage.mark)
        ends_s = time.monotonic() + HAND_IN_S
        while self._workers & self._answering() - self._tally.handed_in.keys() and time.monotonic() < ends_s:
            gevent.sleep(_LOOK_S)
        lacking = sorted(self._workers - self._tally.handed_in.keys())
        return [f"worker {index} is gone, and with it what its users were told" for index in lacking]

    def _answering(self) -> set[int]:
        """Workers that give signs of life."""
        runner = self._environment.runner
        if not isinstance(runner, MasterRunner):
            return set()
        return {self._index(each.id) for each in runner.clients.all if each not in runner.clients.missing}

    def _index(self, client_id: str) -> int:
        """Each process that comes has one of its own for as long as the master lives."""
        runner = self._environment.runner
        return runner.get_worker_index(client_id) if isinstance(runner, MasterRunner) else 0

    def _operator(self) -> Operator:
        host = self._environment.host
        if not host:
            raise CannotRun("no installation is named: --host http://…")
        return Operator(host, self._tokens.of_operator())

    def _tell(self, verdict: Verdict) -> None:
        told = dict(self._tally.answers.most_common())
        for line in verdict.looked_at:
            _say(line)
        _say(
            "claims were answered: " + (", ".join(f"{code} {count:,}" for code, count in told.items()) or "not at all")
        )
        sales = self._tally.sales
        if sales.answers:
            _say("tills were answered: " + ", ".join(f"{what} {many:,}" for what, many in sales.answers.most_common()))
        for line in verdict.not_known:
            _warn(f"not known: {line}")
        for line in verdict.broken:
            _warn(f"BROKEN: {line}")
        _say(f"verdict: {verdict.word}")
        self._statuses.add(verdict.status)
        worst = next(status for status in (BROKEN, NOT_KNOWN, KEPT) if status in self._statuses)
        # Where promises were kept it is locust's: --exit-code-on-error where requests failed.
        self._environment.process_exit_code = worst or None
        options = self._environment.parsed_options
        if options is not None and options.verdict_file:
            answers = {"answers": told, "tills": dict(sales.answers)}
            written = {"wave": self._stage.wave, "verdict": verdict.word, **answers, **verdict._asdict()}
            Path(options.verdict_file).write_text(json.dumps(written, ensure_ascii=False, indent=2) + "\n", "utf-8")


def refuse(environment: Environment, error: DropwaveError) -> None:
    """End the run that cannot be, in words."""
    _warn(f"cannot run: {error}")
    environment.process_exit_code = error.exit_status
    gevent.spawn(stop, environment)


def stop(environment: Environment) -> None:
    """End the run, and the program too where nobody sits at a page to start another one."""
    options, runner = environment.parsed_options, environment.runner
    assert options is not None
    assert runner is not None
    if options.headless:
        runner.quit()
    else:
        runner.stop()
