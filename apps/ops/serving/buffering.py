"""A gunicorn worker that lets waitress speak HTTP, so that a slow client holds a socket and never a thread.

One thread per process sends and receives for all connections, and answers from copies (`copies.py`). A thread of the
pool gets any other request when its body is complete, and leaves when the answer is written down: in memory, or in a
temporary file when it is long. gunicorn starts, watches and stops the processes.
Why: docs/decisions/0032-waitress-inside-gunicorn.md.
"""

import os
import resource
import socket
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Final, cast

from django.conf import settings
from gunicorn.workers.base import Worker
from waitress import wasyncore
from waitress.adjustments import Adjustments
from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser, ParsingError
from waitress.server import BaseWSGIServer, TcpWSGIServer, UnixWSGIServer
from waitress.task import ThreadedTaskDispatcher, WSGITask

from apps.exports.capacity import KEEP_UNTIL_SENT
from apps.ops.serving.copies import AT_HAND, Copy

HEADER_SECONDS: Final = 10  # until the header of a request is complete; also how long an idle connection is kept
BODY_SECONDS: Final = 30  # until its body is complete, and a second more for every PACE bytes of it
ANSWER_SECONDS: Final = 60  # until an answer is read, and a second more for every PACE bytes of it
PACE: Final = 8_000  # bytes a second; slower clients are cut off

HEADER_BYTES: Final = 32_768
CONNECTIONS: Final = 1_000  # of one process
PROBES: Final = ("/healthz", "/readyz")
AHEAD: Final = 4  # requests that a client may send on one connection without waiting for answers


class Parser(HTTPRequestParser):
    """Refuses a request that states its length twice: a proxy that goes by the other length sees another request.

    RFC 9112, section 6.3, wants it handled as an error. waitress alone goes by the chunks and keeps the connection.
    """

    copy: Copy | None = None  # what answers it without a thread of the pool

    def parse_header(self, header_plus: bytes) -> None:
        super().parse_header(header_plus)
        if self.chunked and "CONTENT_LENGTH" in self.headers:
            raise ParsingError("Content-Length and Transfer-Encoding are both given.")


class Task(WSGITask):
    """One request."""

    channel: "BufferedChannel"

    def get_environment(self) -> dict[str, Any]:
        environment = super().get_environment()
        environment[KEEP_UNTIL_SENT] = self.channel.until_sent.append
        environment[AT_HAND] = cast(Parser, self.request).copy
        return environment


class BufferedChannel(HTTPChannel):
    """One connection, with a deadline for whatever it is doing."""

    task_class = Task
    parser_class = Parser

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self.until_sent: list[Callable[[], object]] = []
        self.asking_since = time.time()
        self.answering_since: float | None = None
        self.bytes_sent = 0
        super().__init__(*arguments, **options)

    def is_busy(self) -> bool:
        """Whether a request is being answered, or its answer is not sent yet."""
        return bool(self.requests or self.total_outbufs_len)

    def received(self, data: bytes) -> bool:
        before = self.request
        done = super().received(data)
        while self.requests and cast(Parser, self.requests[0]).copy:
            self.service()
        if self.request is not before:
            self.asking_since = time.time()
        if len(self.requests) > AHEAD:
            # Each answer would be kept until it is read.
            self.handle_close()
        return done

    def send(self, data: bytes, do_close: bool = True) -> int:
        sent = super().send(data, do_close)
        self.bytes_sent += sent
        return sent

    def is_overdue(self, now: float) -> bool:
        """Whether the client took too long with what it is doing. Asked once a second."""
        if not self.total_outbufs_len:
            self.answering_since = None
        elif self.answering_since is None:
            self.answering_since, self.bytes_sent = now, 0
        else:
            return now - self.answering_since > ANSWER_SECONDS + self.bytes_sent / PACE
        if self.requests:
            return False
        if self.request is None:
            return now - self.last_activity > HEADER_SECONDS
        if not self.request.headers_finished:
            return now - self.asking_since > HEADER_SECONDS
        return now - self.asking_since > BODY_SECONDS + self.request.body_bytes_received / PACE

    def service(self) -> None:
        super().service()
        self.let_go_if_sent()

    def handle_write(self) -> None:
        super().handle_write()
        self.let_go_if_sent()

    def handle_close(self) -> None:
        super().handle_close()
        self.let_go_if_sent()

    def let_go_if_sent(self) -> None:
        """Call what waits for the end of the answer. A connection that is closed has no answer to wait for."""
        if (self.requests and self.connected) or self.total_outbufs_len:
            return
        # Two threads may come here at once, and each call must be made once.
        while self.until_sent:
            try:
                let_go = self.until_sent.pop()
            except IndexError:
                return
            let_go()


