"""A deployment of its own, whose servers can be frozen, filled and made read-only, and go on afterwards."""

import json
import os
import re
import signal
import subprocess
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import psycopg
from redis import Redis

from apps.local import embedded
from tests.local.processes import descendants, eventually, program

CELERY = ("-m", "celery", "-A", "cosmomatch", "--quiet")


@dataclass
class Answer:
    status: int
    headers: Any
    body: str

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Deployment:
    var: Path
    servers: embedded.Servers
    port: int = 0

    @property
    def environment(self) -> dict[str, str]:
        return {
            "DATABASE_URL": embedded.database_url(self.var),
            "REDIS_URL": embedded.redis_url(self.var),
            "VAR_DIR": str(self.var),
            "HEARTBEAT_DIR": str(self.var / "heartbeats"),
            "PORT": str(self.port or 8000),
        }

    @property
    def redis(self) -> Redis:
        return Redis(unix_socket_path=str(embedded.socket_directory(self.var) / "redis.sock"))

    @property
    def broker_url(self) -> str:
        return f"redis+socket://{embedded.socket_directory(self.var)}/redis.sock?virtual_host=0"

    def sql(self, statement: str) -> list[Any]:
        with psycopg.connect(embedded.database_url(self.var), autocommit=True) as session:
            # Also while the database lets nobody else write.
            session.execute("SET default_transaction_read_only = off")
            cursor = session.execute(statement)
            return cursor.fetchall() if cursor.description else []

    @contextmanager
    def running(self, name: str, *arguments: str, **environment: str) -> Iterator["subprocess.Popen[bytes]"]:
        (self.var / "heartbeats").mkdir(exist_ok=True)
        with program(self.log(name), *arguments, **self.environment | environment) as process:
            yield process

    def log(self, name: str) -> Path:
        return self.var / f"{name}.log"

    @contextmanager
    def worker(self) -> Iterator["subprocess.Popen[bytes]"]:
        options = ("worker", "--without-gossip", "--without-mingle", "--concurrency=1", "-n", "worker@%h")
        with self.running("worker", *CELERY, *options, PROCESS="worker") as process:
            eventually(lambda: self.beat_of(process), "the first beat")
            yield process

    def beat_of(self, process: "subprocess.Popen[bytes]") -> float:
        """When the process last touched its file."""
        file = self.var / "heartbeats" / str(process.pid)
        return file.stat().st_mtime if file.exists() else 0

    @contextmanager
    def web(self, **environment: str) -> Iterator["subprocess.Popen[bytes]"]:
        command = ("-m", "gunicorn", "-c", "python:apps.ops.web", "cosmomatch.wsgi")
        environment = {"WEB_BIND": f"127.0.0.1:{self.port}", "WEB_PROCESSES": "1", "WEB_THREADS": "2"} | environment
        with self.running("web", *command, **environment) as process:
            eventually(lambda: self.ask("/healthz").status == 200, "the web server")
            yield process

    def ask(
        self, path: str, body: Any = None, headers: Mapping[str, str] = MappingProxyType({}), *, seconds: float = 30
    ) -> Answer:
        """What the site answers; status 0 if there is no answer in time."""
        url = f"http://127.0.0.1:{self.port}{path}"
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        form = {} if body is None else {"Content-Type": "application/json"}
        request = urllib.request.Request(url, data, form | dict(headers))
        try:
            with urllib.request.urlopen(request, timeout=seconds) as answer:  # noqa: S310  the same
                return Answer(answer.status, answer.headers, answer.read().decode())
        except urllib.error.HTTPError as error:
            return Answer(error.code, error.headers, error.read().decode())
        except OSError as error:
            return Answer(0, {}, str(error))

    def post_form(self, path: str, **fields: str) -> Answer:
        """Send the form of a page, as a browser does that has just opened it."""
        page = self.ask(path)
        token = re.findall(r'name="csrfmiddlewaretoken" value="(\w+)"', page.body)[0]
        cookie = page.headers["Set-Cookie"].split(";")[0]
        data = urllib.parse.urlencode(fields | {"csrfmiddlewaretoken": token}).encode()
        return self.ask(path, data, {"Content-Type": "application/x-www-form-urlencoded", "Cookie": cookie})

    @contextmanager
    def frozen(self, name: str) -> Iterator[None]:
        """The server takes connections and never answers, as one whose disk hangs."""
        main = self.servers.children[name].pid
        # The main process first: it starts no other meanwhile.
        stopped = []
        try:
            for pid in [main, *descendants(main)]:
                os.kill(pid, signal.SIGSTOP)
                stopped.append(pid)
            yield
        finally:
            for pid in reversed(stopped):
                os.kill(pid, signal.SIGCONT)

    @contextmanager
    def read_only(self, *names: str) -> Iterator[None]:
        """As after a failover, when a node is still told to be a replica."""
        with ExitStack() as stack:
            if "PostgreSQL" in names:
                self.sql("ALTER SYSTEM SET default_transaction_read_only = on")
                stack.callback(self.sql, "SELECT pg_reload_conf()")
                stack.callback(self.sql, "ALTER SYSTEM RESET default_transaction_read_only")
                self.sql("SELECT pg_reload_conf()")
            if "Redis" in names:
                replica_of: Any = self.redis.replicaof
                replica_of("127.0.0.1", 1)
                stack.callback(replica_of, "NO", "ONE")
            yield

    @contextmanager
    def emptied(self) -> Iterator[None]:
        """Somebody empties Redis again and again."""
        stop = threading.Event()

        def empty() -> None:
            while not stop.wait(0.001):
                self.redis.flushall()

        thread = threading.Thread(target=empty)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()

    @contextmanager
    def full_memory(self) -> Iterator[None]:
        """Redis refuses all that would need memory."""
        self.redis.config_set("maxmemory", 1)
        try:
            yield
        finally:
            self.redis.config_set("maxmemory", 0)
