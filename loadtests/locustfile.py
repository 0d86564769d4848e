"""Users of Dropwave for locust. How to run it, and what its figures mean: docs/load-testing.md.

locust -f loadtests/locustfile.py,loadtests/shapes/drop.py --host http://127.0.0.1:8080
"""

import sys
from pathlib import Path
from typing import Any

from locust import events
from locust.argument_parser import LocustArgumentParser
from locust.env import Environment

sys.path.insert(0, str(Path(__file__).parents[1]))  # locust is started from anywhere

from engine.errors import DropwaveError
from loadtests.swarm.accounts import Tokens
from loadtests.swarm.load import Load
from loadtests.swarm.options import add_options
from loadtests.swarm.user import Claimant

__all__ = ["Claimant"]


def _on_parser(parser: LocustArgumentParser, **_rest: Any) -> None:
    add_options(parser)


def _on_init(environment: Environment, **_rest: Any) -> None:
    try:
        Load.here = Load(environment, Tokens())
    except DropwaveError as error:
        sys.exit(f"cannot run: {error}")


events.init_command_line_parser.add_listener(_on_parser)
events.init.add_listener(_on_init)
