"""What caches may keep, and for how long: in a browser, in a CDN that meets several gateways, around an opening."""

import random
from typing import Any

import pytest
from msgspec.structs import replace

from engine.claiming.board import LiveCampaign, LiveWave
from engine.domain.campaign import Catalogue
from engine.gateway.answer import Answer, Heading
from engine.gateway.status_pages import NEAR_MS, StatusPages
from engine.scheduling import acts
from engine.settings import Settings
from tests.gateway.drop import OPS, Drop, Reply, running_gateway
from tests.gateway.raw import connected_to
from tests.support.waiting import wait_until

PAGES = ("/v1/waves/one-open", "/v1/waves/one-later", "/v1/waves", "/v1/campaigns/one")
KEEP = "public, max-age=1, must-revalidate"
KEEP_SHARED = "public, max-age=0, s-maxage=1, must-revalidate"
OF_THE_MOMENT = {"date", "x-request-id", "left-read-at-ms"}


@pytest.fixture
def drop_settings(drop_settings: Settings) -> Settings:
    """Some of these tests ask more often than a user may."""
    return replace(drop_settings, user_requests_per_second=0)


async def at_rest(*gateways: Drop) -> None:
    """Once the steward has closed what was over already, pages say the same until somebody does something."""
    for gateway in gateways:
        await wait_until(lambda gateway=gateway: gateway.live("one-over").state.closed_ms)  # type: ignore[misc]  # bound


def words(value: str) -> set[str]:
    return {word.strip() for word in value.split(",")}


async def test_only_what_is_the_same_for_all_may_be_kept(drop: Drop) -> None:
    for path in PAGES:
        assert (await drop.call("GET", path)).headers["Cache-Control"] == KEEP
    operator = drop.token("boss", scope="ops", role="operator")
    for method, path, auth, status in (
        ("GET", "/v1/time", "", 200),
        ("GET", "/healthz", "", 200),
        ("GET", "/metrics", "", 200),
        ("POST", "/v1/waves/one-open/tickets", drop.token(), 201),
        ("GET", "/v1/waves/one-open/claims", drop.token(), 200),
        ("GET", "/v1/me/claims", drop.token(), 200),
        ("GET", "/v1/me/vouchers", drop.token(), 200),
        ("GET", "/v1/ops/campaigns", operator, 200),
        ("GET", "/v1/ops/waves/one-open", operator, 200),
        ("GET", "/v1/ops/campaigns", "", 401),
        ("GET", "/v1/waves/nowhere", "", 404),
        ("GET", "/v1/campaigns/nowhere", "", 404),
        ("GET", "/nowhere", "", 404),
        ("DELETE", "/v1/waves", "", 405),
        ("GET", "/v1/me/claims", "", 401),
    ):
        reply = await drop.call(method, path, auth)
        assert (reply.status, reply.headers["Cache-Control"]) == (status, "no-store"), path
    assert (await drop.call("GET", "/readyz")).headers["Cache-Control"] == "no-store"
    for status in (201, 200, 409):
        offer = {"offer": "b" if status == 409 else "a"}
        claimed = await drop.claim("one-open", offer)
        assert (claimed.status, claimed.headers["Cache-Control"]) == (status, "no-store")
    async with connected_to(drop.port) as connection:
        connection.send(b"no HTTP at all\r\n\r\n")
        reply_400 = await connection.response()
    assert (reply_400.status, reply_400.headers["cache-control"]) == (400, "no-store")


async def test_a_304_says_all_that_a_200_would(drop: Drop) -> None:
    await at_rest(drop)
    for path in PAGES:
        page = await drop.call("GET", path)
        same = await drop.call("GET", path, headers={"If-None-Match": page.headers["ETag"]})
        assert (same.status, same.body) == (304, b"")
        kept = {name.lower() for name in page.headers} - {"content-type", "content-length"}
        assert {name.lower() for name in same.headers} == kept, path
        lasting = kept - OF_THE_MOMENT
        assert {name: same.headers[name] for name in lasting} == {name: page.headers[name] for name in lasting}
        head = await drop.call("HEAD", path)
        assert (head.status, head.body or b"") == (200, b"")
        assert set(head.headers) == set(page.headers)
        assert "Vary" not in page.headers  # nothing in a page depends on who asks, or in which language


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        ("{tag}", 304),
        ("{strong}", 304),
        ('"other", {tag}', 304),
        ('W/"a,b" , ,\t{strong}', 304),
        ("*", 304),
        (" * ", 304),
        ("", 200),
        ('"other"', 200),
        ('"other", *', 200),
        ("{bare}", 200),
        ('w/"{bare}"', 200),
        ('"{bare}', 200),
        ('"{bare} "', 200),
        ("W/", 200),
        (",,,", 200),
        ("\xff", 200),
        ('"' + "x" * 8_000 + '"', 200),
        (", " * 4_000, 200),
    ],
)
def test_if_none_match_of_every_kind(sent: str, status: int) -> None:
    pages = StatusPages(Still())
    tag = dict(pages.waves(Heading()).headers)["ETag"]
    named = sent.replace("{tag}", tag).replace("{strong}", tag[2:]).replace("{bare}", tag[3:-1])
    assert pages.waves(Heading(if_none_match=named)).status == status


