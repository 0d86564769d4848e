"""Requests as bytes, put together before they are needed."""

import msgspec


class Requests:
    """Spells the requests to one wave."""

    def __init__(self, host: str, wave: str) -> None:
        self._host = host.encode()
        self.wave = wave

    def claim(self, authorization: str, offers: tuple[str, ...], request_no: int = 1) -> bytes:
        """A claim; one offer is named alone, several as a list."""
        body: dict[str, object] = {"offer": offers[0]} if len(offers) == 1 else {"offers": offers}
        if request_no != 1:
            body["request_no"] = request_no
        return self.claim_with_body(authorization, msgspec.json.encode(body))

    def claim_with_body(self, authorization: str, body: bytes, wave: str = "") -> bytes:
        """A claim with that body, sense or nonsense."""
        return self._head("POST", f"/v1/waves/{wave or self.wave}/claims", authorization) + (
            b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
        )

    def ticket(self, authorization: str) -> bytes:
        """The wish for a ticket."""
        return self._head("POST", f"/v1/waves/{self.wave}/tickets", authorization) + b"Content-Length: 0\r\n\r\n"

    def look(self, authorization: str) -> bytes:
        """What the caller has in the wave."""
        return self._head("GET", f"/v1/waves/{self.wave}/claims", authorization) + b"\r\n"

    def _head(self, method: str, path: str, authorization: str) -> bytes:
        return b"%b %b HTTP/1.1\r\nHost: %b\r\nAuthorization: %b\r\n" % (
            method.encode(),
            path.encode(),
            self._host,
            authorization.encode(),
        )
