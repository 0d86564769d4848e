"""Tickets: what a login and a look at the rules ended in, so that a claim costs one MAC check.

    1 Xk3v aHViZWktMjAyMQlodWJlaS0yMDIxLXIxLWIxCXUxCQlhCQkxNjMxODgw…  4f0Zr…
    │ │    └ base64url of the fields, separated by tabs                └ 22 characters: MAC over all before it
    │ └ id of the key: four characters of its hash
    └ format

The MAC is keyed BLAKE2b of 128 bits over the text as it is sent, and the text of the MAC is compared,
not what it decodes to: there is exactly one spelling of a ticket. Fields are looked at only after the
MAC was found right. Identities contain no control characters, so tabs separate.

A ticket has no end of its own. It goes out of use when its key does, or when ops void all tickets
issued before a moment; after the close it is still good to ask what one has claimed.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence
from enum import Enum

from engine.domain.campaign import ClaimantKind
from engine.frozen import Frozen

_FORMAT = "1"
_KEY_ID_LENGTH = 4
_MAC_BYTES = 16
_MAC_LENGTH = 22  # base64url of 16 bytes without its padding
_TABS = 6
"""Between seven fields."""
_HEAD_LENGTH = len(_FORMAT) + _KEY_ID_LENGTH
KEY_BYTES = 32

TICKET_LENGTH_MAX = 4_096
"""No honest ticket comes near (identities have at most 128 characters); longer ones are not even hashed."""


class Ticket(Frozen):
    """The right to ask for a claim in one wave. `broken_rule` is empty where the bearer is eligible.

    `by` is what limits counted when it was issued: a ticket from before a change of that counts the
    wrong claimant.
    """

    campaign: str
    wave: str
    account: str
    claimant: str
    by: ClaimantKind
    broken_rule: str
    issued_ms: int


class TicketFault(Enum):
    """Why a text is not a ticket that can be used."""

    FORGED = "forged"
    """Not made here, cut, or altered."""
    KEY_GONE = "key_gone"
    """Names a key that is not, or no longer, one of ours."""


class TicketBook:
    """Makes and reads tickets. The first key makes, every key reads: two while they rotate."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        """Keys of 32 bytes, the newest first. Raises ValueError where there is none or one is short."""
        if not keys or any(len(key) != KEY_BYTES for key in keys):
            raise ValueError(f"tickets need one or more keys of {KEY_BYTES} bytes")
        # A keyed hash that has read nothing yet: a copy of it takes half as long as a new one.
        self._keyed = {_key_id(key): hashlib.blake2b(key=key, digest_size=_MAC_BYTES) for key in reversed(keys)}
        self._head = _FORMAT + _key_id(keys[0])

    def mint(self, ticket: Ticket) -> str:
        """The text of a ticket: letters, digits, `-` and `_`. Raises ValueError where a field holds a tab."""
        claimant = "" if ticket.claimant == ticket.account else ticket.claimant
        fields = (
            f"{ticket.campaign}\t{ticket.wave}\t{ticket.account}\t{claimant}\t{ticket.by}\t{ticket.broken_rule}"
            f"\t{ticket.issued_ms}"
        )
        if fields.count("\t") != _TABS:
            raise ValueError("a field of a ticket cannot hold a tab")
        encoded = binascii.b2a_base64(fields.encode(), newline=False).rstrip(b"=").translate(_TO_URL)
        text = self._head.encode() + encoded
        return (text + _mac(self._keyed[self._head[1:]], text)).decode()

    def read(self, text: str) -> Ticket | TicketFault:
        """The ticket behind this text, or why there is none. Never raises, whatever the text."""
        if not _HEAD_LENGTH + _MAC_LENGTH < len(text) <= TICKET_LENGTH_MAX or not text.isascii() or text[0] != _FORMAT:
            return TicketFault.FORGED
        keyed = self._keyed.get(text[1:_HEAD_LENGTH])
        if keyed is None:
            return TicketFault.KEY_GONE
        sent = text.encode()
        if not hmac.compare_digest(_mac(keyed, sent[:-_MAC_LENGTH]), sent[-_MAC_LENGTH:]):
            return TicketFault.FORGED
        return _fields(sent[_HEAD_LENGTH:-_MAC_LENGTH])


def _key_id(key: bytes) -> str:
    """Four characters that tell keys apart and tell nothing about them."""
    digest = hashlib.blake2b(key, digest_size=3, person=b"ticket key id").digest()
    return base64.urlsafe_b64encode(digest).decode()


def _mac(keyed: "hashlib.blake2b", text: bytes) -> bytes:
    """The MAC as it is sent, by this hash that has read its key and nothing else."""
    mac = keyed.copy()
    mac.update(text)
    return binascii.b2a_base64(mac.digest()).translate(_TO_URL)[:_MAC_LENGTH]  # without its padding, and newline


_TO_URL = bytes.maketrans(b"+/", b"-_")
_FROM_URL = bytes.maketrans(b"-_", b"+/")


def _fields(encoded: bytes) -> Ticket | TicketFault:
    """The fields of a ticket whose MAC was right; a format of ours that we cannot read is as good as forged."""
    try:
        text = binascii.a2b_base64(encoded.translate(_FROM_URL) + b"==").decode()  # more padding than needed is no harm
        campaign, wave, account, claimant, by, broken_rule, issued = text.split("\t")
        return Ticket(campaign, wave, account, claimant or account, _KINDS[by], broken_rule, int(issued))
    except (ValueError, KeyError):
        return TicketFault.FORGED


_KINDS: dict[str, ClaimantKind] = {"account": "account", "person": "person"}
