"""How many exports there may be at once. A place is a locked file: the system frees it when its process ends.

An export is *made* while the database writes it, and *on its way* until the client has read it. Making costs the
database, so a node makes few at once. An answer on its way costs room on the disk, so each caller has one, and a node a
few dozen. Nodes that share `VAR_DIR` share these places.

Many accounts must not take all of them from the others. So an organisation has few, all that nobody verified have few
together, and half are for partners: who watches a region.
"""

import fcntl
import hashlib
from collections.abc import Callable, Collection, Iterator
from typing import IO, TYPE_CHECKING, Final

from django.conf import settings

if TYPE_CHECKING:  # the web server reads this file before Django is ready for models
    from apps.exports.services import ExportPull


ON_THEIR_WAY: Final = 20
FOR_PARTNERS: Final = 10
"""Of these, how many nobody else gets."""

OF_ONE_ORGANISATION: Final = 2
OF_ONE_PARTNER: Final = 5

KEEP_UNTIL_SENT: Final = "cosmomatch.keep_until_sent"
"""The name in the WSGI environment of a function. What it is given is called when the client has the whole answer."""


class CapacityReached(Exception):
    """All places are taken. It is worth asking again in a few seconds."""


class ExportPlace:
    """The places that one export holds."""

    def __init__(self, caller: str, organisations: Collection[str], *, is_partner: bool = False) -> None:
        """Raises `CapacityReached`. `caller` names a user, and `organisations` the verified ones that it acts for."""
        self._locks: dict[str, IO[bytes]] = {}
        name = hashlib.sha256(caller.encode()).hexdigest()[:16]
        try:
            self._take("caller", [f"caller-{name}"])
            few = range(OF_ONE_PARTNER if is_partner else OF_ONE_ORGANISATION)
            self._take("organisation", [f"of-{one}-{number}" for one in organisations or ["nobody"] for number in few])
            # Partners begin with their own.
            sending = range(ON_THEIR_WAY) if is_partner else range(FOR_PARTNERS, ON_THEIR_WAY)
            self._take("sending", [f"sending-{number}" for number in sending])
            self._take("making", [f"making-{number}" for number in range(settings.EXPORTS_AT_ONCE)])
        except CapacityReached:
            self.leave()
            raise

    def _take(self, kind: str, names: list[str]) -> None:
        folder = settings.VAR_DIR / "exports"
        folder.mkdir(parents=True, exist_ok=True)
        for name in names:
            file = (folder / f"{name}.lock").open("ab")
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.close()
                continue
            self._locks[kind] = file
            return
        raise CapacityReached(kind)

    def made(self) -> None:
        """The database has done its part."""
        if lock := self._locks.pop("making", None):
            lock.close()

    def leave(self) -> None:
        """The client has everything, or is gone."""
        while self._locks:
            self._locks.popitem()[1].close()


class PlacedPull:
    """A pull that gives its places back: that of making when it is read or broken off, the others when it is sent.

    `keep_until_sent` is what the web server offers under `KEEP_UNTIL_SENT`. Without it an answer that is read is sent.
    """

    def __init__(
        self, pulled: "ExportPull", place: ExportPlace, keep_until_sent: Callable[[Callable[[], None]], object] | None
    ) -> None:
        self._pulled, self._place = pulled, place
        self._server_tells = keep_until_sent is not None
        if keep_until_sent is not None:
            keep_until_sent(place.leave)

    def __iter__(self) -> Iterator[bytes]:
        try:
            yield from self._pulled
        finally:
            self._place.made()

    def close(self) -> None:
        self._pulled.close()
        self._place.made()
        if not self._server_tells:
            self._place.leave()
