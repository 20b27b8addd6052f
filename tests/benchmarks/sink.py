"""A mail server that notes when each mail was handed over: `python -m tests.benchmarks.sink PORT FILE [HOST]`.

A process of its own, so that it takes no time from what is measured. A line is the time and the message's id.
"""

import asyncio
import re
import sys
import time
from pathlib import Path
from typing import IO

from aiosmtpd.smtp import SMTP, Envelope, Session

MESSAGE_ID = re.compile(rb"^Message-ID:\s*<([0-9a-fA-F-]+)@", re.IGNORECASE | re.MULTILINE)


class Clock:
    def __init__(self, file: IO[str]) -> None:
        self.file = file

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802  aiosmtpd's name
        found = MESSAGE_ID.search(bytes(envelope.original_content or b""))
        self.file.write(f"{time.time():.6f} {found[1].decode() if found else '?'}\n")
        self.file.flush()
        return "250 Noted"


async def serve(port: int, path: Path, host: str = "127.0.0.1") -> None:
    with path.open("a", encoding="ascii") as file:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: SMTP(Clock(file), enable_SMTPUTF8=True, loop=loop), host, port)
        async with server:
            await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:]))