class Listener(BaseWSGIServer):
    """One socket that is listened on, with the connections that came by it."""

    channel_class = BufferedChannel
    active_channels: dict[int, BufferedChannel]  # type: ignore[assignment]  # the stubs have the type of one channel
    probes: Mapping[str, ThreadedTaskDispatcher]
    at_hand: Callable[[dict[str, Any]], Copy | None]
    _map: dict[int, Any]

    def add_task(self, task: Any) -> None:
        request = task.requests[0]
        # A thread of the pool comes here for what was sent ahead, and may not have the channel answer at once.
        if threading.current_thread() is threading.main_thread() and not request.error:
            request.copy = self.at_hand(Task(task, request).get_environment())
        if request.copy is None:
            # All threads of pages may wait for a database that hangs. The process lives, and says so.
            self.probes.get(request.path, self.task_dispatcher).add_task(task)

    def maintenance(self, now: float) -> None:
        for channel in list(self.active_channels.values()):
            if channel.is_overdue(now):
                # At once: waitress would wait until the client reads, and this one may never do.
                channel.handle_close()

    def handle_accept(self) -> None:
        # When all places are taken, whoever has been asking longest makes room. An honest request takes milliseconds.
        if len(self._map) + 1 >= CONNECTIONS:
            asking = [channel for channel in self.active_channels.values() if not channel.is_busy()]
            if asking:
                min(asking, key=lambda channel: channel.asking_since).handle_close()
        super().handle_accept()


class TcpListener(Listener, TcpWSGIServer):
    pass


class UnixListener(Listener, UnixWSGIServer):
    pass


class BufferingWorker(Worker):
    """One process: waitress on gunicorn's sockets, until gunicorn says TERM."""

    def run(self) -> None:
        # One file for each connection and each long answer; the usual limit of 1,024 would be met first.
        most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        if most == resource.RLIM_INFINITY or most > 4 * CONNECTIONS:
            resource.setrlimit(resource.RLIMIT_NOFILE, (4 * CONNECTIONS, most))

        connections: dict[int, Any] = {}
        threads = ThreadedTaskDispatcher()
        threads.set_thread_count(self.cfg.threads)
        probes = {path: ThreadedTaskDispatcher() for path in PROBES}
        for thread in probes.values():
            thread.set_thread_count(1)
        wrapped: Any = self.sockets  # gunicorn's own class around each; the stubs say otherwise
        listeners = [self._listen(each.sock, connections, threads, probes) for each in wrapped]
        # A worker whose gunicorn was killed ends, or it would go on to serve beside the one that is started next.
        while self.alive and os.getppid() == self.ppid:
            self._turn(connections, 0.5)

        # Nobody new, but whoever has asked gets an answer.
        for listener in listeners:
            listener.accepting = False
        deadline = time.monotonic() + self.cfg.graceful_timeout
        while time.monotonic() < deadline and any(
            channel.is_busy() for listener in listeners for channel in listener.active_channels.values()
        ):
            self._turn(connections, 0.1)
        for each in (threads, *probes.values()):
            each.shutdown(cancel_pending=True, timeout=1)

    def _turn(self, connections: dict[int, Any], seconds: float) -> None:
        self.notify()  # gunicorn kills a process that has said nothing for 30 s
        wasyncore.loop(timeout=seconds, use_poll=True, map=connections, count=1)

    def _listen(
        self,
        sock: socket.socket,
        connections: dict[int, Any],
        threads: ThreadedTaskDispatcher,
        probes: Mapping[str, ThreadedTaskDispatcher],
    ) -> Listener:
        sock.setblocking(False)  # several processes listen on it: another one may take the connection
        limits = Adjustments(
            sockets=[sock],
            ident="",
            connection_limit=CONNECTIONS,
            cleanup_interval=1,
            max_request_header_size=HEADER_BYTES,
            # Above our own limits, so that most of what is too large gets their readable answer.
            max_request_body_size=settings.UPLOAD_MAX_BYTES + 1_000_000,
            # A thread never waits for a reader. What bounds long answers: apps/exports/capacity.py.
            outbuf_high_watermark=1 << 40,
            # Django decides whether to believe them: TRUSTED_PROXY_COUNT.
            clear_untrusted_proxy_headers=False,
            log_socket_errors=False,
        )
        make = UnixListener if sock.family == socket.AF_UNIX else TcpListener
        listener = make(
            self.wsgi,  # type: ignore[arg-type]  # two ways of writing what PEP 3333 says
            connections,
            _sock=sock,
            dispatcher=threads,
            adj=limits,
            sockinfo=(sock.family, sock.type, sock.proto, sock.getsockname()),
            bind_socket=False,
        )
        listener.probes = probes
        listener.at_hand = getattr(self.wsgi, "at_hand", lambda _environ: None)
        return listener
