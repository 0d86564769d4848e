"""Which sides take part: what is asked for and installed; what is missing is named, and how to install it."""

from typing import Any

from loadtests.baselines import fastapi, nginx
from loadtests.bench.baseline_sides import fastapi_side, nginx_side
from loadtests.bench.bench import Bench
from loadtests.bench.crowded_engine import CrowdedEngine
from loadtests.bench.engine_side import EngineSide
from loadtests.bench.shop_engine import ShopEngine
from loadtests.bench.sides import Side

ENGINE, NGINX, FASTAPI = "engine", "nginx + Lua", "FastAPI + redis-py"


def line_up(bench: Bench) -> list[Side]:
    """The engine and both baselines under the same Redis settings; the engine first."""
    sides: list[Side] = []
    if bench.wants(ENGINE):
        sides.append(engine(bench))
        for name, settings in bench.options.variants:
            more: dict[str, Any] = {**settings}
            sides.append(engine(bench, name=f"{ENGINE}, {name}", **more))
    sides += nginx_with(bench, workers=bench.options.baseline_workers)
    if bench.wants(FASTAPI):
        if fastapi.missing():
            bench.leave_out(fastapi.missing())
        else:
            sides.append(fastapi_side(bench.side_folder(), redis_of(bench.options.ack), bench.options.baseline_workers))
    return sides


def engine(bench: Bench, *, name: str = ENGINE, ack: str = "", workers: int = 0, **settings: Any) -> EngineSide:
    """The engine, as the options say where nothing else is said."""
    return EngineSide(bench.side_folder(), **_as_said(bench, name, ack, workers, settings))


def crowded(bench: Bench, *, name: str) -> CrowdedEngine:
    """The same, to be filled."""
    return CrowdedEngine(bench.side_folder(), **_as_said(bench, name, "", 0, {}))


def shop(bench: Bench, *, name: str = ENGINE, beside_per_second: int = 0) -> ShopEngine:
    """The same, with vouchers to redeem; so many a second of them beside what is measured."""
    said = _as_said(bench, name, "", 0, {})
    return ShopEngine(
        bench.side_folder(), beside_per_second=beside_per_second, beside_s=float(bench.options.seconds), **said
    )


def _as_said(bench: Bench, name: str, ack: str, workers: int, settings: dict[str, Any]) -> dict[str, Any]:
    ack = ack or bench.options.ack
    workers = workers or bench.options.workers
    more = {**dict(bench.options.settings), **settings}
    return {"name": name, "ack": ack, "redis": redis_of(ack), "workers": workers, **more}


def nginx_with(bench: Bench, *, workers: int, name: str = NGINX, redis: str = "") -> list[Side]:
    """nginx with Lua, where it is asked for and installed."""
    if not bench.wants(NGINX):
        return []
    if nginx.missing():
        bench.leave_out(nginx.missing())
        return []
    return [nginx_side(bench.side_folder(), redis or redis_of(bench.options.ack), workers, name)]


def redis_of(ack: str) -> str:
    """The Redis settings that an `ack` asks for (loadtests.baselines.redis.SETTINGS)."""
    return "memory" if ack == "memory" else "logged"
