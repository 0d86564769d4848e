"""An open-loop load generator: requests go out at fixed times, whatever the answers do, and latency is counted from
when a request was due. A server that stalls is charged for everybody who came meanwhile (no coordinated omission).

`python -m loadtests.open_loop --help`. Plain sockets, epoll and prepared bytes: some 30 µs of processor a request, most
of it in the kernel, because it shares its machine with what it measures. It speaks to loopback only and ends by itself.
"""
