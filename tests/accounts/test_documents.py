"""Documents of evidence: what is hidden in them does not come along, and what costs too much is given up."""

import io
import socket
import struct
import threading
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pikepdf
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from PIL import Image
from pytest_django import Settings

from apps.accounts import verification
from apps.accounts.documents import cleaned
from apps.accounts.models import Organisation, User
from apps.core import confined
from apps.core.errors import RuleViolation
from tests.documents import PDF, image, pdf

# As bytes that a test can look into.
PLAIN: Any = {
    "compress_streams": False,
    "object_stream_mode": pikepdf.ObjectStreamMode.disable,
    "stream_decode_level": pikepdf.StreamDecodeLevel.generalized,
}


def clean(content: bytes, name: str = "licence.pdf") -> tuple[str, bytes]:
    file = cleaned(SimpleUploadedFile(name, content))
    return str(file.name), file.read()


def refused_a_place(owner: int) -> str:
    try:
        with confined.place(owner):
            return ""
    except RuleViolation as violation:
        return violation.code


def refusal(content: bytes) -> str:
    with pytest.raises(RuleViolation) as refused:
        clean(content)
    return refused.value.code


def test_files_that_take_long_leave_threads_for_the_pages() -> None:
    # A process has four threads. Each may wait 20 s for a file that a stranger made to be slow.
    taken, done = threading.Barrier(3), threading.Event()

    def read(owner: int) -> None:
        with confined.place(owner):
            taken.wait()
            done.wait()

    threads = [threading.Thread(target=read, args=[owner]) for owner in (1, 2)]
    for thread in threads:
        thread.start()
    taken.wait()

    assert [refused_a_place(owner) for owner in (1, 3)] == ["busy", "busy"]
    done.set()
    for thread in threads:
        thread.join()
    assert [refused_a_place(owner) for owner in (1, 3)] == ["", ""]


def test_one_organisation_does_not_keep_the_others_out_by_slow_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(confined, "USUAL_SECONDS", 0)
    with confined.place(1):
        assert refused_a_place(1) == "busy", "a second file of the same waits"
        assert refused_a_place(2) == "", "the second place is for others"
        time.sleep(0.1)
    # After a dear file its sender rests ten times as long.
    assert refused_a_place(1) == "busy"
    began = time.monotonic()
    while refused_a_place(1):
        assert time.monotonic() - began < 60
        time.sleep(0.1)


def test_a_script_and_a_file_in_a_pdf_do_not_come_along() -> None:
    script = pikepdf.Dictionary(S=pikepdf.Name.JavaScript, JS="app.alert('here')")
    content = pdf(OpenAction=script, AA=pikepdf.Dictionary(WC=script))
    with pikepdf.open(io.BytesIO(content)) as document:
        document.attachments["hidden.exe"] = b"MZ a program"
        document.save(file := io.BytesIO())
    assert b"alert" in file.getvalue()

    _name, kept = clean(file.getvalue())

    assert b"alert" not in kept
    with pikepdf.open(io.BytesIO(kept)) as document:
        assert len(document.pages) == 1
        assert not document.attachments
        assert not {"/OpenAction", "/AA"} & set(document.Root.keys())


@pytest.mark.parametrize("filters", [pikepdf.Name.DCTDecode, pikepdf.Array([pikepdf.Name.DCTDecode])])
def test_a_pdf_tells_neither_its_author_nor_the_place_of_its_photo(filters: pikepdf.Object) -> None:
    exif = Image.Exif()
    exif[0x010F] = "Unmistakable Phone"
    with pikepdf.open(io.BytesIO(PDF)) as document:
        with document.open_metadata() as metadata:
            metadata["dc:creator"] = ["Li Unmistakable"]
        document.docinfo["/Author"] = "Li Unmistakable"
        facts = {"Subtype": pikepdf.Name.Image, "Width": 40, "Height": 20, "BitsPerComponent": 8}
        photo = pikepdf.Stream(document, image("JPEG", exif=exif), ColorSpace=pikepdf.Name.DeviceRGB, **facts)
        photo["/Filter"] = filters
        # A page may call its photo so.
        document.pages[0].obj["/Resources"] = pikepdf.Dictionary(XObject=pikepdf.Dictionary(AF=photo))
        document.save(file := io.BytesIO(), **PLAIN)
    assert file.getvalue().count(b"Unmistakable") == 3

    _name, kept = clean(file.getvalue())

    with pikepdf.open(io.BytesIO(kept)) as document:
        left: Any = document.pages[0].obj["/Resources"]["/XObject"]["/AF"]
        assert pikepdf.PdfImage(left).as_pil_image().size == (40, 20)
        document.save(file := io.BytesIO(), **PLAIN)
    assert b"Unmistakable" not in file.getvalue()


def test_what_hangs_on_a_link_does_not_come_along() -> None:
    with pikepdf.open(io.BytesIO(PDF)) as document:
        program = pikepdf.Dictionary(F=document.make_stream(b"MZ a program"))
        file_of_it = pikepdf.Dictionary(Type=pikepdf.Name.Filespec, F="x.exe", EF=program)
        away = pikepdf.Dictionary(S=pikepdf.Name.URI, URI="https://evil.example/")
        link = pikepdf.Dictionary(Subtype=pikepdf.Name.Link, Rect=[0, 0, 9, 9], PA=away, AF=[file_of_it])
        document.pages[0].obj["/Annots"] = pikepdf.Array([link])
        document.save(file := io.BytesIO(), **PLAIN)

    _name, kept = clean(file.getvalue())

    with pikepdf.open(io.BytesIO(kept)) as document:
        assert set(document.pages[0].obj["/Annots"][0].keys()) == {"/Rect", "/Subtype"}
        document.save(file := io.BytesIO(), **PLAIN)
    assert not [word for word in (b"evil", b"a program") if word in file.getvalue()]


