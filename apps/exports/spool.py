"""A file between one who writes as fast as it can and one who reads as slowly as it likes.

The writer never waits for the reader, and the reader waits only for bytes that are not written yet. The file has no
name, and is gone with the process. The system keeps what fits in its cache of files.
"""

import os
import tempfile
from collections.abc import Iterator
from threading import Condition
from typing import Final

BLOCK: Final = 64 * 1024  # bytes; the reader gets blocks of this size, and one smaller at the end


class ReaderLeft(Exception):
    """Nobody reads what is being written."""


class Spool:
    """The bytes written so far. One thread writes and ends, another reads and closes."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115  # `close` closes it; it is in TMPDIR
        self.rows: int | None = None  # how many the writer has written, once it has written all
        self._written = 0
        self._ended = False
        self._error: BaseException | None = None
        self._left = False
        self._changed = Condition()

    def write(self, block: bytes) -> None:
        """Append a block. Raises `ReaderLeft`, and `OSError` where the disk is full."""
        if self._left:
            raise ReaderLeft
        rest = memoryview(block)
        while rest:
            rest = rest[self._file.write(rest) :]
        with self._changed:
            self._written += len(block)
            self._changed.notify()

    def end(self, error: BaseException | None = None) -> None:
        """Nothing more will come. An error is raised to the reader, behind all that was written."""
        with self._changed:
            self._ended, self._error = True, error
            self._changed.notify()

    def read(self) -> Iterator[bytes]:
        """All that was written and will be."""
        offset = 0
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._ended or self._written >= offset + BLOCK)  # noqa: B023  # asked at once
                written, ended, error = self._written, self._ended, self._error
            while offset < written:
                # Read at a place of its own: the position of the file belongs to the writer.
                block = os.pread(self._file.fileno(), min(BLOCK, written - offset), offset)
                offset += len(block)
                yield block
            if ended:
                break
        if error is not None:
            raise error

    def leave(self) -> None:
        """The reader goes away: the next write tells the writer so."""
        self._left = True

    def close(self) -> None:
        """Give the room back, once neither reads or writes any more."""
        self._file.close()
