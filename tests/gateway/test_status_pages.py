"""Status pages: what they say, how they are cached; time, health, metrics, problem pages."""

from datetime import datetime

from engine.scheduling import acts
from tests.gateway.drop import OPS, Drop
from tests.support.waiting import wait_until

KEEP = "public, max-age=1, must-revalidate"


async def test_a_wave_page_says_how_things_stand(drop: Drop) -> None:
    await drop.claim("one-open", {"offer": "rare"})
    await wait_until(lambda: drop.live("one-open").left[3] == 0)
    page = await drop.call("GET", "/v1/waves/one-open")
    assert (page.status, page.headers["Cache-Control"]) == (200, KEEP)
    assert (page["id"], page["campaign"], page["state"]) == ("one-open", "one", "open")
    assert datetime.fromisoformat(page["opens_at"]).timestamp() * 1000 == drop.live("one-open").state.opens_ms
    assert {offer["id"]: (offer["stock"], offer["left"]) for offer in page["offers"]} == {
        "a": (1000, 1000),
        "b": (1000, 1000),
        "rare": (1, 0),
    }
    assert datetime.fromisoformat(page["offers"][2]["sold_out_at"]) <= datetime.now().astimezone()
    assert 0 <= page["left_age_ms"] < 5_000


async def test_states_of_waves(drop: Drop) -> None:
    async def state(wave: str) -> str:
        return str((await drop.call("GET", f"/v1/waves/{wave}"))["state"])

    assert [await state(wave) for wave in ("one-later", "one-open", "one-over")] == ["scheduled", "open", "closed"]
    live = drop.live("one-open")
    await acts.pause(drop.stores.hot_store, "one", live.wave.no, OPS)
    await wait_until(lambda: drop.live("one-open").state.state == "paused")
    page = await drop.call("GET", "/v1/waves/one-open")
    assert (page["state"], page["reason"]) == ("paused", OPS.reason)
    for number in range(9):
        await drop.claim("people-open", {"offer": "x"}, drop.token(f"u{number}", person=f"p{number}"))
    await wait_until(lambda: drop.live("people-open").left[1] == 0)
    assert await state("people-open") == "sold_out"


async def test_pages_have_tags_and_304(drop: Drop) -> None:
    await wait_until(lambda: drop.live("one-over").state.closed_ms)  # the steward closes what was over already
    for path in ("/v1/waves/one-open", "/v1/waves", "/v1/campaigns/one"):
        page = await drop.call("GET", path)
        tag = page.headers["ETag"]
        assert tag.startswith('W/"')
        for sent in (tag, f'"x", {tag}', tag.removeprefix("W/"), "*"):
            same = await drop.call("GET", path, headers={"If-None-Match": sent})
            assert (same.status, same.body, same.headers["ETag"]) == (304, b"", tag), sent
            assert same.headers["Cache-Control"] == KEEP
            assert "Content-Type" not in same.headers
        head = await drop.call("HEAD", path, headers={"If-None-Match": '"other"'})
        assert (head.status, head.headers["ETag"]) == (200, tag)
    page = await drop.call("GET", "/v1/waves/many-open")
    await drop.claim("many-open", {"offer": "x"})
    await wait_until(lambda: drop.live("many-open").left[1] == 99)
    changed = await drop.call("GET", "/v1/waves/many-open", headers={"If-None-Match": page.headers["ETag"]})
    assert (changed.status, changed["offers"][0]["left"]) == (200, 99)


async def test_the_list_and_the_campaign(drop: Drop) -> None:
    listed = await drop.call("GET", "/v1/waves")
    assert {wave["id"] for wave in listed["waves"]} == {
        *("one-open", "one-later", "one-over", "many-open", "people-open", "capped-open")
    }
    assert [wave["opens_at"] for wave in listed["waves"]] == sorted(wave["opens_at"] for wave in listed["waves"])
    page = await drop.call("GET", "/v1/campaigns/one")
    assert (page["title"], page["timezone"], page["by"], page["limits"]) == (
        *("一张", "Asia/Shanghai", "account"),
        [{"max": 1, "per": "campaign"}],
    )
    assert page["eligibility"] == {
        "cities": ["武汉", ""],
        "tags": {"any": [], "all": [], "none": ["staff"]},
        "listed_only": False,
    }
    assert "barred" not in str(page.body)  # lists of accounts are nobody's business
    first = page["offers"][0]
    assert (first["id"], first["kind"], first["min_spend"], first["validity"]) == (
        "a",
        "threshold",
        3000,
        {"natural_days": 7},
    )
    assert first["terms"] == {"version": 1, "hash": drop.live("one-open").catalogue.offers[0].current.hash}
    assert [wave["id"] for wave in page["waves"]] == ["one-open", "one-later", "one-over"]
    percent = (await drop.call("GET", "/v1/campaigns/many"))["offers"][1]
    assert (percent["percent_off"], percent["max_discount"], "face" in percent) == (20, 1500, False)


async def test_unknown_pages(drop: Drop) -> None:
    for path, code in (
        ("/v1/waves/nowhere", "unknown_wave"),
        ("/v1/waves/" + "w" * 200, "unknown_wave"),
        ("/v1/waves/%00", "unknown_wave"),
        ("/v1/waves/%ff", "unknown_wave"),
        ("/v1/waves/%ED%A0%80", "unknown_wave"),
        ("/v1/campaigns/nowhere", "not_found"),
        ("/problems/nowhere", "not_found"),
    ):
        reply = await drop.call("GET", path)
        assert (reply.status, reply["code"]) == (404, code), path


async def test_time_health_readiness_metrics(drop: Drop) -> None:
    time = await drop.call("GET", "/v1/time")
    assert abs(time["server_time_ms"] - await drop.stores.hot_store.time_ms()) < 1_000
    assert time.headers["Cache-Control"] == "no-store"
    assert (await drop.call("GET", "/healthz"))["status"] == "ok"
    assert (await drop.call("GET", "/readyz"))["status"] == "ready"
    await drop.claim("one-open", {"offer": "a"})
    metrics = await drop.call("GET", "/metrics")
    assert metrics.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    text = metrics.body.decode()
    assert 'dropwave_answers_total{endpoint="claim",outcome="claimed"}' in text
    for step in ("authenticate", "read", "decide", "render", "queue", "script"):
        assert f'dropwave_claim_step_seconds_count{{step="{step}"}}' in text


async def test_problem_pages_for_programs_and_people(drop: Drop) -> None:
    page = await drop.call("GET", "/problems/sold-out", headers={"Accept-Language": "zh-CN"})
    assert (page.status, page["code"], page["title"], page["final"]) == (200, "sold_out", "已领完", True)
    assert page["explanation"]
    people = await drop.call("GET", "/problems/sold-out", headers={"Accept": "text/html,*/*"})
    assert people.headers["Content-Type"].startswith("text/html")
    assert "default-src 'none'" in people.headers["Content-Security-Policy"]
    assert "<h1>Sold out</h1>" in people.body.decode()
