"""Money in words: minor units as people write the amount."""

from typing import Final

from engine.gateway.answer import Words

_NO_DECIMALS: Final = frozenset(
    [
        "BIF",
        "CLP",
        "DJF",
        "GNF",
        "ISK",
        "JPY",
        "KMF",
        "KRW",
        "PYG",
        "RWF",
        "UGX",
        "UYI",
        "VND",
        "VUV",
        "XAF",
        "XOF",
        "XPF",
    ]
)
_THREE_DECIMALS: Final = frozenset(["BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"])
"""Currencies that do not have a hundred minor units (ISO 4217, list one)."""


def money(amount: int, currency: str) -> Words:
    """`CNY 12.50` and `12.50 元`; a whole amount without its noughts."""
    digits = 0 if currency in _NO_DECIMALS else 3 if currency in _THREE_DECIMALS else 2
    whole, part = divmod(amount, 10**digits)
    text = f"{whole}.{part:0{digits}d}" if part else str(whole)
    return Words(f"{currency} {text}", f"{text} 元" if currency == "CNY" else f"{text} {currency}")
