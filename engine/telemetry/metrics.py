"""Every figure that the engine keeps. docs/metrics.md says of each what it tells; a test holds the two together.

Names follow Prometheus: base units last (seconds, bytes), `_total` for what only grows (the library adds it). Labels
take few values each, so a drop of a million users makes no more series than one of ten; a campaign's name is a label
of what is kept for each shard, of which a hot store holds some dozens, and is bounded (`campaign_label`).

A gauge says how several processes make one figure (`multiprocess_mode`): livesum where each has its own part, livemax
or livemin where the worst counts, livemostrecent where one of them knows it for all, liveall where each is shown.
"""

from typing import Final

from prometheus_client import Counter, Gauge, Histogram  # the package has seen to the folder by now (`shared`)

_STEP_SECONDS: Final = (0.000_01, 0.000_03, 0.000_1, 0.000_3, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
"""From a MAC check (4 µs) to the longest wait that a claim may have (`claim_deadline_ms`)."""

CAMPAIGNS_MAX: Final = 200
OTHERS: Final = "others"
_campaigns: set[str] = set()


def campaign_label(campaign: str) -> str:
    """The value of a label `campaign`. Each rehearsal is a campaign too, and series stay until a process ends: those
    behind the first CAMPAIGNS_MAX are one."""
    if campaign not in _campaigns:
        if len(_campaigns) >= CAMPAIGNS_MAX:
            return OTHERS
        _campaigns.add(campaign)
    return campaign


# --- answers and claims -----------------------------------------------------------------------------

ANSWERS: Final = Counter(
    "dropwave_answers",
    "Answers of the gateway, by endpoint and outcome (what was granted, or the code of the refusal).",
    ["endpoint", "outcome"],
)
CLAIM_STEP_SECONDS: Final = Histogram(
    "dropwave_claim_step_seconds",
    "Time in each step of a claim. Of one claim in 64: receive (its body), authenticate, read, decide (queue, script"
    " and ack as the request sees them), render, whole, and ack (the wait for the ledger, where ack is settled)."
    " Of every batch: queue (of its oldest claim), script, and replicas (the wait for them, where ack is replicated).",
    ["step"],
    buckets=_STEP_SECONDS,
)
CLAIM_QUEUE_LENGTH: Final = Histogram(
    "dropwave_claim_queue_claims",
    "Claims found waiting each time a desk gathers a batch.",
    buckets=(0, 1, 4, 16, 64, 256, 512, 1_024, 4_096, 16_384),
)
CLAIM_BATCH_SIZE: Final = Histogram(
    "dropwave_claim_batch_claims", "Claims in one script call.", buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
)
CLAIM_REPLIES_LOST: Final = Counter("dropwave_claim_replies_lost", "Script calls that had no answer and were repeated.")
CLAIMS_UNREPLICATED: Final = Counter(
    "dropwave_claims_unreplicated",
    "Answers that tell of a claim and became `outcome_unknown`, because too few replicas had it in time.",
)
CLAIMS_SHED: Final = Counter(
    "dropwave_claims_shed",
    "Claims told `busy` at once because their turn would have come too late (queue_slow) or there was no place"
    " (queue_full).",
    ["reason"],
)
CLAIMS_ABANDONED: Final = Counter(
    "dropwave_claims_abandoned",
    "Claims whose client left before the answer: while they waited (queue: never sent) or were decided (script).",
    ["stage"],
)
REDEEM_STEP_SECONDS: Final = Histogram(
    "dropwave_redeem_step_seconds",
    "Time in each step of a batch of redemptions: queue (of its oldest), look (the books), take (what decides).",
    ["step"],
    buckets=_STEP_SECONDS,
)
REDEEM_BATCH_SIZE: Final = Histogram(
    "dropwave_redeem_batch_redemptions", "Requests of tills in one batch.", buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256)
)
REDEMPTIONS_REPEATED: Final = Counter(
    "dropwave_redemptions_repeated",
    "Requests of tills looked up again: the voucher had changed in between, or a reply of the ledger was lost.",
)
CONNECTIONS: Final = Gauge(
    "dropwave_connections", "Open connections of clients, over all gateways.", multiprocess_mode="livesum"
)
CONNECTIONS_CUT: Final = Counter(
    "dropwave_connections_cut",
    "Connections that the gateway ended, by what it waited for in vain (first_byte, headers, body, idle, unread,"
    " hang_up), or because others needed the place (crowded), or at the end of a drain (drain).",
    ["reason"],
)
CONNECTIONS_REFUSED: Final = Counter(
    "dropwave_connections_refused",
    "Connections turned away at once: the process is full, or their address has its share.",
    ["reason"],
)
REQUESTS_IN_FLIGHT: Final = Gauge(
    "dropwave_requests_in_flight",
    "Requests of users that wait for their answer, over all gateways.",
    multiprocess_mode="livesum",
)
REQUESTS_SHED: Final = Counter("dropwave_requests_shed", "Requests told `busy` unread because too many were in flight.")
BOARD_AGE: Final = Gauge(
    "dropwave_board_age_seconds",
    "Age of the oldest picture of the waves that a gateway shows.",
    multiprocess_mode="livemax",
)
BOARD_LOOKS: Final = Counter(
    "dropwave_board_looks",
    "Looks for waves and campaigns that a gateway does not have at hand: found, unknown, failed (a store was away), or"
    " refused because there were too many.",
    ["outcome"],
)
RATE_REFUSED: Final = Counter(
    "dropwave_rate_refused", "Requests refused because their user or address asks too often.", ["per"]
)
RATE_FORGIVEN: Final = Counter(
    "dropwave_rate_forgiven", "Users or addresses that were forgotten before their bucket was full again.", ["per"]
)
RATE_BUCKETS: Final = Gauge(
    "dropwave_rate_buckets",
    "Users or addresses whose rate is remembered, over all gateways.",
    ["per"],
    multiprocess_mode="livesum",
)
GUESSES: Final = Counter(
    "dropwave_guesses", "Codes that nobody was given and users who hold nothing, as tills asked for them.", ["outcome"]
)
TOKEN_CACHE_LOOKUPS: Final = Counter(
    "dropwave_token_cache_lookups", "Bearer tokens looked up among those verified before: hit or miss.", ["outcome"]
)
TOKEN_CACHE_EVICTIONS: Final = Counter(
    "dropwave_token_cache_evictions", "Verified tokens forgotten before their end, to make room for others."
)
TOKEN_CACHE_ENTRIES: Final = Gauge(
    "dropwave_token_cache_entries", "Verified tokens remembered, over all gateways.", multiprocess_mode="livesum"
)
TOKEN_KEYS_READ: Final = Counter(
    "dropwave_token_keys_read", "Changes of the file of token keys: used, or refused as broken or gone.", ["outcome"]
)
TOKEN_KEYS_FILE_BROKEN: Final = Gauge(
    "dropwave_token_keys_file_broken",
    "1 while the file of token keys is broken or gone and the keys from before count.",
    multiprocess_mode="livemax",
)
LOG_LAG: Final = Gauge(
    "dropwave_log_lag_decisions",
    "Decisions in the log that the ledger has not.",
    ["campaign"],
    multiprocess_mode="livemostrecent",
)
SETTLED_CLAIMS: Final = Counter("dropwave_settled_claims", "Claims committed to the ledger.", ["campaign"])
QUARANTINED_CLAIMS: Final = Counter(
    "dropwave_quarantined_claims", "Claims that Postgres refused as data and that were kept apart.", ["campaign"]
)
VOUCHERS_EXPIRED: Final = Counter(
    "dropwave_vouchers_expired_total", "Vouchers that were written down as expired; they had been so before."
)
QUARANTINE_HELD: Final = Gauge(
    "dropwave_quarantine_held_claims",
    "Claims in quarantine that nobody has retried or voided yet.",
    ["campaign"],
    multiprocess_mode="livemostrecent",
)
REFILLED_CLAIMS: Final = Counter(
    "dropwave_refilled_claims", "Claims that a ledger which had gone back in time got from the holders.", ["campaign"]
)
SETTLE_SECONDS: Final = Histogram("dropwave_settle_seconds", "One settling transaction.", buckets=_STEP_SECONDS)
CURSORS_MOVED: Final = Counter(
    "dropwave_cursors_moved", "Settling transactions that found the cursor moved by somebody else.", ["campaign"]
)
SHARD_ALARMS: Final = Counter(
    "dropwave_shard_alarms", "Times a shard was stopped because its log contradicted the ledger.", ["campaign"]
)

