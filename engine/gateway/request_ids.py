"""The name of a request, by which an answer, a log line and a trace are brought together.

A client's own name for it is taken where it is short and plain, so that one name leads through all of its systems.
"""

import itertools
import re
import secrets
from typing import Final

_PLAIN: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
"""What may come back in a header and stand in a log: nothing that either could take for its own signs."""
_PROCESS: Final = secrets.token_hex(6)
_next: Final = itertools.count(1).__next__


def request_id_of(sent: str) -> str:
    """The client's `X-Request-Id` where it is plain, else a new name: unique, and not worth guessing."""
    return sent if sent and _PLAIN.fullmatch(sent) else f"{_PROCESS}-{_next()}"
