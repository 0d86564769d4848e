"""docs/campaign.schema.json and docs/campaign-files.md say the same as the program."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest
from ruamel.yaml import YAML

from engine.domain.campaign import CLAIMS_PER_CLAIMANT_MAX, ClaimantKind
from engine.scheduling import files, lists, offers, places, reading, repeats, rules, waves
from engine.scheduling.files import parse_campaign
from tests.scheduling.test_files_mistakes import BASE, CASES

ROOT = Path(__file__).parents[2]
SCHEMA = json.loads((ROOT / "docs" / "campaign.schema.json").read_text())
PAGE = (ROOT / "docs" / "campaign-files.md").read_text()
DEFINITIONS = SCHEMA["definitions"]
TYPES = {"object": dict, "array": list, "string": str, "integer": int, "boolean": bool}
PLAIN = {"$schema", "title", "description", "examples", "definitions"}


def fits(value: Any, schema: Any) -> bool:
    """Whether a value fits a schema, for the keywords that ours uses; another keyword fails the test."""
    if isinstance(schema, bool):
        return schema
    return all(KEYWORDS[key](value, schema[key], schema) for key in schema.keys() - PLAIN)


def of(kind: type | tuple[type, ...], holds: Callable[[Any, Any], bool]) -> Callable[[Any, Any, dict], bool]:
    """A keyword that says something about values of one type and nothing about others."""
    return lambda value, wanted, schema: not isinstance(value, kind) or holds(value, wanted)


def others_fit(value: Any, wanted: Any, schema: dict) -> bool:
    known = schema.get("properties", {})
    return not isinstance(value, dict) or all(fits(value[name], wanted) for name in value if name not in known)


SIZED = (dict, list, str)
AT_LEAST, AT_MOST = (
    of(SIZED, lambda value, least: len(value) >= least),
    of(SIZED, lambda value, most: len(value) <= most),
)
KEYWORDS: dict[str, Callable[[Any, Any, dict], bool]] = {
    "$ref": lambda value, wanted, schema: fits(value, DEFINITIONS[wanted.removeprefix("#/definitions/")]),
    "type": lambda value, wanted, schema: (
        isinstance(value, TYPES[wanted]) and (wanted == "boolean") == isinstance(value, bool)
    ),
    "enum": lambda value, wanted, schema: value in wanted,
    "const": lambda value, wanted, schema: value == wanted,
    "allOf": lambda value, wanted, schema: all(fits(value, each) for each in wanted),
    "oneOf": lambda value, wanted, schema: sum(fits(value, each) for each in wanted) == 1,
    "not": lambda value, wanted, schema: not fits(value, wanted),
    "required": of(dict, lambda value, names: all(name in value for name in names)),
    "properties": of(dict, lambda value, each: all(fits(value[name], each[name]) for name in each if name in value)),
    "additionalProperties": others_fit,
    "propertyNames": of(dict, lambda value, wanted: all(fits(name, wanted) for name in value)),
    "items": of(list, lambda value, wanted: all(fits(each, wanted) for each in value)),
    "uniqueItems": of(list, lambda value, _: len(value) == len({json.dumps(each) for each in value})),
    "minimum": of(int, lambda value, least: value >= least),
    "maximum": of(int, lambda value, most: value <= most),
    "pattern": of(str, lambda value, pattern: re.search(pattern, value) is not None),
    **dict.fromkeys(("minLength", "minItems", "minProperties"), AT_LEAST),
    **dict.fromkeys(("maxLength", "maxItems", "maxProperties"), AT_MOST),
}


def load(text: str) -> Any:
    return YAML(typ="safe", pure=True).load(text)


@pytest.mark.parametrize("path", sorted((ROOT / "deploy" / "campaigns").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_example_fits_the_schema(path: Path) -> None:
    assert fits(load(path.read_text()), SCHEMA)


def test_the_file_on_the_page_is_right() -> None:
    [text] = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    assert fits(load(text), SCHEMA)
    assert len(parse_campaign(text, "page").waves) == 10


SEEN_BY_EDITORS = [case for case in CASES if case.get("editor")]


@pytest.mark.parametrize("case", SEEN_BY_EDITORS, ids=[case["name"] for case in SEEN_BY_EDITORS])
def test_an_editor_sees_the_mistakes_of_form(case: dict) -> None:
    assert fits(load(BASE), SCHEMA)
    assert not fits(load(BASE.replace(case["old"], case["new"])), SCHEMA)


def keys(schema: dict) -> tuple[set[str], set[str]]:
    assert schema["additionalProperties"] is False
    return set(schema["properties"]), set(schema.get("required", ()))


def test_schema_and_program_know_the_same_keys() -> None:
    top, definitions = SCHEMA["properties"], DEFINITIONS
    assert keys(SCHEMA) == (set(files.CAMPAIGN_KEYS), set(files.REQUIRED_KEYS))
    assert keys(top["limits"]["items"]) == (set(rules.LIMIT_KEYS), set(rules.LIMIT_KEYS))
    assert keys(top["use"]) == (set(rules.USE_KEYS), set())
    assert keys(top["validity"]) == (set(rules.VALIDITY_KEYS), set())
    assert keys(top["cap"]) == (set(rules.CAP_KEYS), set())
    assert keys(top["stores"]["additionalProperties"]) == (set(offers.STORE_KEYS), set(offers.STORE_KEYS))
    assert keys(top["wave_defaults"]) == (set(waves.SHARED_KEYS), set())
    assert keys(definitions["eligibility"]) == (set(rules.ELIGIBILITY_KEYS), set())
    assert keys(definitions["eligibility"]["properties"]["tags"]) == (set(rules.TAG_KEYS), set())
    assert keys(definitions["offer"]) == (set(offers.OFFER_KEYS), set(offers.COMMON_KEYS))
    assert keys(definitions["wave"]) == (set(waves.WAVE_KEYS), set(waves.REQUIRED_KEYS))
    assert keys(definitions["wave"]["properties"]["repeat"]) == (set(repeats.REPEAT_KEYS), {"every", "times"})


def test_schema_and_program_know_the_same_kinds() -> None:
    assert DEFINITIONS["offer"]["properties"]["kind"]["enum"] == list(offers.KINDS)
    for each in DEFINITIONS["offer"]["oneOf"]:
        kind = each["properties"]["kind"]["const"]
        must, may = offers.KINDS[kind]
        forbidden = {key: False for key in offers.AMOUNT_KEYS if key not in must and key not in may}
        assert set(each["required"]) == set(must)
        assert each["properties"] == {"kind": {"const": kind}, **forbidden}


def test_schema_and_program_know_the_same_bounds() -> None:
    top, definitions = SCHEMA["properties"], DEFINITIONS
    limit, repeat = top["limits"]["items"]["properties"], definitions["wave"]["properties"]["repeat"]["properties"]
    assert limit["max"]["maximum"] == top["use"]["properties"]["per_payment"]["maximum"] == CLAIMS_PER_CLAIMANT_MAX
    assert tuple(limit["per"]["enum"]) == rules.SCOPES
    assert tuple(top["by"]["enum"]) == get_args(ClaimantKind)
    assert tuple(repeat["every"]["enum"]) == get_args(repeats.Every)
    assert (repeat["times"]["maximum"], repeat["except"]["maxItems"]) == (repeats.TIMES_MAX, repeats.EXCEPTIONS_MAX)
    assert top["validity"]["properties"]["natural_days"]["maximum"] == rules.VALIDITY_DAYS_MAX
    assert top["validity"]["properties"]["days_after_claim"]["maximum"] == rules.VALIDITY_DAYS_MAX
    assert top["cap"]["properties"]["claims"]["maximum"] == rules.CAP_CLAIMS_MAX
    assert top["cap"]["properties"]["value"]["maximum"] == rules.CAP_VALUE_MAX
    assert top["stores"]["maxProperties"] == offers.STORES_MAX
    assert (top["offers"]["maxItems"], top["waves"]["maxItems"]) == (offers.OFFERS_MAX, waves.WAVES_MAX)
    assert definitions["amount"]["maximum"] == places.AMOUNT_MAX
    assert definitions["stock"]["additionalProperties"]["maximum"] == waves.STOCK_MAX
    assert definitions["title"]["maxLength"] == offers.TITLE_CHARACTERS_MAX
    assert definitions["label"]["maxLength"] == places.LABEL_CHARACTERS_MAX
    assert definitions["eligibility"]["properties"]["cities"]["maxItems"] == rules.NAMES_MAX
    account = definitions["eligibility"]["properties"]["allow"]["oneOf"][1]["items"]
    assert account["maxLength"] == lists.ACCOUNT_CHARACTERS_MAX


def test_the_page_names_every_key_and_bound() -> None:
    every = {*files.CAMPAIGN_KEYS, *rules.LIMIT_KEYS, *rules.ELIGIBILITY_KEYS, *rules.TAG_KEYS, *rules.USE_KEYS}
    every |= {*rules.VALIDITY_KEYS, *rules.CAP_KEYS, *offers.STORE_KEYS, *offers.OFFER_KEYS, *offers.KINDS}
    every |= {*waves.WAVE_KEYS, *waves.SHARED_KEYS, *repeats.REPEAT_KEYS}
    assert not [key for key in every if not re.search(rf"`[^`]*\b{key}\b[^`]*`", PAGE)]
    bounds = [
        offers.STORES_MAX, offers.STORES_OF_OFFERS_MAX, offers.OFFERS_MAX, offers.TITLE_CHARACTERS_MAX, waves.WAVES_MAX,
        waves.STOCK_MAX, places.AMOUNT_MAX, places.LABEL_CHARACTERS_MAX, places.ID_CHARACTERS_MAX, lists.ACCOUNTS_MAX,
        lists.ACCOUNT_CHARACTERS_MAX, rules.VALIDITY_DAYS_MAX, repeats.TIMES_MAX, reading.DEPTH_MAX, reading.VALUES_MAX,
    ]  # fmt: skip
    assert not [bound for bound in bounds if f"{bound:,}" not in PAGE]
