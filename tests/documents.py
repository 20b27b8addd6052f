"""Small documents that can be opened, as people upload them."""

import io
from typing import Any

import pikepdf
from PIL import Image


def pdf(**root: Any) -> bytes:
    """One empty page. `root` are more entries of the catalogue of the document, such as `OpenAction`."""
    file = io.BytesIO()
    with pikepdf.new() as document:
        document.add_blank_page()
        for name, value in root.items():
            document.Root[f"/{name}"] = value
        document.save(file)
    return file.getvalue()


def image(kind: str, size: tuple[int, int] = (40, 20), **options: Any) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size, "red").save(file, kind, **options)
    return file.getvalue()


PDF = pdf()
PNG = image("PNG")
