"""The SQL of the ledger, one file a noun, a `-- name:` line over each query."""

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType

FOLDER = Path(__file__).parent / "queries"

_NAME = re.compile(r"^-- name: ([a-z_]+)$", re.MULTILINE)


@cache
def load_queries(noun: str) -> Mapping[str, str]:
    """The queries of `queries/<noun>.sql` by name.

    Raises ValueError where a name stands twice or text stands above the first name: a query that
    nobody can call is a mistake in the file.
    """
    return MappingProxyType(parse_queries(noun, (FOLDER / f"{noun}.sql").read_text("utf-8")))


def parse_queries(noun: str, text: str) -> dict[str, str]:
    """The queries in that text by name; comments between queries belong to the query above them."""
    above, *parts = _NAME.split(text)
    if above.strip():
        raise ValueError(f"queries/{noun}.sql: text above the first '-- name:' line")
    queries: dict[str, str] = {}
    for name, query in zip(parts[::2], parts[1::2], strict=True):
        if name in queries:
            raise ValueError(f"queries/{noun}.sql: two queries are named {name}")
        if not query.strip():
            raise ValueError(f"queries/{noun}.sql: {name} is empty")
        queries[name] = query.strip()
    return queries
