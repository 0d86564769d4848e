"""Which sides take part: what is asked for and installed; what is missing is named, and how to install it."""

from typing import Any

from loadtests.baselines import nginx
from loadtests.bench.baseline_sides import nginx_side
from loadtests.bench.bench import Bench
from loadtests.bench.engine_side import EngineSide
from loadtests.bench.sides import Side

ENGINE, NGINX, FASTAPI = "engine", "nginx + Lua", "FastAPI + redis-py"


def line_up(bench: Bench, *, ack: str = "", workers: int = 0, baselines: bool = True, **settings: Any) -> list[Side]:
    """The engine and the baselines under the same Redis settings; the engine first."""
    options = bench.options
    ack = ack or options.ack
    redis = "memory" if ack == "memory" else "logged"
    sides: list[Side] = []
    if bench.wants(ENGINE):
        sides.append(
            EngineSide(bench.side_folder(), ack=ack, redis=redis, workers=workers or options.workers, **settings)
        )
    if not baselines:
        return sides
    if bench.wants(NGINX):
        if nginx.missing():
            bench.leave_out(nginx.missing())
        else:
            sides.append(nginx_side(bench.side_folder(), redis, options.baseline_workers))
    return sides
