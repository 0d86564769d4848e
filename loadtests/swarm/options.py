"""The options that a load test has beside locust's own. `--help` and the start form of the web page show them."""

from locust.argument_parser import LocustArgumentParser


def add_options(parser: LocustArgumentParser) -> None:
    """The master sends them to its workers, so nothing here is a secret (accounts.py)."""
    add = parser.add_argument  # not of a group: what a group adds does not stand in the web page
    add("--wave", default="", help="Claim in this wave. Else: in a sandbox campaign of the run's own")
    add("--offers", default="", help="Of --wave, with commas between them. Else: all of it")
    add("--stock", type=int, default=0, help="Units of the run's own wave. 0: as the shape has it")
    add(
        "--opens-in",
        type=int,
        default=0,
        help="Seconds of countdown of the run's own wave, once all users have come. 0: as the shape has it",
    )
    add("--pause", type=float, default=-1.0, help="Mean seconds between two visits of a soak. -1: as the shape has it")
    add(
        "--shops",
        type=float,
        default=-1.0,
        help="Part of the winners who go on to shops with what they won, 0 to 1. -1: as the shape has it",
    )
    add("--city", default="", help="City in the users' tokens, where the campaign asks for one")
    add("--tags-of-users", default="", help="Tags in the users' tokens, with commas between them")
    add(
        "--shares",
        type=int,
        default=8,
        help="Among how many workers, those included that stand in for others, LOAD_TOKENS is shared out",
    )
    add("--seed", type=int, default=0, help="Repeats what the users want. 0: another one each time; it is printed")
    add("--verdict-file", default="", help="Write the verdict there, as JSON")
