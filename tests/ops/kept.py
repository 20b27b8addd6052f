"""A small program behind copies: `/kept` may be kept, `/hung` hangs, and all else is answered with its path."""

import time
from collections.abc import Callable
from typing import Any

import django

from apps.ops.serving.copies import AnswersFromCopies


class Answer(list[bytes]):
    def close(self) -> None:
        pass


def program(environ: dict[str, Any], start_response: Callable[..., object]) -> Answer:
    path = environ["PATH_INFO"]
    if path == "/hung":
        time.sleep(60)
    kept = "public, max-age=60, stale-while-revalidate=600"
    headers = [("Cache-Control", kept if path == "/kept" else "no-store"), ("Content-Length", str(len(path)))]
    start_response("200 OK", headers)
    return Answer([path.encode()])


django.setup()
application = AnswersFromCopies(program)
