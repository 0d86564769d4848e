"""`python -m loadtests.open_loop`: one run, its summary as a line of JSON on standard output."""

import argparse
import sys
import time
from pathlib import Path

import msgspec

from loadtests.open_loop.loop import Load, OpenLoop


def _request_of(line: bytes, body: bytes) -> bytes:
    """What a user sends behind what all of them send alike."""
    header, _, own = line.partition(b"\t")
    body = own or body
    kind = b"Content-Type: application/json\r\n" if body else b""
    return b"%s\r\n%sContent-Length: %d\r\n\r\n%s" % (header, kind, len(body), body)


def main() -> int:
    """Run; 0, or 3 where nobody answers there."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.open_loop", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--port", type=int, required=True, help="on 127.0.0.1")
    parser.add_argument("--users", type=Path, required=True, help="a file: a header line each, tab and own body")
    parser.add_argument("--path", required=True, help="that each of them posts to, once")
    parser.add_argument("--body", default="")
    parser.add_argument("--rate", type=float, required=True, help="requests a second")
    parser.add_argument("--connections", type=int, default=1_000, help="(default: 1000)")
    parser.add_argument("--begin-at", type=float, default=0.0, metavar="UNIX", help="time of the first request")
    parser.add_argument("--patience", type=float, default=10.0, help="seconds after the last request (default: 10)")
    parser.add_argument("--page", default="", help="that every connection gets once before the load begins")
    options = parser.parse_args()
    body = options.body.encode()
    greeting = b"GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" % options.page.encode() if options.page else b""
    load = Load(
        port=options.port,
        users=[_request_of(line, body) for line in options.users.read_bytes().splitlines()],
        before=b"POST %s HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: application/json\r\n" % options.path.encode(),
        after=b"",
        rate=options.rate,
        connections=options.connections,
        begin_at_s=options.begin_at,
        patience_s=options.patience,
        greeting=greeting,
    )
    run = OpenLoop(load)
    began_cpu_s = time.process_time()
    try:
        run.run()
    except OSError as error:
        sys.stderr.write(f"open loop: 127.0.0.1:{options.port}: {error}\n")
        return 3
    except KeyboardInterrupt:
        return 3
    summary = run.answers.summary(run.began_ns, time.process_time() - began_cpu_s)
    sys.stdout.write(msgspec.json.encode(summary).decode() + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
