"""What a problem's `type` leads to: for programs and for people, one by one and all of them."""

import base64
import hashlib
import re
from html.parser import HTMLParser

import pytest

from engine.gateway.answer import Answer, Heading
from engine.gateway.problem_pages import problem_index, problem_page
from engine.gateway.problems import BY_SLUG, KINDS
from tests.gateway.drop import Drop

BROWSER = "text/html,application/xhtml+xml,*/*;q=0.8"


def heading(language: str) -> Heading:
    return Heading(accept=BROWSER, accept_language=language)


class Reader(HTMLParser):
    """Finds what a browser would obey or load, and looks whether what was opened is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []
        self.tags: set[str] = set()
        self.attributes: set[str] = set()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attributes}
        self.links += [value or "" for name, value in attributes if name == "href"]
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def read(answer: Answer) -> Reader:
    reader = Reader()
    reader.feed(answer.body.decode())
    assert not reader.open
    return reader


@pytest.mark.parametrize("slug", BY_SLUG)
def test_a_page_says_it_in_both_languages(slug: str) -> None:
    kind = BY_SLUG[slug]
    for language, tag, first, second in (
        ("zh-CN", "zh-Hans", kind.title.zh, kind.title.en),
        ("en", "en", kind.title.en, kind.title.zh),
    ):
        answer = problem_page(slug, heading(language))
        text = answer.body.decode()
        assert f'<html lang="{tag}">' in text
        assert f"<h1>{first}</h1>" in text
        assert f"<h2>{second}</h2>" in text
        assert "`" not in text
        assert (kind.retry is None) is ("the same way, does not help" in text)
        assert read(answer).links == ["/problems"]


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_index_leads_to_every_page_in_their_order(language: str) -> None:
    assert read(problem_index(heading(language))).links == [f"/problems/{slug}" for slug in BY_SLUG]


@pytest.mark.parametrize("answer", [problem_index(heading("zh")), problem_page("sold-out", heading("en"))])
def test_a_browser_loads_and_runs_nothing(answer: Answer) -> None:
    policy = dict(answer.headers)["Content-Security-Policy"]
    (style,) = re.findall("<style>(.*)</style>", answer.body.decode(), re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"style-src 'sha256-{digest}'" in policy, "the style would not be applied"
    for directive in ("default-src 'none'", "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'"):
        assert directive in policy
    assert "unsafe" not in policy
    reader = read(answer)
    assert not reader.tags & {"script", "img", "link", "iframe", "form", "object"}
    assert not {name for name in reader.attributes if name.startswith("on") or name == "style"}


async def test_pages_over_http(drop: Drop) -> None:
    for path in ("/problems", "/problems/sold-out"):
        page = await drop.call("GET", path, headers={"Accept": BROWSER, "Accept-Language": "zh-TW"})
        assert (page.status, page.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
        assert (page.headers["Content-Language"], page.headers["Vary"]) == ("zh", "Accept, Accept-Language")
        assert page.headers["Cache-Control"] == "public, max-age=3600"
        assert page.headers["Referrer-Policy"] == "no-referrer"
    index = await drop.call("GET", "/problems")
    assert [each["code"] for each in index["problems"]] == list(KINDS)
    one = await drop.call("GET", "/problems/sold-out")
    assert one.body in index["problems"]
