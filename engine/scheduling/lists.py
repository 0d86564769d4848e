"""Lists of accounts in eligibility rules: written out, or in a file beside the campaign file, one account a line."""

from collections.abc import Callable, Mapping
from pathlib import Path

from engine.scheduling.mistakes import shown
from engine.scheduling.places import Place, flaw_of_text

ACCOUNTS_MAX = 100_000
"""Accounts in all rules of a campaign: they travel with its catalogue to every gateway, some 2 MB. A larger
circle is a tag in the token."""
ACCOUNT_CHARACTERS_MAX = 128
LIST_BYTES_MAX = 16 * 1_048_576
"""Above what ACCOUNTS_MAX accounts of the greatest length take in ASCII; never read past it."""

ReadBytes = Callable[[str], bytes]
"""Content of the list with that name; raises NoList with the words for the operator."""


class NoList(Exception):
    """There is no such list; the message says why, and what would be right."""


class AccountLists:
    """Reads the lists of one campaign file, each file once."""

    def __init__(self, read_bytes: ReadBytes) -> None:
        self._read_bytes = read_bytes
        self._read: dict[str, frozenset[str] | list[str]] = {}

    def read(self, place: Place, *, may_be_empty: bool = False) -> frozenset[str] | None:
        """The accounts of an allow or deny rule."""
        if place.is_list():
            accounts = self._written_out(place)
        else:
            name = place.text(255, "[u1, u2]")
            accounts = None if name is None else self._of_file(place, name)
        if accounts is not None and not accounts and not may_be_empty:
            place.wrong("holds no account, so nobody could claim: name some, or remove the key")
            return None
        return accounts

    def _written_out(self, place: Place) -> frozenset[str] | None:
        items = place.items("[u1, u2]", 0, ACCOUNTS_MAX)
        if items is None:
            return None
        accounts = [item.text(ACCOUNT_CHARACTERS_MAX, "u1") for item in items]
        return None if None in accounts else frozenset(account for account in accounts if account is not None)

    def _of_file(self, place: Place, name: str) -> frozenset[str] | None:
        if name not in self._read:
            try:
                self._read[name] = _accounts(name, self._read_bytes(name))
            except NoList as error:
                self._read[name] = [str(error)]
        accounts = self._read[name]
        if isinstance(accounts, frozenset):
            return accounts
        for flaw in accounts:
            place.wrong(flaw)
        return None


def _accounts(name: str, content: bytes) -> frozenset[str] | list[str]:
    """The accounts of a list file, or what is wrong with it.

    UTF-8, one account a line; blank lines and the mark that spreadsheets put in front are passed over.
    """
    try:
        lines = content.decode("utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        return [f"{name}, line {line}: is not UTF-8: save the list as UTF-8 text"]
    accounts, flaws = set(), []
    for number, text in enumerate(lines, start=1):
        account = text.strip()
        flaw = flaw_of_text(account, ACCOUNT_CHARACTERS_MAX) if account else None
        if flaw:
            flaws.append(f"{name}, line {number}: {flaw}; write one account a line")
        elif account:
            accounts.add(account)
    if len(accounts) > ACCOUNTS_MAX:
        flaws.append(f"{name} has {len(accounts):,} accounts; at most {ACCOUNTS_MAX:,} are possible: use a tag instead")
    return flaws or frozenset(accounts)


def beside(folder: Path | None) -> ReadBytes:
    """Reads lists from that folder and from nowhere else; with None, no file can be named."""

    def read_bytes(name: str) -> bytes:
        if folder is None:
            raise NoList(
                f"{shown(name)} names a file, and this campaign came without files: write the accounts out, [u1, u2]"
            )
        if name in (".", "..") or any(character in name for character in "/\\\0"):
            raise NoList(f"{shown(name)} is not the name of a file beside the campaign file: put the list there")
        path = folder / name
        try:
            if not path.is_file():
                raise NoList(f"there is no file {name} beside the campaign file")
            with path.open("rb") as file:
                content = file.read(LIST_BYTES_MAX + 1)
        except OSError as error:
            raise NoList(f"{name} cannot be read: {error.strerror}") from None
        if len(content) > LIST_BYTES_MAX:
            raise NoList(
                f"{name} has more than {LIST_BYTES_MAX:,} bytes; at most {ACCOUNTS_MAX:,} accounts are possible"
            )
        return content

    return read_bytes


def sent(lists: Mapping[str, bytes]) -> ReadBytes:
    """Reads lists from those that came together with the text of the campaign."""

    def read_bytes(name: str) -> bytes:
        if name not in lists:
            raise NoList(f"no list {shown(name)} came with this campaign: send it along, or write the accounts out")
        return lists[name]

    return read_bytes
