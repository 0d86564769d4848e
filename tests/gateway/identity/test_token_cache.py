"""Tokens that are remembered: until they end, while their key counts, and no more of them than allowed."""

from typing import Any

import pytest
from prometheus_client import REGISTRY

from engine.gateway.identity.caller import Caller
from engine.gateway.identity.keys import TokenKeys
from engine.gateway.identity.token_cache import TokenCache
from engine.gateway.identity.tokens import TokenReader
from engine.gateway.identity.validity import TokenRules
from tests.gateway.identity.issuers import CLAIMS, NOW_S, code_of, public_key, token_of


class Clock:
    """A clock that stands until it is set."""

    def __init__(self) -> None:
        self.now_s: float = NOW_S

    def __call__(self) -> float:
        return self.now_s


class Remembering:
    """A reader whose cache and clock are in the test's hands."""

    def __init__(self, entries_max: int = 100, leeway_s: float = 5) -> None:
        self.clock, self.cache = Clock(), TokenCache(entries_max)
        keys = TokenKeys([public_key("HS256"), public_key("EdDSA", "old")])
        self.reader = TokenReader(keys, TokenRules(leeway_s=leeway_s), self.cache, self.clock)

    def code(self, token: str) -> str:
        return code_of(self.reader.read(token))


def figures() -> dict[str, float]:
    samples: dict[str, Any] = {
        "hit": REGISTRY.get_sample_value("dropwave_token_cache_lookups_total", {"outcome": "hit"}),
        "miss": REGISTRY.get_sample_value("dropwave_token_cache_lookups_total", {"outcome": "miss"}),
        "evicted": REGISTRY.get_sample_value("dropwave_token_cache_evictions_total"),
        "entries": REGISTRY.get_sample_value("dropwave_token_cache_entries"),
    }
    return {name: value or 0 for name, value in samples.items()}


def test_a_token_is_verified_once() -> None:
    here = Remembering()
    token = token_of()
    first = here.reader.read(token)
    assert isinstance(first, Caller)
    assert here.reader.read(token) is first
    assert len(here.cache) == 1


def test_a_remembered_token_ends_when_it_ends() -> None:
    here = Remembering()
    token = token_of(CLAIMS | {"exp": NOW_S + 10})
    for now_s, code in ((NOW_S, ""), (NOW_S + 14.9, ""), (NOW_S + 15, "token_expired"), (NOW_S + 16, "token_expired")):
        here.clock.now_s = now_s
        assert here.code(token) == code, now_s
    assert len(here.cache) == 0


@pytest.mark.parametrize("claim", ["nbf", "iat"])
def test_a_remembered_token_is_not_good_before_its_time(claim: str) -> None:
    here = Remembering()
    token = token_of(CLAIMS | {claim: NOW_S})
    for now_s, code in (
        (NOW_S - 5.1, "unauthenticated"),
        (NOW_S, ""),
        (NOW_S - 5, ""),
        (NOW_S - 5.1, "unauthenticated"),
    ):
        here.clock.now_s = now_s  # a clock that is set back
        assert here.code(token) == code, now_s


def test_what_was_refused_is_not_remembered() -> None:
    here = Remembering()
    for token in (token_of(secret=b"o" * 32), token_of(CLAIMS | {"sub": ""}), token_of(CLAIMS | {"exp": 1}), "x"):
        assert here.code(token)
    assert len(here.cache) == 0


def test_other_keys_forget_what_the_old_ones_signed() -> None:
    here = Remembering()
    by_secret, by_key = token_of(), token_of(by="EdDSA", header={"alg": "EdDSA", "kid": "old"})
    assert (here.code(by_secret), here.code(by_key)) == ("", "")
    here.reader.use(TokenKeys([public_key("HS256"), public_key("EdDSA", "new", 1)]))
    assert len(here.cache) == 0
    assert (here.code(by_secret), here.code(by_key)) == ("", "unauthenticated")
    here.reader.use(TokenKeys([public_key("EdDSA", "new", 1)]))
    assert here.code(by_secret) == "unauthenticated"


def test_the_one_asked_for_the_longest_ago_makes_room() -> None:
    here = Remembering(entries_max=3)
    tokens = [token_of(CLAIMS | {"sub": f"u{number}"}) for number in range(5)]
    here.cache.publish()
    before = figures()
    for token in (*tokens[:3], tokens[0], tokens[3]):  # the fourth takes the place of the second
        assert here.code(token) == ""
    assert len(here.cache) == 3
    for token in (tokens[0], tokens[2], tokens[3]):
        here.code(token)
    here.code(tokens[1])
    here.cache.publish()
    after = figures()
    assert {name: after[name] - before[name] for name in ("hit", "miss", "evicted")} == {
        "hit": 4,
        "miss": 5,
        "evicted": 2,
    }
    assert after["entries"] == 3
    here.cache.publish()
    assert figures() == after, "what was published is not counted again"


def test_a_cache_of_none() -> None:
    here = Remembering(entries_max=0)
    assert [here.code(token_of()) for _ in range(3)] == ["", "", ""]
    assert len(here.cache) == 0


def test_a_token_is_not_kept_in_clear() -> None:
    here = Remembering()
    token = token_of()
    assert here.code(token) == ""
    kept = repr(vars(here.cache))
    assert not any(part in kept for part in token.split("."))
