"""Draws an image anew, or writes a PDF anew without what runs. A script for `apps.core.confined`.

What is hidden in the file of a stranger (a second file behind the image, the place where a photo was taken, who wrote a
PDF, a script in it) does not come along. The answer is the kind of file (`jpg`, `png`, `pdf` or `unknown`) on a line of
its own, then the new file.
"""

import io
import sys
from typing import Any, Final

LONGEST_SIDE: Final = 4_000  # pixels: each line of a licence can be read
MOST_PIXELS: Final = 60_000_000
MOST_PAGES: Final = 100
# The second action of a link, files that belong to a part, the file itself, who wrote it and where.
_HIDDEN: Final = ("/PA", "/AF", "/EF", "/Metadata")
# Markers of the segments of a JPEG before the image itself, and of what programs write beside it.
_SEGMENTS: Final = {bytes([code]) for code in (*range(0xC0, 0xD0), *range(0xDB, 0xFF))}
_NOTES: Final = {bytes([code]) for code in (*range(0xE1, 0xEE), 0xFE)}


def redraw(data: bytes) -> tuple[str, bytes]:
    if data.startswith(b"%PDF-"):
        return "pdf", _pdf(data)
    if data.startswith(b"\xff\xd8\xff"):
        return "jpg", _image(data, "JPEG")
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png", _image(data, "PNG")
    return "unknown", b""


def _image(data: bytes, kind: str) -> bytes:
    from PIL import Image, ImageOps

    Image.MAX_IMAGE_PIXELS = None  # our own bound has an answer of its own
    image = Image.open(io.BytesIO(data), formats=[kind])
    if image.width * image.height > MOST_PIXELS:
        raise MemoryError
    image.draft("RGB", (LONGEST_SIDE, LONGEST_SIDE))  # a JPEG is read at a half or a quarter of its size
    turned = ImageOps.exif_transpose(image)  # the side that is up stands in what is dropped
    turned.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
    drawn = Image.new("RGB", turned.size, "white")
    drawn.paste(turned.convert("RGB"), mask=turned.getchannel("A") if "A" in turned.getbands() else None)
    answer = io.BytesIO()
    drawn.save(answer, kind, quality=88)
    return answer.getvalue()


def _pdf(data: bytes) -> bytes:
    import pikepdf
    from pikepdf.sanitize import Sanitizer

    with pikepdf.open(io.BytesIO(data)) as pdf:
        if len(pdf.pages) > MOST_PAGES:
            raise MemoryError
        runs = Sanitizer().remove_javascript().remove_external_access().remove_multimedia().remove_attachments()
        runs.remove_private_app_data().remove_web_capture().remove_collection().remove_thumbnails().apply(pdf)
        for name in ("/OpenAction", "/AA"):
            if name in pdf.Root:
                del pdf.Root[name]
        del pdf.docinfo
        for found in pdf.objects:
            _strip(found)
        answer = io.BytesIO()
        pdf.save(answer)
        return answer.getvalue()


def _strip(found: Any) -> None:
    """Take out of an object, and of what stands in it, what pikepdf's sanitizer leaves or does not reach."""
    import pikepdf

    if isinstance(found, pikepdf.Array):
        parts: list[Any] = list(found)  # numbers and texts come as Python's own
    elif isinstance(found, pikepdf.Dictionary | pikepdf.Stream):
        for name in _HIDDEN:
            if name in found and _is_hidden(name, found[name]):
                del found[name]
        jpeg = pikepdf.Name.DCTDecode
        if isinstance(found, pikepdf.Stream) and found.get("/Filter") in (jpeg, pikepdf.Array([jpeg])):
            photo = _without_notes(found.read_raw_bytes())
            how: Any = {"filter": found["/Filter"], "decode_parms": found.get("/DecodeParms")}  # as they were
            found.write(photo, **how)
        parts = [found[name] for name in found.keys()]  # noqa: SIM118  # a stream is no mapping
    else:
        return
    for part in parts:
        # Indirect objects have their own turn.
        if isinstance(part, pikepdf.Object) and not part.is_indirect:
            _strip(part)


def _is_hidden(name: str, value: Any) -> bool:
    """Whether it is what the name means, and not a font, an image or a colour that a page calls so."""
    import pikepdf

    if name == "/PA":
        return isinstance(value, pikepdf.Dictionary) and "/S" in value
    if name == "/Metadata":
        return isinstance(value, pikepdf.Stream) and value.get("/Type") == pikepdf.Name.Metadata
    if name == "/EF":
        return isinstance(value, pikepdf.Dictionary) and any(isinstance(one, pikepdf.Stream) for one in value.values())
    files = list(value) if isinstance(value, pikepdf.Array) else [value]
    return any(isinstance(file, pikepdf.Dictionary) and ("/F" in file or "/UF" in file) for file in files)


def _without_notes(jpeg: bytes) -> bytes:
    """A JPEG without the segments in which cameras and programs write (APP1 to APP13, comments), colours aside.

    It is as it was from where something is not in order.
    """
    kept, at = [jpeg[:2]], 2
    while jpeg[at : at + 1] == b"\xff" and jpeg[at + 1 : at + 2] in _SEGMENTS:
        end = at + 2 + int.from_bytes(jpeg[at + 2 : at + 4], "big")
        if jpeg[at + 1 : at + 2] not in _NOTES or jpeg[at + 4 : end].startswith(b"ICC_PROFILE"):
            kept.append(jpeg[at:end])
        at = end
    return b"".join([*kept, jpeg[at:]])


if __name__ == "__main__":
    kind, file = redraw(sys.stdin.buffer.read())
    sys.stdout.buffer.write(kind.encode() + b"\n" + file)
