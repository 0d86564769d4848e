"""No token and no ticket that was changed anywhere is taken; hypothesis looks for the change."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.domain.tickets import Ticket, TicketBook, TicketFault
from engine.gateway.identity.tokens import TokenReader
from tests.gateway.identity.issuers import ALGORITHMS, CLAIMS, code_of, reader_of, token_of

BOOK = TicketBook([b"k" * 32, b"p" * 32])
TICKETS = [
    book.mint(Ticket("one", "one-open", "u1", claimant, "person", rule, 1_800_000_000_000))
    for book in (BOOK, TicketBook([b"p" * 32]))
    for claimant, rule in (("u1", ""), ("p1", "city"))
]
URL_CHARACTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.= "


@pytest.fixture(scope="module")
def reader() -> TokenReader:
    return reader_of()


@st.composite
def changed(draw: st.DrawFn, text: str) -> str:
    """Some characters replaced, put in, taken out or swapped; never the text itself."""
    result = text
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.integers(0, len(result)))
        length = draw(st.integers(0, 3))
        put = draw(st.text(st.sampled_from(URL_CHARACTERS) | st.characters(), max_size=3))
        result = result[:place] + put + result[place + length :]
    return result if result != text else result + draw(st.sampled_from(URL_CHARACTERS))


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_no_changed_token_is_taken(reader: TokenReader, algorithm: str) -> None:
    token = token_of(CLAIMS | {"city": "武汉"}, by=algorithm)
    assert code_of(reader.read(token)) == ""

    @settings(max_examples=80)
    @given(changed(token))
    def attempt(text: str) -> None:
        assert code_of(reader.read(text)) == "unauthenticated"

    attempt()


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_no_token_with_one_other_character_is_taken(reader: TokenReader, algorithm: str) -> None:
    token = token_of(by=algorithm)
    for place, character in enumerate(token):
        other = URL_CHARACTERS[(URL_CHARACTERS.index(character) + 1 + place % 60) % len(URL_CHARACTERS)]
        assert code_of(reader.read(token[:place] + other + token[place + 1 :])) == "unauthenticated", place
        assert code_of(reader.read(token[:place])) == "unauthenticated", place


@settings(max_examples=200)
@given(st.sampled_from(TICKETS).flatmap(changed))
def test_no_changed_ticket_is_taken(text: str) -> None:
    assert isinstance(BOOK.read(text), TicketFault)


def test_no_ticket_with_one_other_character_is_taken() -> None:
    for ticket in TICKETS:
        assert isinstance(BOOK.read(ticket), Ticket)
        for place, character in enumerate(ticket):
            for other in URL_CHARACTERS:
                if other != character:
                    assert isinstance(BOOK.read(ticket[:place] + other + ticket[place + 1 :]), TicketFault)
            assert isinstance(BOOK.read(ticket[:place]), TicketFault)
            assert isinstance(BOOK.read(ticket[place + 1 :]), TicketFault)


@given(st.text(max_size=200), st.text(max_size=200), st.text(max_size=200))
def test_no_three_texts_make_reading_fail(header: str, claims: str, signature: str) -> None:
    assert code_of(reader_of().read(f"{header}.{claims}.{signature}")) == "unauthenticated"
    assert code_of(reader_of().read(token_of(claims.encode(errors="replace")))) == "unauthenticated"
    assert code_of(reader_of().read(token_of(header=header.encode(errors="replace")))) == "unauthenticated"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(
    st.sampled_from(["sub", "exp", "nbf", "iat", "iss", "aud", "scope", "role", "city", "tags", "person", "stores"]),
    json_values,
)
def test_a_signed_claim_of_any_value_is_taken_or_refused_and_never_fails(name: str, value: object) -> None:
    assert code_of(reader_of().read(token_of(CLAIMS | {name: value}))) in ("", "unauthenticated", "token_expired")
    header = {"alg": "HS256", {"sub": "kid", "exp": "typ"}.get(name, name): value}
    assert code_of(reader_of().read(token_of(header=header))) in ("", "unauthenticated")
