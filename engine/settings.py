"""All settings, in one class: from `DROPWAVE_*` in the environment or a TOML file, checked at start.

The environment wins over the file. Names carry their units. Relations between values are checked in
`Settings.__post_init__`, so that a contradiction is told at the start and not at 20:00.
"""

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from engine.errors import SettingsError

PREFIX = "DROPWAVE_"
NOT_SETTINGS = frozenset({PREFIX + "CONFIG", PREFIX + "READY_FD"})
"""Variables with the prefix that are not settings: the file to read, and the pipe on which a role says it is ready."""

Milliseconds = Annotated[int, Meta(ge=1, le=3_600_000)]
Count = Annotated[int, Meta(ge=1, le=10_000_000)]


class Settings(Struct, frozen=True, forbid_unknown_fields=True):
    """Every setting with its default. The comment says what it bounds and why it has that value."""

    data: str = ".dropwave"
    """Folder of the embedded servers, the secret and the address of a running `up`."""
    redis_url: str = ""
    """Hot store; empty: an embedded server in `data`."""
    database_url: str = ""
    """Ledger; empty: an embedded server in `data`."""
    secret: str = ""
    """Keys tickets, and HS256 tokens where `jwt_secret` is unset; made and kept in `data` when empty."""
    secret_previous: str = ""
    """The secret before the last rotation; its tickets and tokens are still taken."""
    jwt_secret: str = ""
    """HS256 secret of an issuer elsewhere."""
    host: str = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65_535)] = 8080
    workers: Annotated[int, Meta(ge=1, le=64)] = 1
    """Gateway processes on the one port."""
    ack: Literal["memory", "logged", "settled"] = "logged"
    """What a reply waits for (docs/architecture.md)."""
    event_loop: Literal["uvloop", "asyncio"] = "uvloop"
    log_format: Literal["json", "text"] = "text"
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    claim_batch_max: Annotated[int, Meta(ge=1, le=512)] = 512
    """Claims in one script call. 512: Lua's unpack ends at 7,999 values, and a call must stay far below
    lua-time-limit, past which Redis 6.2 would release replies before their fsync."""
    claim_queue_max: Count = 20_000
    """Claims of one shard waiting in one gateway; past it `busy`. At 20,000 a second, one second of work."""
    claim_deadline_ms: Milliseconds = 5_000
    """A claim waits no longer than this for its decision; then `busy` or `outcome_unknown`."""
    claim_decide_ms: Milliseconds = 2_000
    """A batch decides nothing new once it is older than this by the store's clock (`not_after`)."""
    redis_timeout_ms: Milliseconds = 1_000
    """Wait for one answer of Redis before the connection is given up."""
    redis_connect_timeout_ms: Milliseconds = 500
    settle_deadline_ms: Milliseconds = 5_000
    """`ack: settled` waits no longer than this for the commit; then `outcome_unknown`."""
    settle_poll_ms: Milliseconds = 5
    """How often a gateway with waiting replies looks at the ledger's cursor."""
    board_refresh_ms: Milliseconds = 250
    """Age at which the gateway's picture of the live waves is read again."""
    body_bytes_max: Annotated[int, Meta(ge=256, le=1_048_576)] = 8_192
    """A request body; the largest honest claim has a few hundred bytes."""
    ops_body_bytes_max: Annotated[int, Meta(ge=1_024, le=33_554_432)] = 4_194_304
    """What an operator sends: a campaign file of at most 1 MiB, and lists of accounts: 100,000 take some 2 MB."""
    body_deadline_ms: Milliseconds = 5_000
    """A body that has not arrived this long after its headers is given up (`timeout`)."""
    header_bytes_max: Annotated[int, Meta(ge=1_024, le=65_536)] = 8_190
    """The request line, and each header. A token with many tags has some 3,000."""
    headers_max: Annotated[int, Meta(ge=16, le=1_000)] = 64
    keep_alive_ms: Milliseconds = 75_000
    """A connection without a request is closed after this: above the minute at which many proxies give up first."""
    drain_ms: Milliseconds = 10_000
    """SIGTERM: requests under way get this long for their answers, which none needs unless a store is silent."""
    drain_idle_ms: Milliseconds = 500
    """SIGTERM: connections without a request are kept this long for one that is on its way; it is answered, and
    told that the connection ends."""

    log_entries_max: Count = 64
    """Log entries in one settling transaction (each holds at most `claim_batch_max` claims)."""
    log_lag_max: Count = 2_000_000
    """Unsettled decisions of a shard past which new claims get `busy`: 72 bytes each, some 144 MB."""
    log_trim_behind_ms: Milliseconds = 300_000
    """The log is kept this long behind the cursor: Postgres can go back in time too."""
    ledger_connections_max: Annotated[int, Meta(ge=1, le=100)] = 4
    """Pool of one process."""
    ledger_timeout_ms: Milliseconds = 10_000
    """One statement of the ledger, and how long a transaction may lie idle before Postgres ends it."""
    ledger_connect_timeout_ms: Milliseconds = 2_000
    ledger_statement_cache_max: Annotated[int, Meta(ge=0, le=1_000)] = 100
    """Prepared statements kept on each connection. 0 behind a PgBouncer that pools transactions: there a
    statement may not be on the server that the next transaction gets."""
    lease_ms: Milliseconds = 2_000
    """A steward or writer that is silent this long is replaced."""
    steward_pass_ms: Milliseconds = 200
    """Pause between two looks of the steward at what has to be put, closed or recovered."""
    unload_after_ms: Annotated[int, Meta(ge=0)] = 7 * 24 * 3_600_000
    """A campaign leaves the hot store this long after its last wave closed; the ledger answers from then on."""

    ticket_life_ms: Annotated[int, Meta(ge=1_000)] = 24 * 3_600_000
    """What a ticket's reply states as its life; the script decides in the end."""
    token_leeway_ms: Annotated[int, Meta(ge=0, le=60_000)] = 5_000
    """Clock difference that is forgiven between issuer and gateway."""

    def __post_init__(self) -> None:
        """Relations between values."""
        self._must_be_below(
            "claim_decide_ms", "claim_deadline_ms", "a claim that was not decided in time must still be answered"
        )
        self._must_be_below(
            "redis_timeout_ms", "claim_decide_ms", "a lost reply must be asked for again before the batch is too old"
        )
        self._must_be_below("steward_pass_ms", "lease_ms", "the steward renews its lease at each pass")
        self._must_be_below("drain_idle_ms", "drain_ms", "waiting for idle connections must leave time for busy ones")
        answered_ms = self.claim_deadline_ms + (self.settle_deadline_ms if self.ack == "settled" else 0)
        if self.drain_ms < answered_ms:
            raise SettingsError(
                f"drain_ms ({self.drain_ms}) is below the {answered_ms} ms within which a claim is answered: "
                "a stop would cut accepted claims off from their answers"
            )
        if self.claim_batch_max > self.claim_queue_max:
            raise SettingsError("claim_queue_max is below claim_batch_max: a full batch could never gather")

    def _must_be_below(self, small: str, large: str, why: str) -> None:
        if getattr(self, small) >= getattr(self, large):
            raise SettingsError(
                f"{small} ({getattr(self, small)}) must be below {large} ({getattr(self, large)}): {why}"
            )

    @property
    def data_folder(self) -> Path:
        """`data` as an absolute path."""
        return Path(self.data).expanduser().resolve()


