"""What a user's client asks over HTTP."""

import json
import time
from typing import Any, Final

from locust.contrib.fasthttp import FastHttpSession, ResponseContextManager

from loadtests.swarm.answers import EXPECTED, NEW, REPEATED, Told, read_claim, read_claim_answer
from loadtests.swarm.book import Asking, Standing
from loadtests.swarm.crowd import Crowd
from loadtests.swarm.line import Line, flaw, read

_FINE: Final = EXPECTED | {NEW, REPEATED, "ok"}
"""What is no failure of the run; contradictions are found by the book."""


class Phone:
    """One user's connections, and what the client keeps: the page of the wave, and how far its clock is off."""

    def __init__(self, client: FastHttpSession, crowd: Crowd) -> None:
        self.page: dict[str, Any] = {}
        self._line = Line(client, crowd)
        self._crowd = crowd
        self._wave = f"/v1/waves/{crowd.stage.wave}"
        self._etag = ""
        self._clock_off_s = 0.0

    def now_s(self) -> float:
        """Unix seconds by the clock that decides, as `set_clock` found it."""
        return time.time() + self._clock_off_s

    def set_clock(self) -> None:
        """Ask for the time."""
        sent_s = time.time()

        def hear(response: ResponseContextManager) -> tuple[str, str]:
            told, members = read(response)
            if told.code == "ok":
                self._clock_off_s = members["server_time_ms"] / 1000 - (sent_s + time.time()) / 2
            return told.code, flaw(told, response, _FINE)

        self._line.ask("time", "GET", "/v1/time", hear)

    def look(self) -> None:
        """At the page of the wave, as a client that keeps it asks."""

        def hear(response: ResponseContextManager) -> tuple[str, str]:
            told, members = read(response)
            if response.status_code == 200 and response.headers is not None:
                self.page, self._etag = members, str(response.headers.get("etag", ""))
            return "not changed" if response.status_code == 304 else told.code, flaw(told, response, _FINE)

        self._line.ask("page", "GET", self._wave, hear, {"If-None-Match": self._etag} if self._etag else {})

    def get_ticket(self, token: str) -> tuple[str, Told]:
        """A ticket for the wave; empty where the answer is another one."""
        tickets: list[str] = []

        def hear(response: ResponseContextManager) -> tuple[str, str]:
            told, members = read(response)
            tickets.append(members["ticket"] if told.code == "ok" else "")
            answers.append(told)
            return told.code, flaw(told, response, _FINE)

        answers: list[Told] = []
        self._line.ask("ticket", "POST", f"{self._wave}/tickets", hear, {"Authorization": f"Bearer {token}"})
        return tickets[0], answers[0]

    def claim(self, asking: Asking, authorization: str) -> Told:
        """Ask for a claim; the book hears the answer."""
        answers: list[Told] = []

        def hear(response: ResponseContextManager) -> tuple[str, str]:
            told = read_claim_answer(response.status_code, response.content)
            answers.append(told)
            return told.code, self._crowd.book.hear(asking, told) or flaw(told, response, _FINE)

        offers: dict[str, Any] = {"offers": asking.offers} if len(asking.offers) > 1 else {"offer": asking.offers[0]}
        headers = {"Authorization": authorization, "Content-Type": "application/json"}
        self._line.ask("claim", "POST", f"{self._wave}/claims", hear, headers, json.dumps(offers))
        return answers[0]

    def see_own_claims(self, standing: Standing, token: str) -> None:
        """Look at what one has claimed; the book compares."""

        def hear(response: ResponseContextManager) -> tuple[str, str]:
            told, members = read(response)
            if told.code != "ok":
                return told.code, flaw(told, response, _FINE)
            return told.code, self._crowd.book.see_own_claims(
                standing, [read_claim(each) for each in members["claims"]]
            )

        self._line.ask("own claims", "GET", f"{self._wave}/claims", hear, {"Authorization": f"Bearer {token}"})