# --- what the board shows ---------------------------------------------------------------------------

WAVES: Final = Gauge(
    "dropwave_waves", "Waves in the hot store, by what they are doing.", ["state"], multiprocess_mode="livemostrecent"
)
OPEN_OFFERS: Final = Gauge(
    "dropwave_open_offers",
    "Offers of waves that are open or paused, by whether they have stock (in_stock, sold_out).",
    ["stock"],
    multiprocess_mode="livemostrecent",
)
UNITS_LEFT: Final = Gauge(
    "dropwave_units_left",
    "Units left in the waves of a campaign that are open or paused.",
    ["campaign"],
    multiprocess_mode="livemostrecent",
)
NEXT_OPENING: Final = Gauge(
    "dropwave_next_opening_timestamp_seconds",
    "When the next wave opens, by the hot store's clock (Unix time); 0 where none is scheduled.",
    multiprocess_mode="livemostrecent",
)
SHARD_BOUND: Final = Gauge(
    "dropwave_shard_bound",
    "1 where a claim on the shard would be decided; 0 while it is recovered or waits for that.",
    ["campaign"],
    multiprocess_mode="livemin",
)
SHARD_EPOCH: Final = Gauge(
    "dropwave_shard_epoch",
    "Epoch of the shard: Unix ms of its last recovery.",
    ["campaign"],
    multiprocess_mode="livemax",
)