def load_settings(environment: Mapping[str, str] | None = None, **overrides: Any) -> Settings:
    """The settings of this process: defaults, then the file named by DROPWAVE_CONFIG, then DROPWAVE_*, then overrides.

    Raises SettingsError with the name of the setting and what would be right. Overrides of None are left out.
    """
    environment = os.environ if environment is None else environment
    values: dict[str, Any] = {}
    config = environment.get(PREFIX + "CONFIG")
    if config:
        values.update(_read_file(config))
    for name, value in environment.items():
        if name.startswith(PREFIX) and name not in NOT_SETTINGS:
            values[name.removeprefix(PREFIX).lower()] = value
    values.update({name: value for name, value in overrides.items() if value is not None})
    _refuse_unknown(values)
    try:
        return msgspec.convert(values, Settings, strict=False)
    except msgspec.ValidationError as error:
        raise SettingsError(f"settings: {error}") from error


def _read_file(path: str) -> dict[str, Any]:
    try:
        return tomllib.loads(Path(path).read_text("utf-8"))
    except OSError as error:
        raise SettingsError(f"{PREFIX}CONFIG names {path}, which cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} is not valid TOML: {error}") from error


def _refuse_unknown(values: dict[str, Any]) -> None:
    unknown = sorted(set(values) - set(Settings.__struct_fields__))
    if unknown:
        names = ", ".join(f"{name} ({PREFIX}{name.upper()})" for name in unknown)
        raise SettingsError(f"unknown settings: {names}. Known are: {', '.join(Settings.__struct_fields__)}")
