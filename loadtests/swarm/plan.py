"""How the users of a shape behave; the numbers are a shape's, the meaning is everybody's."""

from typing import NamedTuple


class Plan(NamedTuple):
    """Defaults of a shape. Parts are of 1; what ends in `_s` are seconds."""

    users: int = 20
    spawn_per_s: float = 20.0
    run_s: float = 60.0
    """The longest that a run lasts; it ends sooner where every user is done."""
    countdown_s: float = 2.0
    """Until the opening, once all users have come. Only for a wave of the run's own."""
    stock: int = 20
    """Units of a wave of the run's own, over both of its offers."""
    rush_s: float = 0.3
    """Mean delay of a user behind the opening (exponential). In a wave that is open: behind the arrival."""
    early_part: float = 0.1
    """Come up to two seconds too early, and do as `retry_after_ms` of `not_open` tells."""
    double_part: float = 0.1
    """Send their claim twice at the same moment, as impatient thumbs do."""
    again_part: float = 0.5
    """Of those who were granted: ask again, once to three times. All of them look at their own claims."""
    look_s: float = 1.0
    """Mean pause between two looks at the page of the wave."""
    pause_s: float = 2.0
    """Mean pause between two visits, where the plan renews."""
    shop_part: float = 0.0
    """Of those who were granted: go on to shops with what they won."""
    shop_delay_s: float = 1.0
    """Mean time between a claim and the shop."""
    worse_after_s: float = 0.5
    """Behind the opening of a wave of the run's own, where winners go on to shops: from then on its offers have fewer
    stores, half the discount and twice the spend. What was claimed before has to be honoured as it was promised."""
    renews: bool = False
    """Whether who is done becomes somebody else. Else they go on looking at the page, as a crowd does."""
