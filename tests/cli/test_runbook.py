"""docs/operations.md names commands that exist, and has a section for each alarm."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from ruamel.yaml import YAML

from engine.cli import dropwave

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "operations.md").read_text("utf-8")
ALERTS = YAML(typ="safe").load((ROOT / "deploy" / "prometheus" / "alerts.yml").read_text("utf-8"))


def commands() -> Iterator[str]:
    """Every `dropwave …` of the page: between backticks, and the lines of its blocks."""
    blocks = re.findall(r"^```\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    rest = re.sub(r"^```\n.*?^```", "", PAGE, flags=re.MULTILINE | re.DOTALL)
    for said in [*re.findall(r"`([^`]+)`", rest), *(line for block in blocks for line in block.splitlines())]:
        if said.startswith("dropwave "):
            yield said


def slug(heading: str) -> str:
    """The anchor of a heading."""
    return re.sub(r"[^\w -]", "", heading.strip().lower()).replace(" ", "-")


def test_there_are_commands() -> None:
    assert len(set(commands())) > 15


@pytest.mark.parametrize("line", sorted(set(commands())))
def test_each_command_is_there_with_its_options(line: str) -> None:
    words = shlex.split(line)[1:]
    command: click.Command = dropwave
    path: list[str] = []
    while isinstance(command, click.Group) and words:
        path.append(words.pop(0))
        found = command.get_command(click.Context(command), path[-1])
        assert found is not None, f"there is no {line!r}"
        command = found
    known = {name for parameter in command.params for name in parameter.opts}
    assert {word for word in words if word.startswith("--")} <= known, line
    if not isinstance(command, click.Group):
        required = {each.opts[0] for each in command.params if isinstance(each, click.Option) and each.required}
        assert not words or required <= set(words), f"{line!r} would be refused"
    assert CliRunner().invoke(dropwave, [*path, "--help"]).exit_code == 0


def test_each_alarm_has_its_section_and_each_section_its_alarm() -> None:
    alerts = {rule["alert"] for group in ALERTS["groups"] for rule in group["rules"]}
    assert set(re.findall(r"^### (Dropwave\w+)$", PAGE, re.MULTILINE)) == alerts


def test_links_within_the_page_lead_somewhere() -> None:
    headings = {slug(heading) for heading in re.findall(r"^#+ (.+)$", PAGE, re.MULTILINE)}
    assert set(re.findall(r"\]\(#([^)]+)\)", PAGE)) <= headings