async def test_any_gateway_knows_the_tags_of_the_others(drop: Drop) -> None:
    async with running_gateway(drop.settings, drop.stores) as other:
        await at_rest(drop, other)
        await drop.claim("one-open", {"offer": "a"})
        for gateway in (drop, other):
            await wait_until(lambda gateway=gateway: gateway.live("one-open").left[1] == 999)  # type: ignore[misc]  # bound
        for path in PAGES:
            page = await drop.call("GET", path)
            tags = {page.headers["ETag"], (await other.call("GET", path)).headers["ETag"]}
            assert len(tags) == 1, path
            assert (await other.call("GET", path, headers={"If-None-Match": tags.pop()})).status == 304


async def test_who_asks_makes_no_difference(drop: Drop) -> None:
    def said(reply: Reply) -> dict[str, Any]:
        return {name: value for name, value in reply.body.items() if not name.startswith("left_")}

    await at_rest(drop)
    for path in PAGES:
        page = await drop.call("GET", path)
        for headers in (
            {"Authorization": drop.token()},
            {"Authorization": "Bearer nonsense"},
            {"Accept-Language": "zh"},
            {"Accept": "text/html"},
            {"Cookie": "session=1"},
            {"Cache-Control": "no-cache"},
        ):
            other = await drop.call("GET", path, headers=headers)
            assert (other.status, other.headers["ETag"], said(other)) == (200, page.headers["ETag"], said(page))
            assert set(other.headers) == set(page.headers)


async def test_problems_differ_by_language_alone(drop: Drop) -> None:
    for path in ("/v1/waves/nowhere", "/nowhere", "/v1/me/claims"):
        assert words((await drop.call("GET", path)).headers["Vary"]) == {"Accept-Language"}
    assert "Accept-Language" in (await drop.call("GET", "/problems/sold-out")).headers["Vary"]


async def test_the_age_is_true_in_a_cache_too(drop: Drop) -> None:
    before_ms = await drop.stores.hot_store.time_ms()
    page = await drop.call("GET", "/v1/waves/one-open")
    after_ms = await drop.stores.hot_store.time_ms()
    made_at_ms = page["left_read_at_ms"] + page["left_age_ms"]
    assert before_ms - 50 <= made_at_ms <= after_ms + 50  # a gateway's estimate of the store's clock
    assert page.headers["Left-Read-At-Ms"] == str(page["left_read_at_ms"])
    first_ms = page["left_read_at_ms"]

    async def seen_again() -> bool:
        same = await drop.call("GET", "/v1/waves/one-open", headers={"If-None-Match": page.headers["ETag"]})
        return same.status == 304 and int(same.headers["Left-Read-At-Ms"]) > first_ms

    await wait_until(seen_again)
    listed = await drop.call("GET", "/v1/waves")
    oldest_ms = min(wave.read_ms for wave in drop.board.waves())
    assert first_ms < listed["left_read_at_ms"] <= oldest_ms
    over = await drop.call("GET", "/v1/waves/past")
    assert (over["left_age_ms"], over["left_read_at_ms"]) == (None, None)
    assert "Left-Read-At-Ms" not in over.headers


async def test_a_tag_changes_with_all_but_the_age(drop: Drop) -> None:
    tags = []

    async def is_new() -> bool:
        tag = (await drop.call("GET", "/v1/waves/many-open")).headers["ETag"]
        if tag not in tags:
            tags.append(tag)
            return True
        return False

    assert await is_new()
    live, store = drop.live("many-open"), drop.stores.hot_store
    await drop.claim("many-open", {"offer": "x"})
    await wait_until(is_new)
    await acts.pause(store, "many", live.wave.no, OPS)
    await wait_until(is_new)
    await acts.resume(store, "many", live.wave.no, OPS)
    await wait_until(lambda: drop.live("many-open").state.state == "live")
    assert (await drop.call("GET", "/v1/waves/many-open")).headers["ETag"] == tags[1]  # as before the pause
    await acts.restock(store, "many", live.wave.no, {1: 101}, OPS)
    await wait_until(is_new)
    await acts.close(store, "many", live.wave.no, OPS, now_ms=drop.board.store_time_ms())
    await wait_until(is_new)
    assert len(tags) == 5


