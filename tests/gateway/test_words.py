"""The table of problems, the language they are told in, and bodies that are read or refused."""

import ast
import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.domain.outcome import RefusalCode
from engine.errors import ActOutrun, ActRefused
from engine.gateway.bodies import ClaimBody, check_media_type, read_claim_body
from engine.gateway.language import choose
from engine.gateway.ops_refusals import problem_of
from engine.gateway.problems import KINDS
from engine.gateway.refusals import Problem, refuse


def test_every_refusal_of_the_desk_has_its_words() -> None:
    assert {code.value for code in RefusalCode} <= set(KINDS)


@pytest.mark.parametrize("code", KINDS)
def test_a_problem_says_what_the_contract_asks_for(code: str) -> None:
    kind = KINDS[code]
    for header, language in (("zh-CN,zh;q=0.9", "zh"), ("en", "en")):
        answer = refuse(Problem(code), header)
        body, headers = json.loads(answer.body), dict(answer.headers)
        assert (
            (body["status"], body["code"], body["final"])
            == (answer.status, code, kind.final)
            == (kind.status, code, kind.final)
        )
        assert body["type"] == f"/problems/{code.replace('_', '-')}"
        assert body["title"] == kind.title.say(language)  # type: ignore[arg-type]  # a literal in the loop above
        assert headers["Content-Type"] == "application/problem+json"
        assert (headers["Content-Language"], headers["Vary"]) == (language, "Accept-Language")
        assert ("retry_after_ms" in body) == ("Retry-After" in headers) == (kind.retry is not None)
        assert ("WWW-Authenticate" in headers) == (kind.status == 401)
        assert (kind.retry is not None) == (not kind.final)


def test_retry_after_carries_the_wait_and_the_jitter() -> None:
    answer = refuse(Problem("not_open", wait_ms=1_600), "", draw=lambda below: below - 1)
    assert json.loads(answer.body)["retry_after_ms"] == 2_099
    assert dict(answer.headers)["Retry-After"] == "3"
    pauses = {json.loads(refuse(Problem("busy"), "").body)["retry_after_ms"] for _ in range(50)}
    assert len(pauses) > 10
    assert all(200 <= pause < 1_000 for pause in pauses)


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("", "en"),
        ("zh", "zh"),
        ("zh-CN", "zh"),
        ("ZH-hant-TW", "zh"),
        ("zh-CN,zh;q=0.9,en;q=0.8", "zh"),
        ("en-GB,en;q=0.9,zh;q=0.8", "en"),
        ("en;q=0.5, zh;q=0.7", "zh"),
        ("en, zh", "en"),
        ("zh, en", "zh"),
        ("zh-TW,en-US", "zh"),
        ("zh-Hans-CN;q=0.8, en;q=0.8", "zh"),
        ("fr, zh;q=0.5, en;q=0.5", "en"),
        ("en;q=0.1, zh-Hant-HK;Q=0.3", "zh"),
        ("zh;q=0, en;q=0", "en"),
        ("*;q=0.5, zh", "zh"),
        ("fr, zh;q=0.1", "zh"),
        ("fr", "en"),
        ("*", "en"),
        ("*, en;q=0.2", "zh"),
        ("en;q=0, *;q=0.1", "zh"),
        ("zh;q=0", "en"),
        ("zh; q=0.5 , en ; q=0.4", "zh"),
        ("zh;q=1.5, en;q=0.1", "en"),
        ("zh;q=high", "en"),
        (";;;,,,==", "en"),
        ("zh," * 500, "en"),
        ("zhx", "en"),
    ],
)
def test_accept_language(header: str, language: str) -> None:
    assert choose(header) == language


@pytest.mark.parametrize(
    ("body", "asked"),
    [
        (b'{"offer":"a"}', ClaimBody(("a",), 1)),
        (b'{"offers":["a","b"],"request_no":3,"later":{"x":[]}}', ClaimBody(("a", "b"), 3)),
    ],
)
def test_bodies_that_are_read(body: bytes, asked: ClaimBody) -> None:
    assert read_claim_body(body) == asked


