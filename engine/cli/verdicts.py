"""How a verdict is shown, and what the process ends with."""

import sys
from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from engine.cli.options import print_json
from engine.domain.verdict import PROMISES, Verdict
from engine.gateway.ops_objects import verdict_members

BROKEN = 1
"""Exit status where a promise broke."""

_MARKS = {True: "[green]held[/]", False: "[bold red]BROKEN[/]", None: "[yellow]not judged[/]"}


def show_verdicts(verdicts: Sequence[Verdict], console: Console) -> None:
    """A table for each, then what broke, by example."""
    for verdict in verdicts:
        if verdict.notes:
            console.print("", *verdict.notes, sep="\n", markup=False, highlight=False)
        table = Table(title=f"Verdict on {escape(verdict.subject)}", title_justify="left", show_header=False)
        for finding in verdict.findings:
            says = f"[bold]{PROMISES[finding.promise]}[/]\n{escape(finding.figures)}"
            table.add_row(finding.promise, _MARKS[finding.held], says, end_section=True)
        console.print(table)
        for finding in verdict.findings:
            for example in finding.examples:
                console.print(f"{finding.promise}  {example}", markup=False, highlight=False, soft_wrap=True)
        console.print(_summary(verdict), style="bold red" if verdict.broken else "bold")


def _summary(verdict: Verdict) -> str:
    broken = [finding.promise for finding in verdict.findings if finding.held is False]
    unknown = [finding.promise for finding in verdict.findings if finding.held is None]
    if broken:
        return f"Broken: {', '.join(broken)}."
    return f"None broke; not judged: {', '.join(unknown)}." if unknown else "Every promise held."


def end(verdicts: Sequence[Verdict], *, as_json: bool, console: Console) -> None:
    """Show the verdicts and end the process with status 1 where a promise broke."""
    if as_json:
        print_json([verdict_members(verdict) for verdict in verdicts])
    else:
        show_verdicts(verdicts, console)
    if any(verdict.broken for verdict in verdicts):
        sys.exit(BROKEN)
