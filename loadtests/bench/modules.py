"""Programs of this folder that run as processes of their own, so that what they cost is not the bench's."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from typing import Final

_ROOT: Final = Path(__file__).parents[2]


async def run_module(name: str, *arguments: object) -> tuple[int, bytes]:
    """Run `python -m name`; its exit status and what it said. Ended with its caller, it is ended too."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-m", name, *map(str, arguments),
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        env={"PATH": os.environ.get("PATH", os.defpath), "PYTHONPATH": str(_ROOT)},
    )  # fmt: skip
    try:
        said, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()
    return process.returncode or 0, said
