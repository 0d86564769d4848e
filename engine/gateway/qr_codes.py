"""Voucher codes as QR codes, for scanners in shops.

A code is 16 characters of the alphanumeric mode: with the error correction Q, which reads with a quarter of the picture
spoilt (a cracked screen, a fingerprint), it fits into the smallest symbol, 21 modules a side (ISO/IEC 18004, table 7).
"""

import io
from typing import Final

import segno

VERSION: Final = 1
ERROR_CORRECTION: Final = "Q"
QUIET_ZONE: Final = 4
"""Modules that stay white around the symbol (ISO/IEC 18004, 6.3.8)."""
MASK: Final = 0
"""Every mask is valid, and the symbol names its own. To try out all eight for the most even picture would take four
times the CPU (3.3 ms), for each winner who looks at a code; the chessboard is even enough for random characters."""
SVG_BYTES_MAX: Final = 2_048
"""One is some 0.9 kB; a test holds every one that it makes against this."""


def qr_svg(code: str) -> bytes:
    """The code as a picture of its own, black on white; it scales to whatever place it gets. Some 0.6 ms of CPU."""
    symbol = segno.make_qr(code, version=VERSION, error=ERROR_CORRECTION, mask=MASK, boost_error=False)
    out = io.BytesIO()
    symbol.save(
        out, kind="svg", border=QUIET_ZONE, light="#fff", omitsize=True, svgclass=None, lineclass=None, nl=False
    )
    return out.getvalue()
