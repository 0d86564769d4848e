"""`dropwave token` and `dropwave tickets`: for trying out, for tests and for load testers."""

from collections.abc import Iterator
from pathlib import Path

import click

from engine.cli.options import data_option, installation_settings, on_installation
from engine.domain.campaign import Catalogue, CatalogueWave
from engine.domain.eligibility import Identity, broken_rule, claimant_of
from engine.domain.tickets import Ticket, TicketBook
from engine.errors import UsageError
from engine.gateway.identity.minting import marks_of, mint_token, read_private_key
from engine.gateway.keyring import Keyring
from engine.ledger.campaigns import find_wave
from engine.settings import Settings
from engine.wiring import connected

DURATIONS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


class DurationType(click.ParamType[int]):
    """A number with a unit: 10s, 30m, 4h, 7d."""

    name = "duration"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Seconds."""
        if isinstance(value, int):
            return value
        text = str(value)
        if not text[:-1].isdigit() or text[-1:] not in DURATIONS:
            self.fail(f"{text!r} is no duration: write a whole number and s, m, h or d, such as 10s or 4h", param, ctx)
        return int(text[:-1]) * DURATIONS[text[-1]]


DURATION = DurationType()


def _tags(text: str | None) -> tuple[str, ...]:
    return tuple(tag for tag in (text or "").split(",") if tag)


@click.command()
@data_option
@click.option("--sub", required=True, help="The account.")
@click.option("--scope", default="claim", show_default=True, type=click.Choice(["claim", "merchant", "ops"]))
@click.option("--role", default="", type=click.Choice(["", "viewer", "operator"]), help="For scope ops.")
@click.option("--city", default="")
@click.option("--tags", help="Separated by commas.")
@click.option("--person", default="", help="The natural person behind the account, already hashed.")
@click.option("--stores", help="For scope merchant; separated by commas.")
@click.option("--ttl", "ttl_s", default="1h", show_default=True, type=DURATION)
@click.option(
    "--key",
    "key_file",
    type=click.Path(path_type=Path),
    help="Sign with this private key (PEM): RS256, ES256 or EdDSA by its type. For trials of DROPWAVE_JWT_KEYS_FILE.",
)
@click.option("--kid", default="", help="Name of the key, as a JWKS has it.")
def token(
    data: str | None,
    sub: str,
    scope: str,
    role: str,
    city: str,
    tags: str | None,
    person: str,
    stores: str | None,
    ttl_s: int,
    key_file: Path | None,
    kid: str,
) -> None:
    """Print a token for an account, signed with this installation's secret or with a private key of yours."""
    settings = installation_settings(data)
    click.echo(
        mint_token(
            Keyring.of(settings).signing_key if key_file is None else read_private_key(key_file),
            sub,
            scope=scope,
            role=role,
            city=city,
            tags=_tags(tags),
            person=person,
            stores=_tags(stores),
            ttl_s=ttl_s,
            marks=marks_of(settings),
            kid=kid,
        )
    )


@click.command()
@click.argument("wave_id", metavar="WAVE")
@click.option("--users", required=True, type=click.IntRange(1, 100_000_000))
@click.option("--prefix", default="u", show_default=True, help="Users are PREFIX0, PREFIX1, …; persons likewise.")
@click.option("--city", default="")
@click.option("--tags", help="Separated by commas.")
@on_installation
async def tickets(settings: Settings, wave_id: str, users: int, prefix: str, city: str, tags: str | None) -> None:
    """Print a ticket for each of many users, one a line."""
    keyring = Keyring.of(settings)
    async with connected(settings) as stores:
        found = await find_wave(stores.ledger, wave_id)
        if found is None:
            raise UsageError(f"no wave {wave_id} is applied")
        catalogue, wave, _ = found
        issued_ms = await stores.hot_store.time_ms()
    identities = (
        Identity(account=f"{prefix}{number}", city=city, tags=_tags(tags), person=f"{prefix}{number}")
        for number in range(users)
    )
    for line in mint_tickets(TicketBook(keyring.ticket_keys), catalogue, wave, identities, issued_ms):
        click.echo(line)


def mint_tickets(
    book: TicketBook, catalogue: Catalogue, wave: CatalogueWave, identities: Iterator[Identity], issued_ms: int
) -> Iterator[str]:
    """A ticket for each identity, with the verdict of the campaign's rules."""
    rules = (catalogue.eligibility, *([wave.eligibility] if wave.eligibility else []))
    for identity in identities:
        yield book.mint(
            Ticket(
                campaign=catalogue.id,
                wave=wave.id,
                account=identity.account,
                claimant=claimant_of(identity, catalogue.by),
                by=catalogue.by,
                broken_rule=broken_rule(identity, catalogue.by, rules) or "",
                issued_ms=issued_ms,
            )
        )
