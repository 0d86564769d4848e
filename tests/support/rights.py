"""Which rights this test run has; tests that need one it lacks are left out of the run, by name, not skipped inside."""

import os
import subprocess
import sys
from functools import cache


@cache
def is_root() -> bool:
    """Root can become somebody else, and has Postgres run as somebody else."""
    return os.geteuid() == 0


@cache
def may_mount() -> bool:
    """Whether a small file system of one's own can be mounted, in a namespace that ends with the test."""
    if sys.platform != "linux" or not is_root():
        return False
    mount = "mount -t tmpfs -o size=1m dropwave-test /mnt"
    return subprocess.run(["unshare", "--mount", "sh", "-c", mount], capture_output=True, check=False).returncode == 0


RIGHTS = {"root": is_root, "mounts": may_mount}
