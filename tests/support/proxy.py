"""A TCP proxy that fails on demand: the one of the chaos runs, where all of it is told."""

from loadtests.chaos.proxy import LOOPBACK, Fault, Proxy, Trap, Way

__all__ = ["LOOPBACK", "Fault", "Proxy", "Trap", "Way"]
