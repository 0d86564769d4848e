"""What all shapes have in common: defaults of their own for users, rate and time, and an end."""

import time
from typing import ClassVar

from locust import LoadTestShape

from loadtests.swarm.load import Load, planned
from loadtests.swarm.plan import Plan


class PlannedShape(LoadTestShape):
    """Brings its users, and ends with its time, or once every user is done where the plan does not renew them."""

    abstract = True
    use_common_options = True
    plan: ClassVar[Plan]

    def tick(self) -> tuple[int, float] | None:
        """Users, and how many come in a second; None at the end."""
        assert self.runner is not None
        plan = planned(self.runner.environment)
        if time.perf_counter() - self.start_time > plan.run_s or (
            not plan.renews and Load.here is not None and Load.here.is_done(plan.users)
        ):
            return None
        return plan.users, plan.spawn_per_s
