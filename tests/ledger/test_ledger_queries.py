"""The SQL files: each query has a name, is used, and is understood by Postgres."""

import re
from pathlib import Path

import asyncpg
import pytest

from engine.ledger.queries import FOLDER, load_queries, parse_queries

NOUNS = sorted(file.stem for file in FOLDER.glob("*.sql"))


@pytest.mark.parametrize("noun", NOUNS)
async def test_postgres_understands_every_query(noun: str, database_url: str) -> None:
    connection = await asyncpg.connect(database_url)
    try:
        for query in load_queries(noun).values():
            await connection.prepare(query)
    finally:
        await connection.close()


def test_every_query_is_used() -> None:
    code = "".join(file.read_text("utf-8") for file in Path(FOLDER).parent.glob("*.py"))
    used = set(re.findall(r'\["([a-z_]+)"\]', code)) | set(re.findall(r'_places\("([a-z_]+)"', code))
    unused = {f"{noun}: {name}" for noun in NOUNS for name in load_queries(noun) if name not in used}
    assert not unused


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("select 1\n-- name: one\nselect 1", "above the first"),
        ("-- name: one\nselect 1\n-- name: one\nselect 2", "two queries are named one"),
        ("-- name: one\n\n-- name: two\nselect 2", "one is empty"),
    ],
)
def test_a_query_that_nobody_could_call_is_a_mistake(text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        parse_queries("noun", text)
