"""More calls at once than there are connections: they wait for their turn."""

import asyncio

from engine.hotstore.store import CONNECTIONS_MAX, HotStore


async def test_a_herd_of_reads_waits_for_connections(store: HotStore) -> None:
    answers = await asyncio.gather(*(store.call("ECHO", str(number)) for number in range(20 * CONNECTIONS_MAX)))
    assert answers == [str(number).encode() for number in range(20 * CONNECTIONS_MAX)]
    clients = (await store.call("INFO", "clients")).decode()
    connected = next(
        int(line.partition(":")[2]) for line in clients.splitlines() if line.startswith("connected_clients")
    )
    assert connected <= CONNECTIONS_MAX
