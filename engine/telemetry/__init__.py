"""What the engine tells of itself: logs, metrics, traces. Every room takes its metrics from here.

`logs` writes lines, and `redaction` takes secrets out of them; `metrics` names every figure, in base units (seconds,
bytes, counts), and `shared` makes one picture of several processes; `tracing` sends spans where an endpoint is set.
`vitals` (how this process fares) and `serving` (a port of its own for `/metrics`) are services that `wiring` starts.
Nothing here knows what a claim or a ledger is.
"""

# isort: off
# `shared` names the folder before the first metric opens a file in it.
from engine.telemetry.shared import METRICS_FOLDER as METRICS_FOLDER
from engine.telemetry.shared import METRICS_TYPE as METRICS_TYPE
from engine.telemetry.shared import Tally as Tally
from engine.telemetry.shared import forget_process as forget_process
from engine.telemetry.shared import metrics_text as metrics_text
from engine.telemetry.metrics import *  # noqa: F403 (every metric is there for every room)

# isort: on
from engine.telemetry.logs import REQUEST_ID as REQUEST_ID
from engine.telemetry.logs import configure_logging as configure_logging
from engine.telemetry.redaction import redact as redact
