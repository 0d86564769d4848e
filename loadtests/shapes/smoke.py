"""A few users, a few seconds: whether everything works together."""

from loadtests.swarm.plan import Plan
from loadtests.swarm.shape import PlannedShape


class Smoke(PlannedShape):
    """Half of the users get something; over as soon as all are done."""

    plan = Plan(users=20, spawn_per_s=20.0, run_s=30.0, countdown_s=1.0, stock=10, look_s=0.3)
