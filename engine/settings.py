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
    jwt_secret_previous: str = ""
    """The one before its last rotation; tokens that it signed are still taken."""
    jwt_keys_file: str = ""
    """Public keys of an issuer elsewhere (RS256, ES256, EdDSA): a PEM file with one or several, or a JWKS. Read again
    within a second of its change. Beside it HS256 tokens are taken only where `jwt_secret` is set."""
    jwt_issuer: str = ""
    """What `iss` of a token has to be; several, separated by commas: one of them. Empty: whatever it is."""
    jwt_audience: str = ""
    """What `aud` of a token has to name; several, separated by commas: one of them. Empty: a token with `aud` is for
    somebody else and not taken (RFC 7519, 4.1.3)."""
    host: str = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65_535)] = 8080
    workers: Annotated[int, Meta(ge=1, le=64)] = 1
    """Gateway processes on the one port."""
    restarts_per_minute_max: Annotated[int, Meta(ge=0, le=1_000)] = 8
    """How often `up` starts the same part again within a minute; with one death more everything stops. Eight take some
    ten seconds with their pauses: what has not been mended by then is not going to be by trying. 0: never."""
    ack: Literal["memory", "logged", "replicated", "settled"] = "logged"
    """What a reply waits for (docs/acknowledgement.md)."""
    replicas: Annotated[int, Meta(ge=1, le=16)] = 1
    """`ack: replicated`: so many replicas have to have a claim before its reply."""
    replica_wait_ms: Milliseconds = 300
    """`ack: replicated` waits no longer than this for them; then `outcome_unknown`. Above the 200 ms after which TCP
    sends a lost packet again. While replicas are silent, a gateway has `claim_calls_max` batches of a shard decided in
    this time."""
    redis_asserted: str = ""
    """What a Redis without CONFIG (a managed one) is set to, where it cannot be asked: `appendonly=yes,…`. What it does
    tell counts, whatever stands here."""
    event_loop: Literal["uvloop", "asyncio"] = "uvloop"
    log_format: Literal["json", "text"] = "text"
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    access_log: Literal["off", "errors", "all"] = "off"
    """A line for each answer, or for those with a status from 500 on (a `busy` is one)."""
    access_log_lines_per_second_max: Count = 100
    """Of one process; what comes on top is counted. A line costs ten times what a claim does."""
    access_log_addresses: bool = False
    """Whether a line of the access log names the peer."""
    metrics_port: Annotated[int, Meta(ge=0, le=65_535)] = 0
    """A port for `/metrics` and `/healthz` alone, of every role; the gateway's own `/metrics` is gone then. 0: none.
    Roles that share PROMETHEUS_MULTIPROC_DIR share the port too; others need one each."""
    metrics_host: str = "127.0.0.1"
    """Where `metrics_port` listens: the figures are for whoever gets there."""
    otel_endpoint: str = ""
    """Base address of an OpenTelemetry collector (OTLP over HTTP). Empty, with no OTEL_EXPORTER_OTLP_ENDPOINT either:
    no traces."""
    trace_ratio: Annotated[float, Meta(ge=0, le=1)] = 0.001
    """Share of the requests that is traced, beside those whose `traceparent` asks for it."""
    traces_per_second_max: Count = 20
    """Requests traced by one process; anybody can send a `traceparent`."""

    claim_batch_max: Annotated[int, Meta(ge=1, le=512)] = 512
    """Claims in one script call. 512: Lua's unpack ends at 7,999 values, and a call must stay far below
    lua-time-limit, past which Redis 6.2 would release replies before their fsync."""
    claim_calls_max: Annotated[int, Meta(ge=1, le=4)] = 2
    """Script calls of one shard under way in one gateway: one is decided while the answers of the other go out. Each
    takes a connection while it lasts, and more of them only make the batches smaller."""
    claim_queue_max: Count = 20_000
    """Claims of one shard waiting in one gateway; past it `busy`. At 20,000 a second, one second of work."""
    claim_deadline_ms: Milliseconds = 5_000
    """A claim waits no longer than this for its decision; then `busy` or `outcome_unknown`."""
    claim_wait_max_ms: Milliseconds = 2_000
    """A claim whose turn is not expected within this, or within `claim_deadline_ms`, is told `busy` at once. Less than
    half of that: the estimate may be wrong by a factor of two, and what was let in must still be answered."""
    claim_decide_ms: Milliseconds = 2_000
    """A batch decides nothing new once it is older than this by the store's clock (`not_after`)."""
    redis_timeout_ms: Milliseconds = 1_000
    """Wait for the answer of Redis, or for those to commands sent in one go, before the connection is given up."""
    redis_connect_timeout_ms: Milliseconds = 500
    settle_deadline_ms: Milliseconds = 5_000
    """`ack: settled` waits no longer than this for the commit; then `outcome_unknown`."""
    settle_poll_ms: Milliseconds = 5
    """How often a gateway with waiting replies looks at the ledger's cursor."""
    board_refresh_ms: Milliseconds = 250
    """Age at which the gateway's picture of the live waves is read again."""
    body_bytes_max: Annotated[int, Meta(ge=256, le=1_048_576)] = 8_192
    """A request body; the largest honest claim has a few hundred bytes."""
    merchant_body_bytes_max: Annotated[int, Meta(ge=1_024, le=1_048_576)] = 131_072
    """What a till sends; an order of 100 lines, each named by 64 characters written as escapes, has some 81,000."""
    ops_body_bytes_max: Annotated[int, Meta(ge=1_024, le=33_554_432)] = 4_194_304
    """What an operator sends: a campaign file of at most 1 MiB, and lists of accounts: 100,000 take some 2 MB."""
    body_deadline_ms: Milliseconds = 5_000
    """A body that has not arrived this long after its headers is given up (`timeout`)."""
    header_bytes_max: Annotated[int, Meta(ge=1_024, le=65_536)] = 8_190
    """The request line, and each header. A token with many tags has some 3,000."""
    header_block_bytes_max: Annotated[int, Meta(ge=1_024, le=1_048_576)] = 32_768
    """All of what comes before the body while it is still incomplete; it lies in memory until it is whole."""
    headers_max: Annotated[int, Meta(ge=16, le=1_000)] = 64
    first_byte_deadline_ms: Milliseconds = 10_000
    """A connection on which nothing was ever sent is closed after this. Clients that connect ahead of the opening
    ask for something first (the time, a ticket); from then on `keep_alive_ms` counts."""
    header_deadline_ms: Milliseconds = 10_000
    """From the first byte of a request to the end of its headers, however they trickle (`timeout`). They fit into a
    few packets; even a phone on a bad line that has to send one three times is through in seven seconds."""
    write_deadline_ms: Milliseconds = 10_000
    """A client that does not take its answers is cut when some have waited this long in the gateway's memory.
    An answer has a few kB; what the kernel's buffer takes (32 kB) does not count."""
    keep_alive_ms: Milliseconds = 75_000
    """A connection without a request is closed after this: above the minute at which many proxies give up first."""
    connections_max: Annotated[int, Meta(ge=8, le=1_000_000)] = 10_000
    """Connections of one process. An idle one takes some 11 kB here and less than that in the kernel: 10,000 are 110 MB
    and twice what the process answers in a second. Each is a descriptor: where the hard limit (`ulimit -Hn`) does not
    leave as many, it is the limit. Full, the longest idle connection gives way to a new one."""
    claim_lane: bool = True
    """Whether plain requests of the crowd are answered without the way through aiohttp. The answers are the same."""
    connections_per_address_max: Annotated[int, Meta(ge=0, le=1_000_000)] = 0
    """Of those, from one address (IPv6: one /64). 0, no limit: a mobile carrier puts thousands of users behind one."""
    requests_in_flight_max: Count = 5_000
    """Requests of users that wait for their answers in one process; past it `busy`, before anything of them is looked
    at. About one second of work: who would wait longer is better off with a time to come back at."""
    drain_ms: Milliseconds = 10_000
    """SIGTERM: requests under way get this long for their answers, which none needs unless a store is silent."""
    drain_idle_ms: Milliseconds = 500
    """SIGTERM: connections without a request are kept this long for one that is on its way; it is answered, and
    told that the connection ends."""

    user_requests_per_second: Annotated[float, Meta(ge=0, le=100_000)] = 10
    """What one account may ask for in the long run: claims, tickets and own claims together, in one gateway process.
    An impatient phone asks a few times a second, a bot hundreds of times. 0: no limit."""
    user_requests_burst: Annotated[int, Meta(ge=1, le=1_000_000)] = 50
    """And at once: a page that loads, and a thumb that hammers for five seconds."""
    code_guesses_per_second: Annotated[float, Meta(ge=0, le=100_000)] = 0.25
    """Codes that were mistyped or never given out, of one merchant's token, in one gateway process, in the long run.
    Past it the token's tills wait. 0: no limit."""
    code_guesses_burst: Annotated[int, Meta(ge=1, le=1_000_000)] = 20
    """And at once: a till with a bad scanner at noon, or all tills of a chain in a minute."""
    user_guesses_per_second: Annotated[float, Meta(ge=0, le=100_000)] = 10
    """The same of users for whom there is nothing to quote. Most who pay hold no voucher: a large store asks for a few
    of them a second."""
    user_guesses_burst: Annotated[int, Meta(ge=1, le=1_000_000)] = 200
    address_requests_per_second: Annotated[float, Meta(ge=0, le=1_000_000)] = 0
    """The same of one address, for every request. 0, no limit: a mobile carrier puts thousands of users behind one."""
    address_requests_burst: Annotated[int, Meta(ge=1, le=10_000_000)] = 1_000
    rate_buckets_max: Annotated[int, Meta(ge=1_000, le=10_000_000)] = 100_000
    """Accounts, and addresses, whose rate a process remembers; some 250 bytes each. So many that a process cannot
    see as many others before a bucket is full again by itself (5 s at 20,000 requests a second)."""
    trusted_proxies: str = ""
    """Addresses and networks, separated by commas, whose word about the client's address is believed."""
    forwarded_header: Literal["x-forwarded-for", "forwarded"] = "x-forwarded-for"
    """The header in which they say it. Only the one that they set: the other would come from the client."""
    cors_origins: str = ""
    """Origins whose pages may read answers in a browser, separated by commas, or `*`; empty: none."""

    log_entries_max: Count = 64
    """Log entries in one answer of Redis to the writer: each holds at most `claim_batch_max` claims, some 70 bytes
    each, so 2 MB at most, for which Redis takes a millisecond."""
    settle_decisions_max: Count = 8_192
    """The writer reads on, `log_entries_max` at a time, until it has so many decisions for one transaction. From 4,000
    on a claim hardly gets any cheaper; 8,192 take Postgres a tenth of a second, for which `ack: settled` waits."""
    settle_gather_ms: Annotated[int, Meta(ge=0, le=1_000)] = 100
    """The writer begins a transaction this long after it began the last one, unless a full one has gathered before: a
    transaction costs writer and Postgres as much as a hundred claims and more, which gateways on the same cores lack.
    So far the ledger may be behind the hot store, and as much of the log is lost with a Redis that is lost for good.
    Not with `ack: settled`, where replies wait for it."""
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
    redeem_batch_max: Annotated[int, Meta(ge=1, le=1_000)] = 128
    """Redemptions in one statement of the ledger. At 2,000 a second some ten gather in the time of one; a hundred and
    more take Postgres so long that those behind them feel it."""
    redeem_gather_ms: Annotated[int, Meta(ge=0, le=1_000)] = 20
    """Where redemptions come close together, a batch waits so long for more of them, up to 32; a till by itself is not
    held up. 0: never. At 2,000 a second it saves a quarter of the gateway's work for each, two fifths of Postgres's."""
    redeem_queue_max: Count = 2_000
    """Redemptions waiting in one gateway; past it `busy`. At 2,000 a second, one second of work."""
    redeem_deadline_ms: Milliseconds = 5_000
    """A till waits no longer than this; then `busy` or `outcome_unknown`. A cashier asks again after some seconds."""
    lock_ms_max: Milliseconds = 3_600_000
    """A voucher is held for an unpaid order no longer than this. A lock outlives the voucher's expiry, so the bound is
    also how long after it one can still be used; orders are paid within minutes."""
    code_page_ms: Annotated[int, Meta(ge=1_000, le=300_000)] = 300_000
    """A code page that its holder has opened counts as open for so long, where an offer asks for one: five minutes at
    most, so that nobody can sell a screenshot. Whoever needs longer opens it again."""
    arrival_wait_ms: Milliseconds = 1_500
    """A code that is not in the ledger yet is waited for so long; then `not_settled_yet`. The writer takes
    milliseconds, and two seconds where it has to be replaced."""
    lease_ms: Milliseconds = 1_500
    """A steward or writer that is silent this long is replaced, so a dead one within two seconds. It renews three times
    in that time. One that is held up for a second loses its role, and nothing else: the cursor and the epochs refuse
    what it still does."""
    steward_pass_ms: Milliseconds = 200
    """Pause between two looks of the steward at what has to be put, closed or recovered."""
    expiry_pass_ms: Milliseconds = 600_000
    """Rest of the job that writes down what has expired, between two passes over all vouchers. Reports alone look at
    what it writes."""
    unload_after_ms: Annotated[int, Meta(ge=0)] = 7 * 24 * 3_600_000
    """A campaign leaves the hot store this long after its last wave closed; the ledger answers from then on."""

    ticket_life_ms: Annotated[int, Meta(ge=1_000)] = 24 * 3_600_000
    """What a ticket's reply states as its life; the script decides in the end."""
    token_leeway_ms: Annotated[int, Meta(ge=0, le=60_000)] = 5_000
    """Clock difference that is forgiven between issuer and gateway."""
    token_cache_max: Annotated[int, Meta(ge=0, le=10_000_000)] = 10_000
    """Verified tokens that a gateway process remembers until they end, some 650 bytes each: as many as it has
    connections. 0: none."""

    def __post_init__(self) -> None:
        """Relations between values."""
        self._must_be_below(
            "claim_decide_ms", "claim_deadline_ms", "a claim that was not decided in time must still be answered"
        )
        self._must_be_below(
            "redis_timeout_ms", "claim_decide_ms", "a lost reply must be asked for again before the batch is too old"
        )
        self._must_be_below("steward_pass_ms", "lease_ms", "the steward renews its lease at each pass")
        if self.metrics_port and self.metrics_port == self.port:
            raise SettingsError(f"metrics_port and port are both {self.port}: the metrics need a port of their own")
        self._must_be_below("drain_idle_ms", "drain_ms", "waiting for idle connections must leave time for busy ones")
        if self.ack == "replicated":
            self._must_be_below(
                "replica_wait_ms",
                "redis_timeout_ms",
                "Redis must have said how many replicas have it before it is given up",
            )
        acknowledged_ms = {"settled": self.settle_deadline_ms, "replicated": self.replica_wait_ms}.get(self.ack, 0)
        answered_ms = self.claim_deadline_ms + acknowledged_ms
        if self.drain_ms < answered_ms:
            raise SettingsError(
                f"drain_ms ({self.drain_ms}) is below the {answered_ms} ms within which a claim is answered: "
                "a stop would cut accepted claims off from their answers"
            )
        if self.jwt_secret_previous and not self.jwt_secret:
            raise SettingsError("jwt_secret_previous is set without jwt_secret: there is nothing that it came before")
        if self.header_block_bytes_max < self.header_bytes_max:
            raise SettingsError(
                f"header_block_bytes_max ({self.header_block_bytes_max}) is below header_bytes_max "
                f"({self.header_bytes_max}): a header that is allowed would not fit"
            )
        if not all(name and value for name, value in self.redis_assertions.items()):
            raise SettingsError("redis_asserted: settings of Redis as `name=value`, with commas between them")
        if self.claim_batch_max > self.claim_queue_max:
            raise SettingsError("claim_queue_max is below claim_batch_max: a full batch could never gather")

    def _must_be_below(self, small: str, large: str, why: str) -> None:
        if getattr(self, small) >= getattr(self, large):
            raise SettingsError(
                f"{small} ({getattr(self, small)}) must be below {large} ({getattr(self, large)}): {why}"
            )

    @property
    def redis_assertions(self) -> dict[str, str]:
        """`redis_asserted`, taken apart; empty values where something is missing."""
        pairs = (part.partition("=") for part in _listed(self.redis_asserted))
        return {name.strip(): value.strip() for name, _, value in pairs}

    @property
    def jwt_issuers(self) -> tuple[str, ...]:
        """`jwt_issuer`, taken apart."""
        return _listed(self.jwt_issuer)

    @property
    def jwt_audiences(self) -> tuple[str, ...]:
        """`jwt_audience`, taken apart."""
        return _listed(self.jwt_audience)

    @property
    def data_folder(self) -> Path:
        """`data` as an absolute path."""
        return Path(self.data).expanduser().resolve()


def _listed(text: str) -> tuple[str, ...]:
    """The parts of a text between commas, without blanks around them and without empty ones."""
    return tuple(part for part in map(str.strip, text.split(",")) if part)


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
