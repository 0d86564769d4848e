"""Schemathesis makes requests from the document, right ones and wrong ones, and holds every answer against it."""

import asyncio
import json
import sys
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from engine.settings import Settings
from engine.wiring import running, writer_services
from tests.gateway.drop import Drop, running_drop
from tests.support.contract import document

CONFIG = """
[checks]
# stopped and busy are documented like all others
not_a_server_error.expected-statuses = ["2xx", "3xx", "4xx", "503"]
# 400 and 413 too: whether a time can be read, a file is a campaign, a stock is named, how long a body with members
# of its own may be, is more than the document can say
positive_data_acceptance.expected-statuses = [
    "2xx", "3xx", "400", "401", "403", "404", "409", "410", "412", "413", "503"
]
negative_data_rejection.expected-statuses = ["4xx", "503"]
"""
DEADLINE_S = 600


@pytest.fixture
async def drop(settings: Settings, redis_url: str, database_url: str) -> AsyncIterator[Drop]:
    """One user asks for everything, as fast as it can; audits need a writer."""
    unhurried = {"user_requests_per_second": 0, "code_guesses_per_second": 0, "user_guesses_per_second": 0}
    settings = replace(settings, redis_url=redis_url, database_url=database_url, **unhurried)
    async with AsyncExitStack() as stack:
        drop = await stack.enter_async_context(running_drop(settings))
        await stack.enter_async_context(running(writer_services(drop.stores, settings)))
        yield drop


def with_addresses_that_are_there() -> dict[str, Any]:
    """The document, with ids of the test's waves among those that are tried: a random one would never be met."""
    copy: dict[str, Any] = json.loads(json.dumps(document()))
    there = {"wave": ["one-open", "one-later", "many-open"], "campaign": ["one", "many"]}
    for item in copy["paths"].values():
        for parameter in item["parameters"]:
            if parameter.get("name") in there:
                ids = there[parameter["name"]]
                parameter["schema"] = {"anyOf": [{"type": "string", "enum": ids}, parameter["schema"]]}
                parameter["example"] = ids[0]
    return copy


async def run(drop: Drop, folder: Path, seed: int, phases: str, examples: int) -> str:
    """What schemathesis says; fails with all of it where anything was wrong."""
    (folder / "openapi.json").write_text(json.dumps(with_addresses_that_are_there()), "utf-8")
    (folder / "schemathesis.toml").write_text(CONFIG, "utf-8")
    token = drop.token("one-user", scope="claim ops merchant", role="operator", stores=["s1"], ttl_s=3600)
    command = [
        *(sys.executable, "-m", "schemathesis.cli", "--config-file", "schemathesis.toml", "run", "openapi.json"),
        *("--url", drop.url, "--header", f"Authorization: {token}", "--phases", phases, "--checks", "all"),
        *("--max-examples", str(examples), "--seed", str(seed), "--continue-on-failure", "--warnings", "off"),
    ]
    process = await asyncio.create_subprocess_exec(*command, cwd=folder, stdout=PIPE, stderr=STDOUT)
    try:
        async with asyncio.timeout(DEADLINE_S):
            told, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, told.decode()
    return told.decode()


async def test_what_the_document_gives_as_examples(drop: Drop, tmp_path: Path, seed: int) -> None:
    assert " passed" in await run(drop, tmp_path, seed, "examples", 1)


@pytest.mark.long
@pytest.mark.parametrize("phase", ["coverage", "fuzzing", "stateful"])
async def test_right_and_wrong_requests_and_what_follows_from_answers(
    drop: Drop, tmp_path: Path, seed: int, phase: str
) -> None:
    assert " passed" in await run(drop, tmp_path, seed, phase, 25)
