"""A balancer of connections: `python -m tests.nodes.proxy HOST:PORT TARGET…`; a target is HOST:PORT or a socket's path.

Each connection goes to the next target that takes it, so a node that is gone costs one refusal.
"""

import asyncio
import itertools
import sys
from contextlib import suppress

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def connect(target: str) -> Streams:
    if target.startswith("/"):
        return await asyncio.open_unix_connection(target)
    host, port = target.rsplit(":", 1)
    return await asyncio.wait_for(asyncio.open_connection(host, int(port)), 2)


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    with suppress(OSError):
        writer.close()


async def serve(listen: str, targets: list[str]) -> None:
    turns = itertools.cycle(range(len(targets)))

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first = next(turns)
        for target in targets[first:] + targets[:first]:
            with suppress(OSError, TimeoutError):
                theirs, to_them = await connect(target)
                await asyncio.gather(pump(reader, to_them), pump(theirs, writer))
                return
        writer.close()

    host, port = listen.rsplit(":", 1)
    async with await asyncio.start_server(handle, host, int(port)) as server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], sys.argv[2:]))