# --- roles, recovery, stores ------------------------------------------------------------------------

LEADS: Final = Gauge(
    "dropwave_leads", "How many processes hold the role; 1 is right.", ["role"], multiprocess_mode="livesum"
)
LOG_LAG_SECONDS: Final = Gauge(
    "dropwave_log_lag_seconds",
    "How long the oldest decision that the ledger does not have has been in the log, by the hot store's clock.",
    ["campaign"],
    multiprocess_mode="livemostrecent",
)
SETTLE_BATCH: Final = Histogram(
    "dropwave_settle_decisions",
    "Decisions in one settling transaction.",
    buckets=(1, 8, 64, 512, 2_048, 8_192, 32_768),
)
RECOVERIES: Final = Counter(
    "dropwave_recoveries", "Recoveries of a shard, by how they ended (as_it_was, loaded, failed).", ["outcome"]
)
RECOVERY_SECONDS: Final = Histogram(
    "dropwave_recovery_seconds",
    "A recovery that ended with the shard bound.",
    buckets=(0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0),
)
HOT_STORE_FAILURES: Final = Counter(
    "dropwave_hot_store_failures",
    "Calls to Redis that failed: connect (not reachable), refused (nothing done), lost (no answer), error.",
    ["kind"],
)
PROMISE_BROKEN: Final = Gauge(
    "dropwave_promise_broken",
    "1 while the settings of that store (redis, postgres) cannot keep `ack`: claims get `busy`.",
    ["store"],
    multiprocess_mode="livemax",
)
LEDGER_FAILURES: Final = Counter(
    "dropwave_ledger_failures",
    "Statements or transactions that Postgres did not do: away, undone (a deadlock), refused (the data), error.",
    ["kind"],
)
LOOP_FAILURES: Final = Counter(
    "dropwave_loop_failures", "Passes of a background task that ended in an error; it goes on.", ["loop"]
)

RESTARTS: Final = Counter(
    "dropwave_restarts",
    "Times `dropwave up` started a part again that had died (redis, postgres, steward, writer, gateway).",
    ["role"],
)

# --- processes --------------------------------------------------------------------------------------

BUILD_INFO: Final = Gauge(
    "dropwave_build_info", "1; the labels say what runs here.", ["version", "python"], multiprocess_mode="livemax"
)
PROCESS_MEMORY: Final = Gauge(
    "dropwave_process_resident_memory_bytes", "Memory of a process.", ["role"], multiprocess_mode="liveall"
)
PROCESS_OPEN_FILES: Final = Gauge(
    "dropwave_process_open_fds",
    "Open descriptors of a process; each connection is one.",
    ["role"],
    multiprocess_mode="liveall",
)
PROCESS_OPEN_FILES_MAX: Final = Gauge(
    "dropwave_process_max_fds", "Descriptors that a process may have.", ["role"], multiprocess_mode="liveall"
)
PROCESS_START: Final = Gauge(
    "dropwave_process_start_time_seconds", "When a process began (Unix time).", ["role"], multiprocess_mode="liveall"
)
PROCESS_CPU: Final = Counter(
    "dropwave_process_cpu_seconds", "Processor time, of all processes of a role together.", ["role"]
)
EVENT_LOOP_LAG: Final = Histogram(
    "dropwave_event_loop_lag_seconds",
    "How much later than asked for the event loop wakes up a task that sleeps: what everything else waits too.",
    ["role"],
    buckets=(0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0),
)
GC_PAUSE: Final = Histogram(
    "dropwave_gc_pause_seconds",
    "Full garbage collections, in which a process does nothing else.",
    ["role"],
    buckets=(0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0),
)
SPANS: Final = Counter("dropwave_spans", "Spans of traces, sent to the collector or lost on the way.", ["fate"])
LOG_LINES_LOST: Final = Counter("dropwave_log_lines_lost", "Lines of the log that stderr did not take.")
ACCESS_LINES_LEFT_OUT: Final = Counter(
    "dropwave_access_lines_left_out", "Lines of the access log above what may be written in a second."
)
