"""All runs of the model as a table, for people. Exits with 1 where one is not as it should be."""

import sys
import tempfile
from pathlib import Path

from tests.model.checker import check, runs


def main() -> int:
    """Run and print; the exit status."""
    failed = False
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        say("the whole protocol")
        for run in runs("whole"):
            found = check(folder, run["set"])
            failed |= bool(found.violated)
            say(f"  {run['name']}: {found.violated or 'holds'}, {found.states:,} states")
        say("without a guard")
        for run in runs("guard"):
            found = check(folder, run["set"], without=run["guard"])
            failed |= not found.violated
            say(f"  {run['guard']} ({run['says']}): {found.violated or 'NOTHING FOUND'}, {found.states:,} states")
    return int(failed)


def say(line: str) -> None:
    """To the terminal at once: a run takes up to minutes."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
