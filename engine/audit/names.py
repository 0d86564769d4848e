"""How a verdict names things: by the ids that people know, never by code, account or person."""

from engine.domain.campaign import Catalogue
from engine.domain.outcome import Claim


class Names:
    """Ids of waves and offers by their numbers."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._waves = {wave.no: wave.id for wave in catalogue.waves}
        self._offers = {offer.no: offer.id for offer in catalogue.offers}

    def wave(self, wave_no: int) -> str:
        """Id of that wave; its number where the campaign has none such."""
        return self._waves.get(wave_no, f"wave number {wave_no}")

    def offer(self, wave_no: int, offer_no: int) -> str:
        """Ids of that offer in that wave."""
        return f"{self.wave(wave_no)} {self._offers.get(offer_no, f'offer number {offer_no}')}"

    def claim(self, claim: Claim) -> str:
        """A claim by its number, and what it is a claim of."""
        return f"{place(claim.epoch, claim.sequence)} of {self.offer(claim.wave_no, claim.offer_no)}"


def place(epoch: int, sequence: int) -> str:
    """A decision by its number, as the log spells it."""
    return f"{epoch}-{sequence}"


def counted(count: int, noun: str) -> str:
    """A number with its noun, in the plural where it is not one."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
