"""A file of keys that changes while its keys are in use."""

import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from engine.errors import SettingsError
from engine.gateway.identity.upkeep import TokenUpkeep
from engine.settings import Settings
from engine.wiring import running
from tests.gateway.identity.issuers import SECRET, code_of, jwk_of, jwks_of, pem_of, token_of
from tests.support.waiting import wait_until

OLD, NEW = jwk_of("EdDSA", 0, kid="old"), jwk_of("EdDSA", 1, kid="new")
HEADERS = {number: {"alg": "EdDSA", "kid": kid} for number, kid in ((0, "old"), (1, "new"))}


def broken() -> float:
    return REGISTRY.get_sample_value("dropwave_token_keys_file_broken") or 0


def count(outcome: str) -> float:
    return REGISTRY.get_sample_value("dropwave_token_keys_read_total", {"outcome": outcome}) or 0


class Watched:
    """An upkeep whose passes the test makes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.upkeep = TokenUpkeep([SECRET], Settings(jwt_keys_file=str(path)))

    async def look(self) -> None:
        await self.upkeep.look()

    def taken(self) -> set[int]:
        """Whose tokens are taken: of the old key (0), of the new one (1)."""
        claims = {"sub": "u1", "exp": 9e9}
        assert code_of(self.upkeep.reader.read(token_of(claims))) == "", "the secret beside the file always counts"
        tokens = {number: token_of(claims, "EdDSA", HEADERS[number], number) for number in (0, 1)}
        return {number for number, token in tokens.items() if not code_of(self.upkeep.reader.read(token))}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "jwks.json"
    path.write_text(jwks_of(OLD))
    return path


def in_place(path: Path, text: str) -> None:
    path.write_text(text)


def same_time_and_size(path: Path, text: str) -> None:
    before = path.stat()
    path.write_text(text.ljust(before.st_size))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def by_rename(path: Path, text: str) -> None:
    beside = path.with_suffix(".new")
    beside.write_text(text)
    beside.replace(path)


def by_removal(path: Path, text: str) -> None:
    path.unlink()
    path.write_text(text)


@pytest.mark.parametrize("write", [in_place, same_time_and_size, by_rename, by_removal])
async def test_a_changed_file_counts_however_it_was_changed(path: Path, write: Callable[[Path, str], None]) -> None:
    watched = Watched(path)
    await watched.look()
    assert watched.taken() == {0}
    write(path, jwks_of(OLD, NEW))
    await watched.look()
    assert watched.taken() == {0, 1}, "while they rotate"
    write(path, jwks_of(NEW))
    await watched.look()
    assert watched.taken() == {1}, "replay after rotation: the old key is gone, and what it had signed forgotten"


async def test_a_link_turned_round_as_kubernetes_does(tmp_path: Path) -> None:
    """`jwks.json` links to `..data/jwks.json`, and `..data` to a folder with a time in its name."""
    for name, text in (("..2026_1", jwks_of(OLD)), ("..2026_2", jwks_of(NEW))):
        (tmp_path / name).mkdir()
        (tmp_path / name / "jwks.json").write_text(text)
    (tmp_path / "..data").symlink_to("..2026_1")
    (tmp_path / "jwks.json").symlink_to("..data/jwks.json")
    watched = Watched(tmp_path / "jwks.json")
    assert watched.taken() == {0}
    (tmp_path / "..data_tmp").symlink_to("..2026_2")
    (tmp_path / "..data_tmp").replace(tmp_path / "..data")
    await watched.look()
    assert watched.taken() == {1}


async def test_pem_may_take_the_place_of_jwks(path: Path) -> None:
    watched = Watched(path)
    path.write_text(pem_of("EdDSA", 1) + pem_of("EdDSA", 0))
    await watched.look()
    assert watched.taken() == {0, 1}


BREAKS: dict[str, Callable[[Path], object]] = {
    "gone": lambda path: path.unlink(),
    "empty": lambda path: path.write_text(""),
    "half written": lambda path: path.write_text(jwks_of(OLD, NEW)[:-10]),
    "private": lambda path: path.write_text(jwks_of(NEW | {"d": NEW["x"]})),
    "too many": lambda path: path.write_text(jwks_of(*[NEW | {"kid": f"k{n}"} for n in range(17)])),
    "no text": lambda path: path.write_bytes(b"\xff\xfe"),
    "a folder": lambda path: (path.unlink(), path.mkdir()),
    "a dead link": lambda path: (path.unlink(), path.symlink_to("nowhere")),
}


@pytest.mark.parametrize("break_it", BREAKS.values(), ids=BREAKS.keys())
async def test_a_broken_file_changes_nothing_and_raises_the_alarm(
    path: Path, break_it: Callable[[Path], object]
) -> None:
    watched = Watched(path)
    used, refused = count("used"), count("refused")
    break_it(path)
    with capture_logs() as logs:
        for _ in range(3):
            await watched.look()
    assert watched.taken() == {0}
    assert (broken(), count("refused") - refused) == (1, 1)
    (line,) = logs  # said once
    assert (line["log_level"], str(path) in line["reason"]) == ("error", True)
    assert NEW["x"] not in line["reason"]
    if path.is_dir():
        path.rmdir()
    path.unlink(missing_ok=True)
    path.write_text(jwks_of(OLD, NEW))
    with capture_logs() as logs:
        await watched.look()
    assert watched.taken() == {0, 1}
    assert (broken(), count("used") - used) == (0, 1)
    assert logs == [
        {"event": "token keys read", "log_level": "info", "file": str(path), "keys": ["EdDSA old", "EdDSA new"]}
    ]


async def test_a_file_that_comes_back_as_it_was_ends_the_alarm(path: Path) -> None:
    watched = Watched(path)
    text = path.read_text()
    path.unlink()
    await watched.look()
    assert broken() == 1
    path.write_text(text)
    await watched.look()
    assert (broken(), watched.taken()) == (0, {0})


def test_a_gateway_does_not_start_on_a_broken_file(path: Path) -> None:
    path.write_text("{}")
    with pytest.raises(SettingsError, match="DROPWAVE_JWT_KEYS_FILE"):
        Watched(path)
    path.unlink()
    with pytest.raises(SettingsError, match="No such file"):
        Watched(path)


@pytest.fixture
async def started(path: Path) -> AsyncIterator[Watched]:
    watched = Watched(path)
    async with running([watched.upkeep]):
        yield watched


async def test_the_service_looks_by_itself(started: Watched) -> None:
    started.path.write_text(jwks_of(NEW))
    await wait_until(lambda: started.taken() == {1})
