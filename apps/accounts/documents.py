"""Files that people upload as evidence: looked at by a virus scanner, then drawn or written anew."""

import socket
import struct
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import structlog
from django.conf import settings
from django.core.files.base import ContentFile
from django.core.files.uploadedfile import UploadedFile
from django.utils.translation import gettext_lazy as _

from apps.accounts import redrawing
from apps.core import confined
from apps.core.errors import RuleViolation

log = structlog.get_logger(__name__)

# A photo of a licence from a phone fits; in bytes.
LARGEST: Final = 5 * 1024 * 1024
CPU_SECONDS: Final = 6
MEMORY_BYTES: Final = 640_000_000
SCAN_SECONDS: Final = 15


def cleaned(upload: UploadedFile[Any]) -> ContentFile[bytes]:
    """The document as it may be kept, with the suffix of what it is, whatever its name says.

    Raises `document_too_large`, `document_infected`, `scanner_away`, `document_kind` (no PDF, JPEG or PNG, or a locked
    or broken one) and `document_too_costly`.
    """
    if (upload.size or 0) > LARGEST:
        raise RuleViolation("document_too_large", _("The document is larger than 5 MB."), field="document")
    data = upload.read()
    _scan(data)
    try:
        answer = confined.run(Path(redrawing.__file__), data, cpu_seconds=CPU_SECONDS, memory_bytes=MEMORY_BYTES)
    except confined.TooCostlyError as error:
        raise RuleViolation(
            "document_too_costly",
            _("The document has too many pages or pixels. Upload only the page that proves it."),
            field="document",
        ) from error
    except confined.BrokenError as error:
        log.info("document_broken", reason=str(error).strip().rpartition("\n")[2])
        raise RuleViolation(
            "document_kind", _("The document cannot be read: it is broken or locked with a password."), field="document"
        ) from error
    kind, _line, file = answer.partition(b"\n")
    if kind == b"unknown":
        raise RuleViolation(
            "document_kind", _("This is not a PDF, JPEG or PNG file, whatever its name says."), field="document"
        )
    return ContentFile(file, name=f"document.{kind.decode()}")


def _scan(data: bytes) -> None:
    """Ask ClamAV, if `CLAMAV_URL` names one, by its command INSTREAM. What cannot be scanned is not kept."""
    if not settings.CLAMAV_URL:
        return
    try:
        answer = _ask_scanner(data)
    except OSError as error:
        log.warning("scanner_away", reason=str(error))
        answer = ""
    if answer.endswith("FOUND"):
        log.warning("document_infected", answer=answer)
        raise RuleViolation(
            "document_infected", _("The virus scanner found something in this document."), field="document"
        )
    if not answer.endswith("OK"):
        raise RuleViolation(
            "scanner_away", _("The document cannot be checked for viruses now. Try again later."), field="document"
        )


def _ask_scanner(data: bytes) -> str:
    with _connection() as scanner:
        # One chunk with its length before it, and an empty one.
        scanner.sendall(b"zINSTREAM\0" + struct.pack("!L", len(data)) + data + struct.pack("!L", 0))
        answer = b""
        while not answer.endswith(b"\0") and (part := scanner.recv(1024)):
            answer += part
    return answer.rstrip(b"\0").decode(errors="replace")


def _connection() -> socket.socket:
    address = urlsplit(settings.CLAMAV_URL)
    if address.scheme != "unix":
        return socket.create_connection((address.hostname, address.port or 3310), timeout=SCAN_SECONDS)
    scanner = socket.socket(socket.AF_UNIX)
    scanner.settimeout(SCAN_SECONDS)
    scanner.connect(address.path)
    return scanner
