"""A clock that epoll can wait for: `timerfd` of Linux, which Python has from 3.13 on."""

import ctypes
import os
from types import TracebackType
from typing import Final, Self

_CLOCK_MONOTONIC: Final = 1
_NONBLOCK_CLOEXEC: Final = os.O_NONBLOCK | os.O_CLOEXEC
_LIBC: Final = ctypes.CDLL(None, use_errno=True)


class _Interval(ctypes.Structure):
    """struct itimerspec of <sys/timerfd.h>."""

    _fields_ = (
        ("interval_s", ctypes.c_long),
        ("interval_ns", ctypes.c_long),
        ("first_s", ctypes.c_long),
        ("first_ns", ctypes.c_long),
    )


class Ticks:
    """A descriptor that becomes readable every `tick_ns` nanoseconds.

    epoll's own timeout knows milliseconds only, and rounds up.
    """

    def __init__(self, tick_ns: int) -> None:
        """Raises OSError where the kernel has none."""
        self.descriptor: int = _LIBC.timerfd_create(_CLOCK_MONOTONIC, _NONBLOCK_CLOEXEC)
        seconds, nanoseconds = divmod(tick_ns, 10**9)
        interval = _Interval(seconds, nanoseconds, seconds, nanoseconds)
        if self.descriptor < 0 or _LIBC.timerfd_settime(self.descriptor, 0, ctypes.byref(interval), None) < 0:
            raise OSError(ctypes.get_errno(), "no timerfd")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self.descriptor)

    def read(self) -> None:
        """Until the next tick it is not readable any more."""
        os.read(self.descriptor, 8)
