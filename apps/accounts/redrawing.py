"""Draws an image anew, or writes a PDF anew without what runs. A script for `apps.core.confined`.

What is hidden in the file of a stranger (a second file behind the image, the place where a photo was taken, a script in
a PDF) does not come along. The answer is the kind of file (`jpg`, `png`, `pdf` or `unknown`) on a line of its own, then
the new file.
"""

import io
import sys
from typing import Final

LONGEST_SIDE: Final = 4_000  # pixels: each line of a licence can be read
MOST_PIXELS: Final = 60_000_000
MOST_PAGES: Final = 100


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
    from pikepdf import sanitize

    with pikepdf.open(io.BytesIO(data)) as pdf:
        if len(pdf.pages) > MOST_PAGES:
            raise MemoryError
        sanitize.remove_javascript(pdf)
        sanitize.remove_attachments(pdf)
        sanitize.remove_external_access(pdf)
        sanitize.remove_multimedia(pdf)
        for name in ("/OpenAction", "/AA"):
            if name in pdf.Root:
                del pdf.Root[name]
        answer = io.BytesIO()
        pdf.save(answer)
        return answer.getvalue()


if __name__ == "__main__":
    kind, file = redraw(sys.stdin.buffer.read())
    sys.stdout.buffer.write(kind.encode() + b"\n" + file)
