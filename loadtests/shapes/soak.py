"""A soak: an open wave with plenty of stock, and users who come, claim, and become somebody else, for a long time."""

from loadtests.swarm.plan import Plan
from loadtests.swarm.shape import PlannedShape


class Soak(PlannedShape):
    """What leaks, grows or slows down shows in hours: `-t 4h`. It ends after ten minutes where nobody says so."""

    plan = Plan(users=50, spawn_per_s=10.0, run_s=600.0, countdown_s=1.0, stock=1_000_000, renews=True)
