"""A mail server that keeps everything and sends nothing: `python -m apps.local.mail [HOST:]PORT DIRECTORY`.

For developers and demonstrations. Each mail becomes a file `time-to-subject.eml`; the newest thousand stay.
"""

import asyncio
import re
import signal
import sys
from datetime import UTC, datetime
from email import message_from_bytes, policy
from pathlib import Path

from aiosmtpd.smtp import SMTP, Envelope, Session

KEPT = 1000
MOST_BYTES = 20_000_000


class MailCatcher:
    def __init__(self, directory: Path) -> None:
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True)

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802  aiosmtpd's name
        keep(self.directory, envelope.original_content or b"", envelope.rcpt_tos)
        return "250 Kept"


def keep(directory: Path, content: bytes, recipients: list[str]) -> Path:
    """Write a mail under another name and rename it, so that a reader never sees half of it. Returns its file."""
    subject = str(message_from_bytes(content, policy=policy.default)["Subject"] or "")
    words = re.sub(r"[^\w@.+-]+", "-", f"{' '.join(recipients)} {subject}").strip("-")
    # The time comes first, so that names sort by age. Cut by bytes, because file systems count those.
    name = f"{datetime.now(UTC):%Y%m%dT%H%M%S.%f}-{words}".encode()[:200].decode(errors="ignore")
    part = directory / ".part"
    part.write_bytes(content)
    file = part.rename(directory / f"{name}.eml")
    # Names begin with the time, so the oldest come first.
    for old in sorted(directory.glob("*.eml"))[:-KEPT]:
        old.unlink(missing_ok=True)
    return file


async def serve(host: str, port: int, directory: Path) -> None:
    catcher, loop, stopped = MailCatcher(directory), asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    server = await loop.create_server(
        lambda: SMTP(catcher, data_size_limit=MOST_BYTES, enable_SMTPUTF8=True, loop=loop), host or "127.0.0.1", port
    )
    async with server:
        await stopped.wait()


if __name__ == "__main__":
    _host, _, _port = sys.argv[1].rpartition(":")
    asyncio.run(serve(_host, int(_port), Path(sys.argv[2])))
