"""A drop: the crowd comes during the countdown, looks at the page, gets its tickets, and claims when the wave opens."""

from loadtests.swarm.plan import Plan
from loadtests.swarm.shape import PlannedShape


class Drop(PlannedShape):
    """Five users for each unit. Over once everybody has an answer."""

    plan = Plan(users=500, spawn_per_s=50.0, run_s=180.0, countdown_s=10.0, stock=100)
