"""The command line that scripts/load makes of a shape and options."""

import pytest

from engine.errors import UsageError
from loadtests.swarm.__main__ import command

URL = "http://127.0.0.1:1"


def test_headless_and_closed_to_other_machines_unless_told_otherwise() -> None:
    line = " ".join(command("drop", ["-u", "7"], URL))
    assert "loadtests/locustfile.py," in line
    assert line.endswith(
        "loadtests/shapes/drop.py --headless --only-summary --host http://127.0.0.1:1"
        " --web-host 127.0.0.1 --master-bind-host 127.0.0.1 -u 7"
    )
    assert "--master-bind-host=10.0.0.1" in command("drop", ["--master", "--master-bind-host=10.0.0.1"], "")
    assert "127.0.0.1" not in command("drop", ["--web-host", "::", "--master-bind-host", "::"], "")


def test_the_web_page_and_workers_are_not_headless() -> None:
    page = command("soak", ["--web"], "")
    assert "--headless" not in page
    assert "--web" not in page
    worker = command("soak", ["--worker", "--master-host", "10.0.0.1"], "")
    assert worker[-3:] == ["--worker", "--master-host", "10.0.0.1"]
    assert "--headless" not in worker


def test_what_is_no_shape() -> None:
    with pytest.raises(UsageError, match="name one of drop, shop, smoke, soak"):
        command("", [], "")