def test_an_action_that_starts_a_program_is_taken_from_the_page() -> None:
    with pikepdf.open(io.BytesIO(PDF)) as document:
        launch = pikepdf.Dictionary(S=pikepdf.Name.Launch, F="cmd.exe")
        link = pikepdf.Dictionary(Type=pikepdf.Name.Annot, Subtype=pikepdf.Name.Link, Rect=[0, 0, 9, 9], A=launch)
        document.pages[0].obj["/Annots"] = pikepdf.Array([document.make_indirect(link)])
        document.save(file := io.BytesIO())

    _name, kept = clean(file.getvalue())

    with pikepdf.open(io.BytesIO(kept)) as document:
        assert "cmd.exe" not in str([dict(one) for one in document.pages[0].obj.get("/Annots", [])])


def test_a_photo_loses_its_place_and_what_is_behind_it() -> None:
    exif = Image.Exif()
    exif[0x010E] = "taken in the ward of Mrs Li"
    content = image("JPEG", exif=exif) + b"PK\x03\x04 an archive behind the image"

    name, kept = clean(content, "photo.pdf")

    assert name == "document.jpg", "it is called after what it is"
    assert b"Mrs Li" not in kept
    assert b"PK" not in kept
    assert Image.open(io.BytesIO(kept)).size == (40, 20)


def test_a_photo_that_was_turned_stays_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turn it by a quarter
    _name, kept = clean(image("JPEG", exif=exif))
    assert Image.open(io.BytesIO(kept)).size == (20, 40)


def bomb(side: int) -> bytes:
    """A PNG of a few kilobytes with side × side pixels."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack("!L", len(content)) + kind + content + struct.pack("!L", zlib.crc32(kind + content))

    packer = zlib.compressobj(9)
    row = b"\0" + b"\0" * (side // 8)
    lines = b"".join(packer.compress(row) for _ in range(side)) + packer.flush()
    head = struct.pack("!LLBBBBB", side, side, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", lines) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"MZ\x90 a program", "document_kind"),
        (b"%PDF-1.7 and nothing else", "document_kind"),
        (b"\x89PNG\r\n\x1a\n and nothing else", "document_kind"),
        (b"", "document_kind"),
        (bomb(16_000), "document_too_costly"),
        (PDF + b"0" * 5 * 1024 * 1024, "document_too_large"),
    ],
)
def test_what_is_no_document_is_refused(content: bytes, code: str) -> None:
    assert refusal(content) == code


def test_a_locked_pdf_is_refused() -> None:
    with pikepdf.open(io.BytesIO(PDF)) as document:
        document.save(file := io.BytesIO(), encryption=pikepdf.Encryption(owner="a", user="b"))
    assert refusal(file.getvalue()) == "document_kind"


@contextmanager
def scanner(answer: bytes) -> Iterator[tuple[str, list[bytes]]]:
    """A daemon that speaks as ClamAV's does; yields its address and what it was sent."""
    received: list[bytes] = []

    def serve(listener: socket.socket) -> None:
        connection, _address = listener.accept()
        with connection, connection.makefile("rb") as sent:
            assert sent.read(10) == b"zINSTREAM\0"
            while length := struct.unpack("!L", sent.read(4))[0]:
                received.append(sent.read(length))
            connection.sendall(answer)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener,), daemon=True)
        thread.start()
        yield f"tcp://127.0.0.1:{listener.getsockname()[1]}", received
        thread.join(5)


def test_a_scanner_is_asked_before_anything_reads_the_document(settings: Settings) -> None:
    with scanner(b"stream: OK\0") as (settings.CLAMAV_URL, received):
        assert clean(PDF)[0] == "document.pdf"
    assert b"".join(received) == PDF

    with scanner(b"stream: Eicar-Signature FOUND\0") as (settings.CLAMAV_URL, _received):
        assert refusal(PDF) == "document_infected"


def test_without_its_scanner_a_document_is_not_kept(settings: Settings) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        settings.CLAMAV_URL = f"tcp://127.0.0.1:{closed.getsockname()[1]}"
    assert refusal(PDF) == "scanner_away"


@pytest.mark.django_db
def test_an_organisation_keeps_a_few_documents(
    hospital: Organisation, buyer: User, monkeypatch: pytest.MonkeyPatch, settings: Settings, tmp_path: str
) -> None:
    settings.MEDIA_ROOT = tmp_path
    monkeypatch.setattr(verification, "MAX_DOCUMENTS", 1)
    verification.add_evidence(hospital, SimpleUploadedFile("one.pdf", PDF), by=buyer)

    with pytest.raises(RuleViolation) as refused:
        verification.add_evidence(hospital, SimpleUploadedFile("two.pdf", PDF), by=buyer)
    assert refused.value.code == "too_many_documents"
