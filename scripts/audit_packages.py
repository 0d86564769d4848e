"""Whether a locked package has a known vulnerability: pip-audit over requirements/, made to fit into scripts/check.

Exit status 1 and a list where one has. Where the database cannot be reached that is said in one line, and no fault:
a machine without a network checks everything else. Run by the Python of .venv, where pip-audit is.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Final, NamedTuple

LOCK: Final = Path(__file__).parents[1] / "requirements" / "development.lock"
"""It holds run.lock in the same versions."""
SERVICES: Final = ("pypi", "osv")
"""Asked in this order, until one answers."""
WAIT_S: Final = 10
"""For one answer."""
ALL_S: Final = 60
"""For all of them: some seventy packages, asked for one by one."""
UNREACHABLE: Final = (
    "ConnectionError",
    "ConnectTimeout",
    "ReadTimeout",
    "ProxyError",
    "SSLError",
    "NameResolutionError",
    "Max retries exceeded",
    "Could not connect to",
    "HTTPError",
    "JSONDecodeError",  # a page in the place of the answer: a portal, a mirror that has no such thing
)


class Finding(NamedTuple):
    """What came of asking one service."""

    status: int | None
    """Exit status for scripts/check; None where the service could not be asked."""
    said: str


def main() -> int:
    """Ask, and say what was heard."""
    away = []
    for service in SERVICES:
        finding = _ask(service)
        if finding.status is not None:
            sys.stdout.write(f"{finding.said}\n")
            return finding.status
        away.append(finding.said)
    sys.stdout.write(f"vulnerabilities were not looked up: {'; '.join(away)}\n")
    return 0


def _ask(service: str) -> Finding:
    command = [sys.executable, "-m", "pip_audit", "--vulnerability-service", service, "--format", "json"]
    command += ["--progress-spinner", "off", "--timeout", str(WAIT_S), "--disable-pip", "--no-deps", "-r", str(LOCK)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=ALL_S)  # noqa: S603 - our own words
    except subprocess.TimeoutExpired:
        return Finding(None, f"{service} took longer than {ALL_S} s")
    return finding_of(service, done.returncode, done.stdout, done.stderr)


def finding_of(service: str, status: int, out: str, err: str) -> Finding:
    """What pip-audit's words mean."""
    try:
        packages = json.loads(out)["dependencies"]
    except (ValueError, KeyError, TypeError):
        last = (err.strip() or out.strip() or "nothing").splitlines()[-1]
        is_away = any(word in err for word in UNREACHABLE)
        return Finding(None if is_away else 1, f"{service} cannot be reached" if is_away else f"pip-audit: {last}")
    vulnerable = [(package, flaw) for package in packages for flaw in package.get("vulns", ())]
    if vulnerable:
        return Finding(1, "\n".join(_line(package, flaw) for package, flaw in vulnerable))
    unknown = [package["name"] for package in packages if "skip_reason" in package]
    if len(unknown) == len(packages):  # a mirror serves packages, and nothing about them
        return Finding(None, f"{service} knows none of the {len(packages)} packages from here")
    if status:
        return Finding(1, f"pip-audit ended with {status}: {err.strip()}")
    asked = len(packages) - len(unknown)
    left_out = f"; not known there: {', '.join(unknown)}" if unknown else ""
    return Finding(0, f"no known vulnerability in {asked} packages ({service}){left_out}")


def _line(package: dict[str, str], flaw: dict[str, list[str]]) -> str:
    mended = f"mended in {', '.join(flaw['fix_versions'])}" if flaw["fix_versions"] else "not mended yet"
    return f"{package['name']} {package['version']}: {flaw['id']}, {mended}"


if __name__ == "__main__":
    sys.exit(main())
