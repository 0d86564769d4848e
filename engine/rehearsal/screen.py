"""The picture on a terminal: live where there is one, else a plain line a second."""

from types import TracebackType

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from engine.rehearsal.picture import Picture


class SilentScreen:
    """Draws nothing: somebody wants the verdict alone."""

    def show(self, picture: Picture) -> None:
        """Nothing."""

    def __enter__(self) -> "SilentScreen":
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing to take down."""


class LineScreen:
    """One line a picture, for logs and pipes."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def show(self, picture: Picture) -> None:
        """A line."""
        self._console.print(line_of(picture), markup=False, highlight=False, soft_wrap=True)

    def __enter__(self) -> "LineScreen":
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing to take down."""


class LiveScreen:
    """The latest picture, drawn over the one before."""

    def __init__(self, console: Console) -> None:
        self._live = Live(console=console, auto_refresh=False, transient=False)

    def show(self, picture: Picture) -> None:
        """Redraw."""
        self._live.update(drawn(picture), refresh=True)

    def __enter__(self) -> "LiveScreen":
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()


def screen_for(console: Console, *, silent: bool) -> SilentScreen | LineScreen | LiveScreen:
    """The screen that suits where the output goes."""
    if silent:
        return SilentScreen()
    return LiveScreen(console) if console.is_terminal else LineScreen(console)


def line_of(picture: Picture) -> str:
    """A picture in one line."""
    left = " ".join(f"{shelf.offer}:{shelf.left}" for shelf in picture.shelves)
    refusals = " ".join(f"{code}:{count}" for code, count in picture.refusals.items()) or "none"
    return (
        f"{_when(picture)}  claims {picture.claims} (+{picture.claims_per_s:.0f}/s)  "
        f"requests {picture.requests} (+{picture.requests_per_s:.0f}/s)  users {picture.finished}/{picture.users}  "
        f"{_lag(picture)}left {left}  refusals {refusals}"
    )


def drawn(picture: Picture) -> RenderableType:
    """A picture in lines, bars and columns."""
    head = Text(_when(picture), style="bold")
    figures = Table.grid(padding=(0, 3))
    figures.add_row(
        f"claims [bold]{picture.claims:,}[/]  {picture.claims_per_s:,.0f}/s",
        f"requests [bold]{picture.requests:,}[/]  {picture.requests_per_s:,.0f}/s",
        f"users done [bold]{picture.finished:,}[/] of {picture.users:,}",
        "" if picture.lag is None else f"log lag [bold]{picture.lag:,}[/]",
    )
    shelves = Table.grid(padding=(0, 2))
    shelves.add_column(min_width=12)
    shelves.add_column(width=30)
    shelves.add_column(justify="right")
    for shelf in picture.shelves:
        left = f"{shelf.left:,} left of {shelf.total:,}" if shelf.left else "[dim]sold out[/]"
        shelves.add_row(shelf.offer, ProgressBar(total=max(shelf.total, 1), completed=shelf.left, width=30), left)
    refusals = Table.grid(padding=(0, 2))
    for code, count in picture.refusals.items():
        refusals.add_row(code, f"[bold]{count:,}[/]")
    columns = Table.grid(padding=(0, 6))
    columns.add_row(shelves, refusals)
    return Group(head, figures, Text(), columns)


def _lag(picture: Picture) -> str:
    return "" if picture.lag is None else f"log lag {picture.lag}  "


def _when(picture: Picture) -> str:
    if picture.phase == "countdown":
        return f"opens in {max(0, picture.to_opening_ms) / 1000:.0f} s"
    since_s = max(0, -picture.to_opening_ms) / 1000
    return f"{picture.phase}, {since_s:.0f} s after the opening"
