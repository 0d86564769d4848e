"""Fingerprints of claims by their place: seventeen bytes a claim, so that a million can be held against a million."""

from array import array
from bisect import bisect_left

from engine.audit.names import place
from engine.domain.outcome import Claim


class _Epoch:
    """The claims of one epoch; `sequences` rises."""

    def __init__(self) -> None:
        self.sequences = array("q")
        self.prints = array("q")
        self.seen = bytearray()

    def index(self, sequence: int) -> int:
        """Where that number stands, or -1."""
        at = bisect_left(self.sequences, sequence)
        return at if at < len(self.sequences) and self.sequences[at] == sequence else -1


class Prints:
    """Claims as one store tells them, to be held against what another one tells.

    The fingerprint is Python's hash over all fields: it lives as long as this process, and two different
    claims of one place share it in one of 2**61 cases.
    """

    def __init__(self) -> None:
        self._epochs: dict[int, _Epoch] = {}
        self._claims = 0

    def __len__(self) -> int:
        return self._claims

    def add(self, claim: Claim) -> None:
        """Keep a claim. Within an epoch they come in order; one that does not is left to who counts numbers."""
        epoch = self._epochs.setdefault(claim.epoch, _Epoch())
        if epoch.sequences and claim.sequence <= epoch.sequences[-1]:
            return
        epoch.sequences.append(claim.sequence)
        epoch.prints.append(hash(claim))
        epoch.seen.append(0)
        self._claims += 1

    def holds(self, epoch: int, sequence: int) -> bool:
        """Whether there is a claim in that place."""
        kept = self._epochs.get(epoch)
        return kept is not None and kept.index(sequence) >= 0

    def matches(self, claim: Claim) -> bool:
        """Whether the claim in that place is the same in every field. KeyError where there is none."""
        epoch, at = self._at(claim.epoch, claim.sequence)
        return epoch.prints[at] == hash(claim)

    def see(self, number: int, sequence: int) -> bool:
        """Mark the place as seen in the other store; False where it was before. KeyError where there is none."""
        epoch, at = self._at(number, sequence)
        if epoch.seen[at]:
            return False
        epoch.seen[at] = 1
        return True

    def unseen(self, most: int) -> tuple[int, list[str]]:
        """How many places were never seen, and the first of them."""
        count, first = 0, list[str]()
        for number, epoch in sorted(self._epochs.items()):
            count += epoch.seen.count(0)
            at = epoch.seen.find(0)
            while at >= 0 and len(first) < most:
                first.append(place(number, epoch.sequences[at]))
                at = epoch.seen.find(0, at + 1)
        return count, first

    def _at(self, number: int, sequence: int) -> tuple[_Epoch, int]:
        epoch = self._epochs[number]
        at = epoch.index(sequence)
        if at < 0:
            raise KeyError(sequence)
        return epoch, at
