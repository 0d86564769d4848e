"""Who the users are: accounts that no other worker has, and their tokens.

Tokens are made with the installation's secret (DROPWAVE_SECRET, DROPWAVE_JWT_SECRET, or the data folder of a `dropwave
up` on this machine), or read from a file that their issuer has made (LOAD_TOKENS, one a line). They come by the
environment of each process, not by options: the master sends its options to its workers and shows them in its pages.
"""

import base64
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

from msgspec.structs import replace

from engine.errors import CannotRun, UsageError
from engine.gateway.identity.minting import Marks, marks_of, mint_token
from engine.gateway.keyring import Keyring
from engine.settings import Settings, load_settings

TOKENS_FILE: Final = "LOAD_TOKENS"
TILL_TOKENS_FILE: Final = "LOAD_TILL_TOKENS"
OPS_TOKEN: Final = "LOAD_OPS_TOKEN"  # noqa: S105 - the name of a variable
TOKENS_LAST_S: Final = 24 * 3_600
"""Longer than any run."""


class Account(NamedTuple):
    """One user: the number within its worker, a name for findings, and a token."""

    number: int
    name: str
    token: str


class Who(NamedTuple):
    """What the tokens say that are made here, beside the account. A campaign may ask for it."""

    city: str = ""
    tags: tuple[str, ...] = ()


class Tokens:
    """Makes tokens, or has a file of them; which, the environment says."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        self._ops = environment.get(OPS_TOKEN, "")
        path = environment.get(TOKENS_FILE, "")
        self.lines = _read_lines(Path(path)) if path else ()
        path = environment.get(TILL_TOKENS_FILE, "")
        self.till_lines = _read_lines(Path(path)) if path else ()
        self._key: tuple[bytes, Marks] | None = None

    def of(self, account: str, who: Who) -> str:
        """A token for a made-up account, who is also a person of that name."""
        key, marks = self._signing()
        return mint_token(key, account, ttl_s=TOKENS_LAST_S, city=who.city, tags=who.tags, person=account, marks=marks)

    def of_till(self, till: str, store: str) -> str:
        """For a made-up till of that store."""
        key, marks = self._signing()
        return mint_token(key, till, ttl_s=TOKENS_LAST_S, scope="merchant", stores=[store], marks=marks)

    def of_operator(self) -> str:
        """For the operators' API."""
        if self._ops:
            return self._ops
        key, marks = self._signing()
        return mint_token(key, "load-test", ttl_s=TOKENS_LAST_S, scope="ops", role="operator", marks=marks)

    def _signing(self) -> tuple[bytes, Marks]:
        if self._key is None:
            settings = _with_secret(load_settings())
            self._key = Keyring.of(settings).signing_key, marks_of(settings)
        return self._key


def stores_of(token: str) -> list[str]:
    """What a merchant's token says. Raises UsageError where it is none."""
    try:
        part = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
        return [str(store) for store in claims["stores"]]
    except (IndexError, ValueError, KeyError, TypeError):
        raise UsageError(f"{TILL_TOKENS_FILE}: a line of it is no token that names stores") from None


class Accounts:
    """The accounts of one worker, each given out once: a worker that lost its master and came back goes on counting.

    Made-up accounts are `load-<mark>-<worker>-<number>`; the master gives every process that comes an index of its own
    (`worker_index`), also to one that stands in for another. Of a file, worker w takes the lines w, w + shares, ….
    """

    def __init__(self, tokens: Tokens, mark: str, worker: int, shares: int, who: Who) -> None:
        if worker < 0:
            raise CannotRun("the master gave this worker no index: master and workers have to run the same locust")
        if tokens.lines and worker >= shares:
            raise CannotRun(
                f"the file of tokens is shared by {shares} workers, and this is number {worker + 1}: raise --shares"
            )
        self._tokens = tokens
        self._prefix = f"load-{mark}-{worker}-"
        self._worker = worker
        self._shares = shares
        self._who = who
        self._given = 0

    @property
    def is_fresh(self) -> bool:
        """Whether none of them can have claimed before."""
        return not self._tokens.lines

    def next(self) -> Account | None:
        """One more; None where the file has no more."""
        number = self._given
        self._given += 1
        return self.at(number)

    def at(self, number: int) -> Account | None:
        """The one of that number, again."""
        if not self._tokens.lines:
            name = f"{self._prefix}{number}"
            return Account(number, name, self._tokens.of(name, self._who))
        line = self._worker + number * self._shares
        if line >= len(self._tokens.lines):
            return None
        return Account(number, f"line {line + 1}", self._tokens.lines[line])


def _read_lines(path: Path) -> tuple[str, ...]:
    try:
        lines = tuple(dict.fromkeys(line.strip() for line in path.read_text("utf-8").splitlines() if line.strip()))
    except OSError as error:
        raise UsageError(f"{TOKENS_FILE} names {path}, which cannot be read: {error.strerror}") from error
    if not lines:
        raise UsageError(f"{TOKENS_FILE} names {path}, which has no token")
    return lines


def _with_secret(settings: Settings) -> Settings:
    if settings.secret:
        return settings
    if settings.jwt_secret:
        return replace(
            settings, secret=settings.jwt_secret
        )  # a keyring has a secret for tickets, which nobody makes here
    try:
        return replace(settings, secret=(settings.data_folder / "secret").read_text("utf-8").strip())
    except OSError:
        raise UsageError(
            "no tokens can be made: set DROPWAVE_SECRET or DROPWAVE_JWT_SECRET to the installation's, DROPWAVE_DATA to "
            f"the data folder of a `dropwave up` on this machine, or {TOKENS_FILE}, {OPS_TOKEN} and (for shops) "
            f"{TILL_TOKENS_FILE} to its issuer's"
        ) from None