@pytest.mark.parametrize(
    ("body", "at"),
    [
        (b"", "$"),
        (b"{", "$"),
        (b"\xff", "$"),
        (b'{"offer":"\xff"}', "$"),
        (b'{"offer":"\\ud800"}', "$"),
        (b"[" * 5_000, "$"),
        (b"[]", "$"),
        (b'"offer"', "$"),
        (b"{}", "$"),
        (b'{"offer":1}', "$.offer"),
        (b'{"offer":""}', "$.offer"),
        (b'{"offer":null}', "$.offer"),
        (b'{"offer":"a","offers":["b"]}', "$.offers"),
        (b'{"offers":"a"}', "$.offers"),
        (b'{"offers":[]}', "$.offers"),
        (b'{"offers":["a",1]}', "$.offers[1]"),
        (b'{"offers":["a","b","a"]}', "$.offers[2]"),
        (json.dumps({"offers": [f"o{n}" for n in range(33)]}).encode(), "$.offers"),
        (b'{"offer":"a","request_no":0}', "$.request_no"),
        (b'{"offer":"a","request_no":33}', "$.request_no"),
        (b'{"offer":"a","request_no":-1}', "$.request_no"),
        (b'{"offer":"a","request_no":1.0}', "$.request_no"),
        (b'{"offer":"a","request_no":true}', "$.request_no"),
        (b'{"offer":"a","request_no":"1"}', "$.request_no"),
        (b'{"offer":"a","request_no":null}', "$.request_no"),
        (b'{"offer":"a","request_no":18446744073709551617}', "$.request_no"),
        (b'{"offer":"a","request_no":1e999}', "$"),
    ],
)
def test_bodies_that_are_refused_say_where(body: bytes, at: str) -> None:
    problem = read_claim_body(body)
    assert isinstance(problem, Problem)
    assert problem.code == "invalid_request"
    assert problem.extras == {"at": at}
    assert problem.detail
    assert problem.detail.en
    assert problem.detail.zh


@given(
    st.one_of(
        st.binary(max_size=200),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
            lambda inner: (
                st.lists(inner) | st.dictionaries(st.sampled_from(["offer", "offers", "request_no"]) | st.text(), inner)
            ),
        ).map(lambda value: json.dumps(value).encode()),
    )
)
def test_no_body_makes_reading_fail(body: bytes) -> None:
    result = read_claim_body(body)
    assert isinstance(result, Problem) or (1 <= len(result.offers) <= 32 and 1 <= result.request_no <= 32)


@pytest.mark.parametrize(
    ("content_type", "encoding", "taken"),
    [
        ("application/json", "", True),
        ("Application/JSON; charset=UTF-8", "identity", True),
        ('application/json; charset="utf-8"', "", True),
        ("application/json; x=y", "", True),
        ("", "", False),
        ("text/plain", "", False),
        ("application/x-www-form-urlencoded", "", False),
        ("application/json; charset=gbk", "", False),
        ("application/json", "gzip", False),
    ],
)
def test_how_a_body_may_be_sent(content_type: str, encoding: str, taken: bool) -> None:
    assert (check_media_type(content_type, encoding) is None) is taken


def test_the_page_for_newcomers_lists_every_code_with_its_status() -> None:
    page = (Path(__file__).parents[2] / "docs" / "http.md").read_text("utf-8")
    rows = re.findall(r"^\| ((?:`[a-z_]+`(?:, )?)+) \| (\d{3}) \|", page, re.MULTILINE)
    listed = {code: int(status) for codes, status in rows for code in re.findall("[a-z_]+", codes)}
    assert listed == {code: kind.status for code, kind in KINDS.items()}
    assert list(listed) == list(KINDS)  # in the order in which they are looked at


def test_an_act_that_was_outrun_may_be_done_again() -> None:
    """Not the act is wrong, only its moment: `act_refused` would say that asking again does not help."""
    assert problem_of(ActOutrun("act 7 came first")).code == "busy"
    assert problem_of(ActRefused("wave w is closed")).code == "act_refused"


CHINESE = re.compile("[\u4e00-\u9fff\uff00-\uffef]")  # characters, and punctuation of their width


def test_every_sentence_of_the_gateway_is_there_in_both_languages() -> None:
    """But those that operators read as the command line has them, which are English in both (`says`)."""
    sentences = 0
    for path in (Path(__file__).parents[2] / "engine" / "gateway").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not (isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Words"):
                continue
            english, chinese = (ast.unparse(each) for each in node.args)
            if english == chinese == "text":
                assert path.name == "ops_refusals.py"
                continue
            if english == chinese and re.fullmatch(r"'[A-Z]\w+ [\d.]+'", english):
                continue  # a name
            is_text = any(isinstance(part, ast.Constant) and part.value for part in ast.walk(node.args[1]))
            assert CHINESE.search(chinese) or not is_text, f"{path.name}:{node.lineno}: {chinese}"
            assert not CHINESE.search(english), f"{path.name}:{node.lineno}: {english}"
            sentences += 1
    assert sentences > 100
