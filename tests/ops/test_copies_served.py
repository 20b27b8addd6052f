"""The web server answers from copies without a thread of the pool, in the order in which it was asked."""

import http.client
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.local.processes import ROOT, eventually, free_port, kill_all

pytestmark = pytest.mark.servers


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    number = free_port()
    command = [sys.executable, "-m", "gunicorn", "-c", "python:apps.ops.web", "tests.ops.kept"]
    settings = {"WEB_BIND": f"127.0.0.1:{number}", "WEB_PROCESSES": "1", "WEB_THREADS": "2"}
    child = subprocess.Popen(command, cwd=ROOT, env={**os.environ, **settings})
    try:
        eventually(lambda: is_answered(number, "/kept"), "the web server")
        yield number
    finally:
        kill_all(child.pid)
        child.wait()


def is_answered(port: int, path: str) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().read() == path.encode()
    except OSError:
        return False
    finally:
        connection.close()


def asked(port: int, *lines: str) -> list[tuple[str, bytes]]:
    """Status and body of all answers to these requests, sent at once on one connection. The last one closes it."""
    text = "\r\n".join(f"{line} HTTP/1.1\r\nHost: localhost\r\n" for line in lines)
    with socket.create_connection(("127.0.0.1", port), timeout=20) as client:
        client.sendall(f"{text}Connection: close\r\n\r\n".encode())
        answer = b"".join(iter(lambda: client.recv(65_536), b""))
    parts = re.split(rb"(?=HTTP/1\.1 )", answer)[1:]
    return [(part[9:12].decode(), part.partition(b"\r\n\r\n")[2]) for part in parts]


def test_answers_from_copies_and_others_come_in_order(port: int) -> None:
    assert asked(port, "GET /kept") == [("200", b"/kept")], "now there is a copy for this host"
    expected = [("200", b"/kept"), ("200", b"/a"), ("200", b"/kept"), ("200", b"/b")]
    assert asked(port, "GET /kept", "GET /a", "GET /kept", "GET /b") == expected
    assert asked(port, "HEAD /kept", "GET /kept") == [("200", b""), ("200", b"/kept")]


def test_a_copy_is_shown_while_every_thread_hangs(port: int) -> None:
    hanging = [socket.create_connection(("127.0.0.1", port)) for _ in range(4)]
    try:
        for each in hanging:
            each.sendall(b"GET /hung HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert is_answered(port, "/kept")
        assert not is_answered(port, "/other"), "no thread is left"
        assert is_answered(port, "/kept")
    finally:
        for each in hanging:
            each.close()
