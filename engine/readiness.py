"""How a role tells the process that started it that it is ready.

Whoever starts a role may name the write end of a pipe in DROPWAVE_READY_FD. The role writes one line there once it
does its work: what it connected to, without secrets. A closed pipe without a line means that it died on the way.
"""

import os

READY_VARIABLE = "DROPWAVE_READY_FD"


def announce_ready(connected_to: str) -> None:
    """Tell whoever started this process that it is ready; `connected_to` is one line for people.

    Does nothing where nobody waits, and at most once: the pipe is closed and forgotten afterwards.
    """
    descriptor = os.environ.pop(READY_VARIABLE, "")
    if not descriptor.isdigit():
        return
    line = " ".join(connected_to.split()) + "\n"
    try:
        os.write(int(descriptor), line.encode())
        os.close(int(descriptor))
    except OSError:
        return  # who asked has gone meanwhile: being ready is still right
