"""From waves as written to the drops that happen: repeats written out, local times turned into instants."""

from dataclasses import dataclass
from datetime import date, datetime
from zoneinfo import ZoneInfo

from engine.domain.campaign import Wave
from engine.scheduling.places import Place
from engine.scheduling.repeats import days_of
from engine.scheduling.times import LENGTH_MAX, NotATime, exact, instant_of
from engine.scheduling.waves import NEXT, Moment, WrittenWave


@dataclass(frozen=True, slots=True)
class Drop:
    """One wave of the campaign, and the entry of the file that it comes from."""

    wave: Wave
    written: WrittenWave


def drops_of(written: WrittenWave, zone: ZoneInfo) -> list[Drop]:
    """The drops of one entry, in order; what is wrong with one is noted, and it is left out.

    The local time is kept from occurrence to occurrence, over clock changes too.
    """
    if not written.readable or written.opens is None or written.id is None:
        return []
    first = _local(written.opens.at, zone).date()
    if written.repeat is None:
        occurrences = [_Occurrence(written, zone, written.id, first, first, None)]
    else:
        days = days_of(written.repeat, first)
        ids = written.ids()
        occurrences = [
            _Occurrence(written, zone, wave, day, first, following)
            for wave, day, following in zip(ids, days, [*ids[1:], None], strict=False)
        ]
    return [Drop(wave, written) for occurrence in occurrences if (wave := occurrence.wave())]


@dataclass(frozen=True, slots=True)
class _Occurrence:
    written: WrittenWave
    zone: ZoneInfo
    id: str
    day: date
    first: date
    following: str | None
    """Id of the next occurrence."""

    def wave(self) -> Wave | None:
        written, shared = self.written, self.written.shared
        opens, closes = self._opens_and_closes()
        if opens is None or closes is None:
            return None
        if written.closes and not opens < closes <= opens + LENGTH_MAX:
            self._refuse_close(written.closes.place, opens, closes)
            return None
        return Wave(
            id=self.id,
            opens_at=opens,
            closes_at=closes,
            day=self.day,
            stock=dict(shared.stock or {}),
            round=shared.round or "",
            eligibility=shared.eligibility,
            rollover=self.following if shared.rollover == NEXT else shared.rollover,
        )

    def _opens_and_closes(self) -> tuple[datetime | None, datetime | None]:
        """Both are worked out even where one is wrong, so that both mistakes are told."""
        opens = self._instant(self.written.opens) if self.written.opens else None
        if self.written.closes:
            return opens, self._instant(self.written.closes)
        lasts = self.written.shared.lasts
        return opens, exact(opens + lasts, self.zone) if opens and lasts else None

    def _refuse_close(self, place: Place, opens: datetime, closes: datetime) -> None:
        late = closes > opens
        how = f"more than {LENGTH_MAX.days} days after" if late else "not after"
        place.wrong(
            f"wave {self.id} would close at {closes.isoformat()}, {how} its opening at {opens.isoformat()}: "
            f"write {'an earlier' if late else 'a later'} time"
        )

    def _instant(self, moment: Moment) -> datetime | None:
        """The moment on the day of this occurrence."""
        if moment.at.tzinfo and self.day == self.first:
            return exact(moment.at, self.zone)
        try:
            return instant_of(_local(moment.at, self.zone) + (self.day - self.first), self.zone)
        except NotATime as error:
            skip = f', or skip the day: except: ["{self.day}"]' if self.written.repeat else ""
            moment.place.wrong(f"{error}{skip}")
            return None


def _local(at: datetime, zone: ZoneInfo) -> datetime:
    return at.astimezone(zone).replace(tzinfo=None, fold=0) if at.tzinfo else at
