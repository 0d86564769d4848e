"""Workers have users of their own, also those that stand in for others."""

import os
from pathlib import Path

import jwt
import pytest

from engine.errors import CannotRun, UsageError
from loadtests.swarm.accounts import Accounts, Tokens, Who, stores_of

SECRET = "5ec7e7" * 6
MADE = Tokens({})


@pytest.fixture(autouse=True)
def secret(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("DROPWAVE_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("DROPWAVE_JWT_SECRET", SECRET)
    monkeypatch.setenv("DROPWAVE_JWT_AUDIENCE", "shop")


def names(accounts: Accounts, count: int) -> list[str]:
    return [account.name for account in (accounts.next() for _ in range(count)) if account is not None]


def test_made_up_accounts_are_their_worker_s_alone() -> None:
    workers = [Accounts(MADE, "mark", worker, 2, Who()) for worker in range(12)]
    given = [name for accounts in workers for name in names(accounts, 50)]
    assert len(set(given)) == 600
    assert set(names(Accounts(MADE, "other", 0, 2, Who()), 50)).isdisjoint(given)


def test_a_token_says_who_its_account_is() -> None:
    account = Accounts(MADE, "mark", 3, 1, Who("武汉", ("student",))).next()
    assert account is not None
    claims = jwt.decode(account.token, SECRET, ["HS256"], audience="shop")
    assert (claims["sub"], claims["person"]) == ("load-mark-3-0", "load-mark-3-0")
    assert (claims["city"], claims["tags"], claims["scope"]) == ("武汉", ["student"], "claim")


def test_a_file_of_tokens_is_shared_out(tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    file.write_text("".join(f"token-{number}\n\n" for number in range(10)) + "token-9\n")
    tokens = Tokens({"LOAD_TOKENS": str(file), "LOAD_OPS_TOKEN": "ops"})
    shares: list[list[str]] = [[], [], []]
    for worker, share in enumerate(shares):
        accounts = Accounts(tokens, "mark", worker, 3, Who())
        assert not accounts.is_fresh
        while account := accounts.next():
            share.append(account.token)
            assert accounts.at(account.number) == account
    assert shares[0] == ["token-0", "token-3", "token-6", "token-9"]
    assert sorted(token for share in shares for token in share) == [f"token-{number}" for number in range(10)]
    assert tokens.of_operator() == "ops"
    with pytest.raises(CannotRun, match="raise --shares"):
        Accounts(tokens, "mark", 3, 3, Who())


def test_a_worker_without_an_index_has_no_users() -> None:
    with pytest.raises(CannotRun, match="no index"):
        Accounts(MADE, "mark", -1, 1, Who())


def test_what_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        Tokens({"LOAD_TOKENS": str(tmp_path / "nowhere")})
    (tmp_path / "empty").touch()
    with pytest.raises(UsageError, match="has no token"):
        Tokens({"LOAD_TOKENS": str(tmp_path / "empty")})
    monkeypatch.delenv("DROPWAVE_JWT_SECRET")
    monkeypatch.setenv("DROPWAVE_DATA", str(tmp_path))
    with pytest.raises(UsageError, match="LOAD_TOKENS, LOAD_OPS_TOKEN"):
        Tokens({}).of("u1", Who())
    (tmp_path / "secret").write_text(SECRET + "\n")
    assert Tokens({}).of("u1", Who())


def test_tills_have_tokens_of_their_stores(tmp_path: Path) -> None:
    token = MADE.of_till("till-1", "s-1")
    claims = jwt.decode(token, SECRET, ["HS256"], audience="shop")
    assert (claims["sub"], claims["scope"], claims["stores"]) == ("till-1", "merchant", ["s-1"])
    file = tmp_path / "tills"
    file.write_text(f"{token}\n")
    assert Tokens({"LOAD_TILL_TOKENS": str(file)}).till_lines == (token,)
    assert stores_of(token) == ["s-1"]
    for wrong in ("", "token", "a.b.c", MADE.of("user", Who())):
        with pytest.raises(UsageError, match="LOAD_TILL_TOKENS"):
            stores_of(wrong)
