"""Claims over HTTP: granted, asked for again, listed, and as their terms promised them."""

from datetime import datetime

from engine.domain.codes import claim_id, is_code
from engine.scheduling import acts
from tests.gateway.drop import OPS, Drop


async def test_a_claim_is_granted_and_comes_back_when_asked_again(drop: Drop) -> None:
    first = await drop.claim("one-open", {"offer": "a"})
    again = await drop.claim("one-open", {"offer": "a", "unknown": [1]})
    assert (first.status, again.status) == (201, 200)
    assert first.body == again.body
    assert "Idempotent-Replayed" not in first.headers
    assert again.headers["Idempotent-Replayed"] == "true"
    assert first.headers["Cache-Control"] == "no-store"
    assert first.headers["Server"] == "dropwave"
    assert (first["status"], first["ack"]) == ("claimed", "logged")


async def test_the_claim_object_is_whole(drop: Drop) -> None:
    claim = (await drop.claim("one-open", {"offers": ["b", "a"]}))["claim"]
    assert set(claim) == {
        "id",
        "campaign",
        "wave",
        "offer",
        "title",
        "face",
        "terms",
        "sequence",
        "claimed_at",
        "vouchers",
    }
    assert (claim["campaign"], claim["wave"], claim["offer"]) == ("one", "one-open", "b")
    assert (claim["title"], claim["face"]) == ("券 5% off", 1000)
    terms = drop.live("one-open").catalogue.offers[1].current
    assert claim["terms"] == {"version": 1, "hash": terms.hash}
    (voucher,) = claim["vouchers"]
    assert is_code(voucher["code"])
    assert claim["id"] == claim_id(voucher["code"])
    assert voucher["valid_from"] == claim["claimed_at"]
    claimed_at = datetime.fromisoformat(claim["claimed_at"])
    assert len(claim["claimed_at"]) == len("2021-09-17T20:00:00.125+08:00")
    assert claim["claimed_at"].endswith("+08:00")
    assert abs(claimed_at.timestamp() * 1000 - drop.board.store_time_ms()) < 5_000
    expires_at = datetime.fromisoformat(voucher["expires_at"])  # seven natural days from the day of the wave
    day = datetime.fromisoformat(drop.live("one-open").wave.day)
    assert (expires_at.replace(tzinfo=None) - day).days == 7
    assert voucher["expires_at"].endswith("T00:00:00.000+08:00")


async def test_days_after_the_claim_are_counted_from_each_claim(drop: Drop) -> None:
    claim = (await drop.claim("many-open", {"offer": "y"}))["claim"]
    assert (claim["title"], claim["face"]) == ("八折", None)
    claimed_at, expires_at = (
        datetime.fromisoformat(claim["vouchers"][0][name]) for name in ("valid_from", "expires_at")
    )
    assert (expires_at - claimed_at).total_seconds() == 14 * 24 * 3600


async def test_request_numbers_tell_a_second_claim_from_a_retry(drop: Drop) -> None:
    replies = [await drop.claim("many-open", {"offer": "x", "request_no": number}) for number in (1, 2, 3, 2)]
    assert [reply.status for reply in replies] == [201, 201, 201, 200]
    assert replies[1]["claim"] == replies[3]["claim"]
    assert len({reply["claim"]["id"] for reply in replies}) == 3


async def test_a_ticket_claims_like_the_token_it_came_from(drop: Drop) -> None:
    issued = await drop.call("POST", "/v1/waves/one-open/tickets", drop.token("u7"))
    ticket = f"Ticket {issued['ticket']}"
    first = await drop.claim("one-open", {"offer": "a"}, ticket)
    by_token = await drop.claim("one-open", {"offer": "a"}, drop.token("u7"))
    assert (first.status, by_token.status) == (201, 200)
    listed = await drop.call("GET", "/v1/waves/one-open/claims", ticket)
    assert listed["claims"] == [first["claim"]]


async def test_what_a_caller_holds_is_listed_and_nobody_elses(drop: Drop) -> None:
    mine = [await drop.claim("one-open", {"offer": "a"}), await drop.claim("many-open", {"offer": "x"})]
    await drop.claim("one-open", {"offer": "a"}, drop.token("u2"))
    in_wave = await drop.call("GET", "/v1/waves/one-open/claims", drop.token())
    everywhere = await drop.call("GET", "/v1/me/claims", drop.token())
    vouchers = await drop.call("GET", "/v1/me/vouchers", drop.token())
    assert in_wave["claims"] == [mine[0]["claim"]]
    assert everywhere["claims"] == [mine[1]["claim"], mine[0]["claim"]]  # newest first
    newest = mine[1]["claim"]
    expected = newest["vouchers"][0] | {
        "claim": newest["id"],
        **{name: newest[name] for name in ("campaign", "wave", "offer", "title", "face", "terms")},
        "state": "pending",
        "min_spend": 3000,
        "store_count": 1,
        "settled": False,
    }
    card = vouchers["vouchers"][0]
    assert {name: card[name] for name in expected} == expected
    one = await drop.call("GET", f"/v1/me/vouchers/{newest['vouchers'][0]['code'].lower()}", drop.token())
    assert (one.status, one.body) == (200, card | {"stores": [{"id": "s1", "title": "店", "city": "武汉"}]})
    for code, told in ((newest["vouchers"][0]["code"], "unknown_code"), ("HB7K", "mistyped_code")):
        other = await drop.call("GET", f"/v1/me/vouchers/{code}", drop.token("u2"))
        assert other["code"] == told
    assert len(vouchers["vouchers"]) == 2
    nobody = await drop.call("GET", "/v1/me/claims", drop.token("u3"))
    assert (nobody.status, nobody["claims"]) == (200, [])


async def test_a_winner_gets_the_claim_during_a_pause_and_after_the_close(drop: Drop) -> None:
    won = await drop.claim("one-open", {"offer": "a"})
    store, live = drop.stores.hot_store, drop.live("one-open")
    await acts.pause(store, "one", live.wave.no, OPS)
    paused = (
        await drop.claim("one-open", {"offer": "a"}),
        await drop.claim("one-open", {"offer": "a"}, drop.token("u2")),
    )
    await acts.close(store, "one", live.wave.no, OPS, now_ms=await store.time_ms())
    closed = (
        await drop.claim("one-open", {"offer": "a"}),
        await drop.claim("one-open", {"offer": "a"}, drop.token("u2")),
    )
    assert [reply.status for reply in paused + closed] == [200, 503, 200, 410]
    assert paused[0]["claim"] == closed[0]["claim"] == won["claim"]
    assert (paused[1]["code"], paused[1]["reason"]) == ("paused", OPS.reason)
    assert closed[1]["code"] == "closed"


async def test_a_winner_who_is_no_longer_eligible_keeps_the_claim(drop: Drop) -> None:
    won = await drop.claim("one-open", {"offer": "a"})
    moved_away = drop.token(city="宜昌")
    again, other = (
        await drop.claim("one-open", {"offer": "a"}, moved_away),
        await drop.claim("one-open", {"offer": "b"}, moved_away),
    )
    assert (again.status, again["claim"]) == (200, won["claim"])
    assert (other.status, other["code"], other["rule"]) == (403, "not_eligible", "city")
