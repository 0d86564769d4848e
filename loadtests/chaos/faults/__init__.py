"""The damage. Each fault is a coroutine with a name, and the lowest `ack` that survives it."""

from loadtests.chaos.faults import clocks, lines, processes, space, time_travel
from loadtests.chaos.faults.registry import FAULTS, Fault, Scene

__all__ = ["FAULTS", "Fault", "Scene", "clocks", "lines", "processes", "space", "time_travel"]
