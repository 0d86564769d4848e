"""A load test in one process: the part of a worker, of the master, or (without workers) both.

start   the master puts or finds the wave, and tells its workers with the options that it sends them anyway
run     users ask, the book of their worker listens
end     before locust stops the users, the master asks for the books: each worker lets no further request begin, waits
        for those under way, looks at own claims and hands in; the master asks operators and the audit, and judges
"""

import functools
from typing import Any, ClassVar, Final

import gevent
from locust import argument_parser
from locust.env import Environment
from locust.rpc import Message
from locust.runners import MasterRunner, WorkerRunner

from engine.errors import DropwaveError
from loadtests.swarm.accounts import Accounts, Tokens, Who
from loadtests.swarm.book import Book, Standing
from loadtests.swarm.crowd import Crowd
from loadtests.swarm.operator import session_of
from loadtests.swarm.plan import Plan
from loadtests.swarm.stage import Stage
from loadtests.swarm.tally import Checks, parts_of
from loadtests.swarm.tills import CONNECTIONS, Tills
from loadtests.swarm.umpire import BOOK, CLOSE, NEW_TERMS, VISITS, Umpire, refuse, stop

WITHOUT_SHAPE_S: Final = 60.0
"""A run that has neither a shape nor a --run-time ends after this."""
TILL_ANSWER_S: Final = 15.0
"""As for users: longer than a gateway lets anybody wait."""


class Load:
    """Registers itself with locust's events; users and shapes find it as `Load.here`."""

    here: "ClassVar[Load | None]" = None
    """None until locust is set up."""

    def __init__(self, environment: Environment, tokens: Tokens) -> None:
        runner = environment.runner
        assert runner is not None
        self.crowd: Crowd | None = None
        self.tills: Tills | None = None
        """Of the crowd's run, where its winners go on to shops."""
        self._environment = environment
        self._tokens = tokens
        self._refused = ""
        """The run in which this process can have no users."""
        _take_defaults(environment)
        self._umpire = None if isinstance(runner, WorkerRunner) else Umpire(environment, tokens)
        if self._umpire is not None:
            environment.events.test_start.add_listener(self._start)
            runner.register_message(BOOK, self._umpire.take)
            environment.events.worker_connect.add_listener(self._umpire.greet)
            runner.register_message(VISITS, self._umpire.hear_of)
            environment.events.test_stopping.add_listener(self._end)
            environment.events.quitting.add_listener(self._end)
        if isinstance(runner, WorkerRunner):
            # A worker works out locust's own options anew for each option of each message that has users come: seconds
            # of a busy core, in which it gives no sign of life, and the master goes on without it.
            argument_parser.default_args_dict = functools.cache(argument_parser.default_args_dict)
        if not isinstance(runner, MasterRunner):
            # Concurrently: the messages of a worker are its master's sign of life too.
            runner.register_message(CLOSE, self._close, concurrent=True)
            runner.register_message(NEW_TERMS, self._hear_of_new_terms)

    def is_done(self, users: int) -> bool:
        """Whether that many visits of this run have ended. Asked where the shape is."""
        if self._umpire is None or self._umpire.is_over:
            return False
        return sum(self._umpire.visits.values()) >= users

    def end_visit(self, crowd: Crowd, standing: Standing) -> None:
        """A user has come to the end. Told to the master once all users of this process have, and no more come."""
        crowd.book.end(standing)
        runner = self._environment.runner
        assert runner is not None
        if not crowd.plan.renews and crowd.book.visits >= runner.user_count:
            runner.send_message(VISITS, crowd.book.visits)

    def join(self) -> Crowd | None:
        """The crowd of the run that is under way, for one of its users; None where there can be none here.

        What the master sends tells which run it is, not locust's `test_start`: a worker that comes into a run is sent
        its users before anything in it could listen for that.
        """
        options = self._environment.parsed_options
        assert options is not None
        stage = Stage.read(options.load_stage)
        if stage.mark == self._refused:
            return None
        if self.crowd is None or self.crowd.stage.mark != stage.mark:
            worker = getattr(self._environment.runner, "worker_index", -1)
            who = Who(options.city, tuple(tag for tag in options.tags_of_users.split(",") if tag))
            try:
                self.crowd = Crowd(stage, Accounts(self._tokens, stage.mark, worker, stage.shares, who), worker)
                self.tills = self._tills(self.crowd, worker) if self.crowd.plan.shop_part else None
            except DropwaveError as error:
                self._refused = stage.mark
                refuse(self._environment, error)
                return None
        return self.crowd

    def _tills(self, crowd: Crowd, worker: int) -> Tills:
        """Connections of their own: a till is no user's phone."""
        environment = self._environment
        client = session_of(environment.host or "", TILL_ANSWER_S, environment.events.request, CONNECTIONS)
        return Tills(client, crowd, self._tokens, worker)

    def _start(self, environment: Environment, **_rest: Any) -> None:
        """Of every run; there may be several in one process, from the web page. Where the umpire is."""
        options = environment.parsed_options
        assert self._umpire is not None
        assert options is not None
        try:
            options.load_stage = self._umpire.start(planned(environment))
        except DropwaveError as error:
            refuse(environment, error)
            raise gevent.GreenletExit from None  # of the greenlet that starts it
        if environment.shape_class is None and not options.run_time:
            gevent.spawn_later(WITHOUT_SHAPE_S, stop, environment)

    def _hear_of_new_terms(self, msg: Message, **_rest: Any) -> None:
        if self.crowd is not None and self.crowd.stage.mark == msg.data:
            self.crowd.book.sales.has_new_terms = True

    def _close(self, environment: Environment, msg: Message, **_rest: Any) -> None:
        """The master wants the book of the run of that mark; it is empty where no user had come here yet."""
        book, checks = Book(0, is_fresh=True), Checks()
        if self.crowd is not None and self.crowd.stage.mark == msg.data:
            book, checks = self.crowd.book, self.crowd.close(environment.host or "")
        assert environment.runner is not None
        for part in parts_of(book, checks):
            environment.runner.send_message(BOOK, part)

    def _end(self, **_rest: Any) -> None:
        assert self._umpire is not None
        self._umpire.end()


def planned(environment: Environment) -> Plan:
    """The plan of the chosen shape, with what the options change of it."""
    options = environment.parsed_options
    assert options is not None
    plan: Plan = getattr(environment.shape_class, "plan", Plan())
    changes: dict[str, Any] = {
        "users": options.num_users or None,
        "spawn_per_s": options.spawn_rate or None,
        "run_s": options.run_time or None,
        "stock": options.stock or None,
        "countdown_s": options.opens_in or None,
        "pause_s": options.pause if options.pause >= 0 else None,
        "shop_part": options.shops if options.shops >= 0 else None,
    }
    return plan._replace(**{name: value for name, value in changes.items() if value is not None})


def _take_defaults(environment: Environment) -> None:
    """Of the shape, before locust's own (one user) and for the form of the web page."""
    options, plan = environment.parsed_options, getattr(environment.shape_class, "plan", Plan())
    assert options is not None
    options.num_users = options.num_users or plan.users
    options.spawn_rate = options.spawn_rate or plan.spawn_per_s
