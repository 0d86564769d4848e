"""`python -m engine.gateway.openapi > docs/openapi.json`: the document as a file, for whoever compares contracts."""

import json
import sys

from engine.gateway.openapi.document import build_document


def printed() -> str:
    """The document with a member a line, so that a change of the contract is a change of a few lines."""
    return json.dumps(build_document(), ensure_ascii=False, indent=1) + "\n"


if __name__ == "__main__":
    sys.stdout.write(printed())
