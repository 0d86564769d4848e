"""Which documented answers of the gateway the tests of a run have seen, however many processes shared it.

Each process counts for itself (`contract.REACHED`) and hands its list over when it ends. The summary of a run says
how many were seen. `TEST_WHOLE=yes`, which scripts/test sets where it runs everything, makes a documented answer that
no test has reached a failure: what nobody can reach is not to be promised.

Nothing of the gateway is imported before there is something to tell: most runs of a few tests never need it.
"""

import os
import sys
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.support.contract import Reached

_HANDED_OVER = "contract_reached"
_seen: "set[Reached]" = set()
"""By this process and by those that handed over."""


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A process that shares the run hands its list over; whoever leads it judges."""
    contract = sys.modules.get("tests.support.contract")
    if contract is not None:
        _seen.update(contract.REACHED)
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput[_HANDED_OVER] = [list(each) for each in _seen]
    elif os.environ.get("TEST_WHOLE") and session.exitstatus == pytest.ExitCode.OK and missing():
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object | None) -> None:
    """pytest-xdist: a process has ended."""
    from tests.support.contract import Reached

    _seen.update(Reached(*each) for each in getattr(node, "workeroutput", {}).get(_HANDED_OVER, []))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if not _seen:
        return
    wanted, lacking = promised(), missing()
    terminalreporter.write_line(f"OpenAPI: {len(wanted) - len(lacking)} of {len(wanted)} documented answers were seen")
    if os.environ.get("TEST_WHOLE"):
        for each in sorted(lacking):
            terminalreporter.write_line(f"  never seen: {each.operation} {each.status} {each.code}")


def promised() -> "set[Reached]":
    """What has to be seen. A HEAD refuses as its GET does, and is held against the document where tests send one."""
    from tests.support.contract import documented

    return {each for each in documented() if not (each.operation.startswith("head_") and each.code)}


def missing() -> "set[Reached]":
    """What was promised and not seen. What comes before an address is looked at counts for all addresses."""
    from engine.gateway.openapi.operations import BEFORE_ROUTING, OPERATIONS
    from tests.support.contract import NOWHERE

    elsewhere = {each.code for each in _seen if each.operation == NOWHERE} & BEFORE_ROUTING
    own = {operation.id: operation.refusals for operation in OPERATIONS}
    return {
        each
        for each in promised() - _seen
        if each.code not in elsewhere or each.code in own.get(each.operation, frozenset())
    }
