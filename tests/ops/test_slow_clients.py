"""The web server, attacked by clients that take all the time in the world."""

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from apps.ops.serving.buffering import HEADER_SECONDS
from tests.local.processes import ROOT, eventually, free_port, kill_all

pytestmark = pytest.mark.servers

# A file of 1 MB that anybody may read.
LONG = "/static/drf_spectacular_sidecar/swagger-ui-dist/swagger-ui-bundle.js"


@contextmanager
def python(*arguments: str, **environment: str) -> Iterator["subprocess.Popen[bytes]"]:
    child = subprocess.Popen(
        [sys.executable, *arguments], cwd=ROOT, env={**os.environ, **environment}, stdout=subprocess.PIPE
    )
    try:
        yield child
    finally:
        kill_all(child.pid)
        child.wait()


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """The site as it is served, on a port of its own; each test finds it well after the one before."""
    number = free_port()
    command = ("-m", "gunicorn", "-c", "python:apps.ops.web", "cosmomatch.wsgi")
    with python(*command, WEB_BIND=f"127.0.0.1:{number}", WEB_PROCESSES="1", WEB_THREADS="2"):
        eventually(lambda: seconds_of(number, "/healthz") < 5, "the web server")
        yield number


def seconds_of(port: int, path: str) -> float:
    """How long an answer takes; infinite where there is none within 5 s."""
    began = time.monotonic()
    try:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        connection.request("GET", path)
        connection.getresponse().read()
        connection.close()
    except OSError:
        return float("inf")
    return time.monotonic() - began


@contextmanager
def slow_clients(port: int, *, headers: int = 0, bodies: int = 0, readers: int = 0) -> Iterator[None]:
    numbers = map(str, (headers, bodies, readers))
    with python("-m", "tests.slow_clients", str(port), "127.0.0.1", LONG, *numbers) as attackers:
        assert attackers.stdout is not None
        assert attackers.stdout.readline() == b"attacking\n"
        time.sleep(2)
        yield


@pytest.mark.parametrize(
    "kind", ["headers", *(pytest.param(kind, marks=pytest.mark.long) for kind in ("bodies", "readers"))]
)
def test_the_site_answers_beside_thirty_slow_clients(port: int, kind: str) -> None:
    with slow_clients(port, **{kind: 30}):
        assert max(seconds_of(port, "/healthz") for _ in range(10)) < 5


@pytest.mark.long
def test_a_header_that_does_not_end_is_cut_off(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=HEADER_SECONDS + 20) as client:
        client.sendall(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n")
        assert client.recv(1) == b""


@pytest.mark.parametrize(
    ("head", "status"),
    [
        ("GET / HTTP/1.1\r\nX-Long: " + "x" * 40_000, 431),
        ("POST / HTTP/1.1\r\nContent-Length: 20000000", 413),
    ],
)
def test_what_is_too_large_is_refused_before_it_is_read(port: int, head: str, status: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        client.sendall(head.encode() + b"\r\nHost: 127.0.0.1\r\n\r\n")
        assert client.recv(1000).split()[1] == str(status).encode()


def test_a_request_with_two_lengths_is_refused_and_hides_no_other(port: int) -> None:
    """A proxy that goes by the one length would let a second request through inside of the first."""
    hidden = b"GET /readyz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    body = b"0\r\n\r\n" + hidden
    head = f"POST /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(body)}\r\nTransfer-Encoding: chunked"
    with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        client.sendall(head.encode() + b"\r\n\r\n" + body)
        answer = b"".join(iter(lambda: client.recv(65_536), b""))

    assert answer.split()[1] == b"400"
    assert answer.count(b"HTTP/1.1 ") == 1


def test_an_answer_that_is_being_read_survives_the_stop() -> None:
    number = free_port()
    command = ("-m", "gunicorn", "-c", "python:apps.ops.web", "cosmomatch.wsgi")
    with python(*command, WEB_BIND=f"127.0.0.1:{number}", WEB_PROCESSES="1") as server:
        eventually(lambda: seconds_of(number, "/healthz") < 5, "the web server")
        with socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.settimeout(10)
            client.connect(("127.0.0.1", number))
            client.sendall(f"GET {LONG} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
            answer = client.recv(1000)
            server.send_signal(signal.SIGTERM)
            time.sleep(1)
            while block := client.recv(65536):
                answer += block
                if len(answer) > 1_000_000:
                    break
        assert len(answer) > 1_000_000
        assert server.wait(30) == 0
