"""The FastAPI baseline: a claim is one EVALSHA by redis-py. Started by `fastapi.py` under uvicorn, which names it."""

import asyncio
import os
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Final

import redis.asyncio
from fastapi import FastAPI, Header, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel

SHA: Final = os.environ["BASELINE_SHA"]
OFFER: Final = os.environ["BASELINE_OFFER"]
_CONNECTIONS: Final = 256
"""Opened before the first request: hundreds that are opened in the first rush cost it seconds, and some fail."""
_LETTERS: Final = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"

store: redis.asyncio.Redis = redis.asyncio.Redis.from_url(
    os.environ["BASELINE_REDIS_URL"], max_connections=4 * _CONNECTIONS, decode_responses=True
)
waves: dict[str, tuple[str, float]] = {}
"""Stock, as text, and opening (Unix seconds) by wave; they do not change."""


@asynccontextmanager
async def _lifespan(_: FastAPI) -> AsyncIterator[None]:
    await asyncio.gather(*(store.ping() for _ in range(_CONNECTIONS)))
    yield
    await store.aclose()


app = FastAPI(lifespan=_lifespan, docs_url=None, redoc_url=None, openapi_url=None)


class Wanted(BaseModel):
    """Body of a claim."""

    offer: str


def _json(text: str, status: int) -> Response:
    """Put together by hand: half of what JSONResponse takes."""
    return Response(text, status, media_type="application/json")


async def _wave(wave: str) -> tuple[str, float] | None:
    if wave not in waves:
        stock, opens = await store.mget(f"{{{wave}}}:stock", f"{{{wave}}}:opens")
        if stock is None or opens is None:
            return None
        waves[wave] = str(stock), float(opens)
    return waves[wave]


@app.post("/v1/waves/{wave}/claims")
async def claim(wave: str, wanted: Wanted, x_user: Annotated[str, Header()]) -> Response:
    """One claim."""
    found = await _wave(wave)
    if found is None:
        return JSONResponse({"code": "unknown_wave"}, 404)
    if wanted.offer != OFFER:
        return JSONResponse({"code": "unknown_offer"}, 400)
    stock, opens_s = found
    if time.time() < opens_s:
        return JSONResponse({"code": "not_open"}, 409)
    code = "".join(random.choices(_LETTERS, k=10))
    word, _, rest = (
        await store.evalsha(SHA, 2, f"{{{wave}}}:holders", f"{{{wave}}}:log", x_user, code, stock)
    ).partition(" ")
    if word == "new":
        return _json(f'{{"status":"claimed","claim":{{"offer":"{OFFER}","code":"{code}","sequence":{rest}}}}}', 201)
    if word == "held":
        return _json(f'{{"status":"claimed","claim":{{"offer":"{OFFER}","code":"{rest}"}}}}', 200)
    return _json('{"code":"sold_out"}', 409)


@app.get("/v1/waves/{wave}")
async def status(wave: str) -> Response:
    """What is left."""
    found = await _wave(wave)
    if found is None:
        return JSONResponse({"code": "unknown_wave"}, 404)
    given = await store.hlen(f"{{{wave}}}:holders")
    return JSONResponse({"state": "open", "left": {OFFER: int(found[0]) - given}}, 200)