class Still:
    """A board that holds these waves at an instant that the test sets."""

    ready = True

    def __init__(self, *waves: LiveWave) -> None:
        self.now_ms = 1
        self._waves = list(waves)

    def campaigns(self) -> list[Catalogue]:
        return [wave.catalogue for wave in self._waves]

    def campaign(self, campaign: str, /) -> Catalogue | None:
        return next((each for each in self.campaigns() if each.id == campaign), None)

    def waves(self) -> list[LiveWave]:
        return self._waves

    def wave(self, wave: str, /) -> LiveWave | None:
        return next((each for each in self._waves if each.wave.id == wave), None)

    async def find_wave(self, wave: str, /) -> LiveWave | None:
        return self.wave(wave)

    async def find_campaign(self, campaign: str, /) -> LiveCampaign | None:
        catalogue = self.campaign(campaign)
        return None if catalogue is None else LiveCampaign(catalogue, tuple(self._waves))

    async def refresh(self) -> None:
        """Nothing is ever new."""

    def store_time_ms(self) -> int:
        return self.now_ms

    def age_ms(self) -> int:
        return 0


async def test_around_an_opening_and_a_close(drop: Drop) -> None:
    """Whatever was kept, and where: a second after the change it is asked for again."""
    live = drop.live("one-later")
    board = Still(live)
    pages = StatusPages(board)

    async def three(*headings: Heading) -> list[Answer]:
        of_wave, of_waves, of_campaign = headings
        return [
            await pages.wave("one-later", of_wave),
            pages.waves(of_waves),
            await pages.campaign("one", of_campaign),
        ]

    async def at(now_ms: int) -> list[Answer]:
        board.now_ms = now_ms
        answers = await three(Heading(), Heading(), Heading())
        tags = [dict(answer.headers)["ETag"] for answer in answers]
        same = await three(*(Heading(if_none_match=tag) for tag in tags))
        assert [answer.status for answer in same] == [304] * 3
        return answers + same

    async def kept(now_ms: int) -> set[str]:
        return {dict(answer.headers)["Cache-Control"] for answer in await at(now_ms)}

    for change_ms, was, becomes in (
        (live.state.opens_ms, b'"scheduled"', b'"open"'),
        (live.state.closes_ms, b'"open"', b'"closed"'),
    ):
        assert await kept(change_ms - NEAR_MS) == {KEEP}
        assert await kept(change_ms - NEAR_MS + 1) == {KEEP_SHARED}
        assert was in (await at(change_ms - 1))[0].body
        assert await kept(change_ms - 1) == {KEEP_SHARED}
        assert becomes in (await at(change_ms))[0].body
        assert await kept(change_ms + 1) == {KEEP}
        tags = {dict((await at(now_ms))[0].headers)["ETag"] for now_ms in (change_ms - 1, change_ms)}
        assert len(tags) == 2


async def test_what_will_not_change_any_more_is_not_near(drop: Drop) -> None:
    live = drop.live("one-later")
    cancelled = replace(live, state=replace(live.state, state="cancelled"))
    board = Still(cancelled)
    board.now_ms = live.state.opens_ms - 1
    answer = await StatusPages(board).wave("one-later", Heading())
    assert dict(answer.headers)["Cache-Control"] == KEEP


async def test_a_page_that_stands_is_the_page_of_now(drop: Drop, seed: int) -> None:
    """Whatever was shown before: around each instant, back and forth, with other pictures of the wave."""
    live, draw = drop.live("one-later"), random.Random(seed)
    opens_ms, closes_ms = live.state.opens_ms, live.state.closes_ms
    pictures = [
        live,
        replace(live, left={1: 0}),
        replace(live, stopped="a reason"),
        replace(live, read_ms=live.read_ms + 7),
        replace(live, loaded=False),
        *(replace(live, state=replace(live.state, state=flag)) for flag in ("paused", "closed", "cancelled")),
        replace(live, state=replace(live.state, opens_ms=opens_ms + 1_500, closes_ms=closes_ms - 1_500)),
    ]
    instants = [
        change_ms + more_ms
        for change_ms in (opens_ms, opens_ms + 1_500, closes_ms - 1_500, closes_ms)
        for more_ms in (-NEAR_MS - 1, -NEAR_MS, 1 - NEAR_MS, -1, 0, 1, 2)
    ]
    board = Still(live)
    pages = StatusPages(board)
    for _ in range(3_000):
        board._waves[0] = draw.choice(pictures) if draw.random() < 0.2 else board._waves[0]
        board.now_ms = draw.choice(instants) if draw.random() < 0.7 else board.now_ms + draw.randrange(100)
        heading = Heading(if_none_match=draw.choice(["", "*"]), accept_language="zh")
        shown, fresh = (of.page_of(board._waves[0], heading) for of in (pages, StatusPages(board)))
        assert shown.status == fresh.status
        if shown.status < 400:  # a refusal has a pause of its own
            assert shown == fresh, (board.now_ms - opens_ms, board._waves[0])


async def test_pages_that_stand_are_bounded(drop: Drop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.gateway.status_pages.CACHED_MAX", 2)
    lives = [drop.live(wave) for wave in ("one-open", "one-later", "many-open", "people-open")]
    pages = StatusPages(Still(*lives))
    assert {pages.page_of(live, Heading()).status for live in lives * 2} == {200}
    assert len(pages._standing) <= 2
