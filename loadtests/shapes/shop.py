"""After the claim: winners take what they won to shops, while the terms of the campaign become worse."""

from loadtests.swarm.plan import Plan
from loadtests.swarm.shape import PlannedShape


class Shop(PlannedShape):
    """Three of four users win. Over once all have an answer, and every voucher has been where its user wanted it."""

    plan = Plan(users=200, spawn_per_s=40.0, run_s=120.0, countdown_s=3.0, stock=150, shop_part=1.0)
