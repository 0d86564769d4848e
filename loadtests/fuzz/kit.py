"""What the generators are lent: a wave that is open, and whatever lets somebody in."""

from collections.abc import Callable
from typing import Final
from urllib.parse import unquote_to_bytes

TOKENS_KEPT: Final = 512
"""Of each kind: signing one takes longer than all the rest of a case."""


class Kit:
    """Requests of honest users, to be spoilt.

    `mint_ticket` makes a ticket of an account for the wave, `mint_token` a token of a subject, a scope and a role.
    """

    def __init__(
        self,
        campaign: str,
        wave: str,
        offer: str,
        users: str,
        mint_ticket: Callable[[str], str],
        mint_token: Callable[[str, str, str], str],
    ) -> None:
        self.campaign = campaign.encode()
        self.wave = wave.encode()
        self.offer = offer.encode()
        self.claims = b"/v1/waves/%b/claims" % self.wave
        self.body = b'{"offer":"%b"}' % self.offer
        self._users = users
        self._mint_ticket = mint_ticket
        self._mint_token = mint_token
        self._tokens: dict[tuple[int, str, str], bytes] = {}

    def ticket(self, user: object) -> bytes:
        """The ticket of a user that nobody else is."""
        return self._mint_ticket(f"{self._users}{user}").encode()

    def token(self, number: int, scope: str = "claim", role: str = "") -> bytes:
        """A token of one of some hundred users."""
        key = number % TOKENS_KEPT, scope, role
        if key not in self._tokens:
            self._tokens[key] = self._mint_token(f"{self._users}t{key[0]}", scope, role).encode()
        return self._tokens[key]

    def claim(
        self,
        user: object,
        request_id: bytes,
        *,
        line: bytes = b"",
        extra: bytes = b"",
        body: bytes | None = None,
        framing: bytes | None = None,
        host: bytes = b"Host: fuzz\r\n",
    ) -> bytes:
        """A claim of that user. `extra` are more header lines; `framing` stands in place of Content-Length."""
        body = self.body if body is None else body
        return (
            b"%b\r\n%bAuthorization: Ticket %b\r\nX-Request-Id: %b\r\nContent-Type: application/json\r\n%b%b\r\n%b"
            % (
                line or b"POST %b HTTP/1.1" % self.claims,
                host,
                self.ticket(user),
                request_id,
                extra,
                b"Content-Length: %d\r\n" % len(body) if framing is None else framing,
                body,
            )
        )

    def request(self, method: bytes, target: bytes, request_id: bytes, extra: bytes = b"", body: bytes = b"") -> bytes:
        """Any well-framed request."""
        length = b"Content-Length: %d\r\n" % len(body) if body else b""
        head = b"%b %b HTTP/1.1\r\nHost: fuzz\r\nX-Request-Id: %b\r\n%b%b\r\n"
        return head % (method, target, request_id, extra, length) + body

    def is_claims(self, target: bytes) -> bool:
        """Whether a claim sent there is one in the wave."""
        _, is_absolute, rest = target.partition(b"://")
        path = b"/" + rest.partition(b"/")[2] if is_absolute else target
        return unquote_to_bytes(path.partition(b"?")[0]) == self.claims
