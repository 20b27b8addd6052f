"""Clients that take all the time in the world: `python -m tests.slow_clients PORT HOST PATH HEADERS BODIES READERS`.

A header and a body arrive a few bytes a second; an answer is read a kilobyte a second. Whoever is cut off comes again.
Says "attacking" once all are connected, and goes on until it is killed.
"""

import asyncio
import socket
import sys
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

Attack = Callable[[asyncio.StreamReader, asyncio.StreamWriter, str, str], Coroutine[Any, Any, None]]


async def send_header(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str, _path: str) -> None:
    writer.write(f"GET /healthz HTTP/1.1\r\nHost: {host}\r\n".encode())
    while not reader.at_eof():
        await asyncio.sleep(1)
        writer.write(b"X-More: to come\r\n")
        await writer.drain()


async def send_body(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str, _path: str) -> None:
    head = f"POST /account/login/ HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/x-www-form-urlencoded\r\n"
    writer.write(f"{head}Content-Length: 100000\r\n\r\nlogin=".encode())
    while not reader.at_eof():
        await asyncio.sleep(1)
        writer.write(b"a")
        await writer.drain()


async def read_answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str, path: str) -> None:
    # Several times, because the kernel takes some megabytes of an answer for a reader that is not there.
    writer.write(f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode() * 4)
    while await reader.read(1000):  # noqa: ASYNC110  it is slow on purpose
        await asyncio.sleep(1)


async def again_and_again(attack: Attack, port: int, host: str, path: str, connected: asyncio.Event) -> None:
    while True:
        with suppress(OSError):
            sock = socket.socket()
            sock.setblocking(False)
            # Otherwise the kernel would read for us.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port))
            reader, writer = await asyncio.open_connection(sock=sock, limit=2000)
            connected.set()
            try:
                await attack(reader, writer, host, path)
            finally:
                writer.close()
        await asyncio.sleep(0.2)


async def main(port: int, host: str, path: str, headers: int, bodies: int, readers: int) -> None:
    attacks: list[Attack] = [send_header] * headers + [send_body] * bodies + [read_answer] * readers
    connected = [asyncio.Event() for _ in attacks]
    async with asyncio.TaskGroup() as group:
        for attack, event in zip(attacks, connected, strict=True):
            group.create_task(again_and_again(attack, port, host, path, event))
        for event in connected:
            await event.wait()
        sys.stdout.write("attacking\n")
        sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2], sys.argv[3], *map(int, sys.argv[4:7])))
