"""Tickets as texts: who can make one, what a changed one is worth, keys that rotate."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.domain.tickets import Ticket, TicketBook, TicketFault

OLD, NEW, OTHER = b"o" * 32, b"n" * 32, b"x" * 32
TICKET = Ticket("hubei-2021", "hubei-2021-r1-b1", "u1", "u1", "account", "", 1_631_880_000_000)

identities = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="".join(map(chr, range(32)))), min_size=1, max_size=128
)


@given(account=identities, claimant=identities, issued_ms=st.integers(0, 2**45))
def test_what_was_minted_is_read_back(account: str, claimant: str, issued_ms: int) -> None:
    ticket = Ticket("c", "w", account, claimant, "person", "city", issued_ms)
    text = TicketBook([NEW]).mint(ticket)
    assert TicketBook([NEW]).read(text) == ticket
    assert text.isascii()
    assert " " not in text


def test_both_keys_are_read_while_they_rotate_and_the_old_one_goes() -> None:
    old = TicketBook([OLD]).mint(TICKET)
    assert TicketBook([NEW, OLD]).read(old) == TICKET
    assert TicketBook([NEW]).read(old) is TicketFault.KEY_GONE
    assert TicketBook([OLD]).read(TicketBook([NEW, OLD]).mint(TICKET)) is TicketFault.KEY_GONE


def test_no_changed_ticket_is_read(seed: int) -> None:
    text = TicketBook([NEW]).mint(TICKET)
    book, draw = TicketBook([NEW]), random.Random(seed)
    changed = [text[:cut] for cut in range(len(text))]
    for place in range(len(text)):
        for replacement in draw.sample("abcXYZ019-_=.~ é", 6):
            changed.append(text[:place] + replacement + text[place + 1 :])
    changed += [text + "A", text + "=", " " + text, text.swapcase(), text * 2, TicketBook([OTHER]).mint(TICKET)]
    for forged in changed:
        if forged != text:
            assert isinstance(book.read(forged), TicketFault), forged


@given(st.text(max_size=300))
def test_no_text_makes_reading_fail(text: str) -> None:
    assert isinstance(TicketBook([NEW]).read(text), TicketFault)
    assert isinstance(TicketBook([NEW]).read("1" + text), TicketFault)


def test_a_mac_by_another_key_under_our_key_id_is_forged() -> None:
    ours, theirs = TicketBook([NEW]).mint(TICKET), TicketBook([OTHER]).mint(TICKET)
    assert TicketBook([NEW]).read(ours[:5] + theirs[5:]) is TicketFault.FORGED


def test_a_field_with_a_tab_and_a_short_key_are_refused() -> None:
    with pytest.raises(ValueError, match="tab"):
        TicketBook([NEW]).mint(Ticket("c", "w", "a\tb", "a", "account", "", 0))
    with pytest.raises(ValueError, match="32 bytes"):
        TicketBook([b"short"])
    with pytest.raises(ValueError, match="one or more"):
        TicketBook([])
