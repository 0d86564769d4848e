"""The one tree of failures.

    DropwaveError
    ├── UsageError            the person or file asked for something that cannot be (exit 2)
    │   ├── SettingsError     a setting is missing, malformed, or contradicts another
    │   ├── CampaignFileError a campaign file was refused; carries every mistake
    │   ├── RevisionMoved     the campaign was applied by somebody else in between
    │   ├── UnknownWave       no wave has that id
    │   ├── UnknownOffer      the wave has no offer of that id
    │   ├── MistypedCode      no voucher ever had that code
    │   └── UnknownVoucher    nobody was given that code
    ├── CannotRun             the surroundings do not allow it: port, disk, wheel, server (exit 3)
    │   ├── AckImpossible     the servers cannot keep the `ack` that was asked for
    │   └── NotSettledYet     the ledger may lack what was claimed a moment ago
    ├── HotStoreError         Redis did not do what was asked
    │   ├── HotStoreUnavailable   surely nothing was done: not connected, refused, loading
    │   │   └── WritesRefused         because it takes no writes now: full, without its replicas, a failing disk
    │   └── ReplyLost             written to a socket, no answer: done or not done
    ├── LedgerError           Postgres did not do what was asked
    │   ├── LedgerUnavailable     not reachable, out of connections, or too slow; a commit may be done or not done
    │   ├── LedgerRefused         the data contradict the ledger: asking again cannot help
    │   └── CursorMoved           another writer settled this range, or the epoch was raised
    ├── ShardBroken           log or holders contradict the ledger: a person has to look
    └── ActRefused            an act is not possible now; carries the reason
        ├── ActOutrun         another act came first: look again
        └── LeaseLost         somebody else is steward by now

A refusal of a claim is not a failure: it is a value, `engine.domain.outcome.Refused`.
"""

from dataclasses import dataclass


class DropwaveError(Exception):
    """Any failure that this program names itself. `exit_status` is what a command ends with."""

    exit_status = 3


class UsageError(DropwaveError):
    """What was asked for cannot be; asking differently can help."""

    exit_status = 2


class SettingsError(UsageError):
    """A setting is missing, malformed, or contradicts another one."""


@dataclass(frozen=True, slots=True)
class Mistake:
    """One thing wrong in a campaign file. `line` counts from 1; 0 where the file has no line for it."""

    line: int
    path: str
    what: str

    def __str__(self) -> str:
        where = f"line {self.line}: " if self.line else ""
        return f"{where}{self.path}: {self.what}" if self.path else f"{where}{self.what}"


class CampaignFileError(UsageError):
    """A campaign file was refused. `mistakes` holds all of them, in the order of the file."""

    def __init__(self, source: str, mistakes: list[Mistake]) -> None:
        self.source = source
        self.mistakes = mistakes
        super().__init__(f"{source}: refused\n" + "\n".join(f"  {mistake}" for mistake in mistakes))


class RevisionMoved(UsageError):
    """The campaign is no longer at the revision that the caller looked at. `revision` is the one it has; 0: none."""

    def __init__(self, message: str, revision: int) -> None:
        self.revision = revision
        super().__init__(message)


class UnknownWave(UsageError):
    """No wave has that id, where it was looked for."""


class UnknownOffer(UsageError):
    """The wave has no offer of that id; the message names those that it has."""


class MistypedCode(UsageError):
    """What was typed is the code of no voucher that ever was."""


class UnknownVoucher(UsageError):
    """No voucher has that code, and the ledger has all that was claimed."""


class CannotRun(DropwaveError):
    """The surroundings do not allow it. The message names the way out."""


class AckImpossible(CannotRun):
    """The servers' settings cannot keep the promised `ack`; names setting, value found, value needed."""


class NotSettledYet(CannotRun):
    """The voucher is not in the ledger, and may be on its way there: do it again in a few seconds."""


class HotStoreError(DropwaveError):
    """Redis did not do what was asked."""


class HotStoreUnavailable(HotStoreError):
    """Surely nothing was done."""


class WritesRefused(HotStoreUnavailable):
    """Redis takes no writes now: memory full, too few replicas, a disk that fails. Whatever only reads is answered."""


class ReplyLost(HotStoreError):
    """The call was written to a socket and no answer came: it is not known whether it was done."""


class LedgerError(DropwaveError):
    """Postgres did not do what was asked."""


class LedgerUnavailable(LedgerError):
    """Postgres is not reachable, has no connection left, or took too long.

    A commit under way may be done or not done: whoever was committing reads again before doing it again.
    """


class LedgerUndone(LedgerUnavailable):
    """Postgres has undone the statement or transaction for the sake of others (SQLSTATE 40001, 40P01): a deadlock, say.

    Nothing of it was done, nor will be: it may be done again.
    """


class LedgerRefused(LedgerError):
    """Postgres refused the data (SQLSTATE class 22 or 23). `constraint` names what they break; may be empty."""

    def __init__(self, message: str, sqlstate: str = "", constraint: str = "") -> None:
        self.sqlstate = sqlstate
        self.constraint = constraint
        super().__init__(message)

    @property
    def is_data(self) -> bool:
        """Whether Postgres refused a value or a row; else it is this program that found a contradiction."""
        return bool(self.sqlstate)


class CursorMoved(LedgerError):
    """The compare-and-set on the cursor failed: somebody else settled, or the epoch was raised."""


class ShardBroken(DropwaveError):
    """Log or holders contradict the ledger. The shard stays unbound until a person has looked."""


class ActRefused(DropwaveError):
    """An act is not possible now; the message is the reason."""

    exit_status = 2


class ActOutrun(ActRefused):
    """Another act came first, so this one was worked out from a state that is gone: look again."""


class LeaseLost(ActRefused):
    """A store has seen a later steward than this one."""
