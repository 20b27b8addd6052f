"""The public board from copies, as many as the web server can give, and what hospitals wait for beside others."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from django.conf import settings
from django.test import Client

from apps.accounts.models import User
from apps.accounts.services import issue_token
from apps.local import supervisor
from tests.benchmarks.figures import quantile, row
from tests.benchmarks.rough import ask, measured, web_server
from tests.factories import DemandFactory, member

GOAL: Final = 1_000  # answers a second
SECONDS: Final = 10
CLIENTS: Final = 64  # on needs' pages, at once
LONGEST: Final = 2.0  # seconds, p95 of their waits
PAGES: Final = {"the board": "/", "the public sums": "/api/v1/stats/", "the log-in, which nobody keeps": "/login/"}


def run(var: Path, mail_port: int) -> None:
    print(f"\nThe public board, load {os.getloadavg()[0]:.1f}")
    need = DemandFactory.create()
    buyer = User.objects.get(pk=member(need.organisation).pk)
    headers = {"Authorization": f"Bearer {issue_token(buyer, name='x', scopes=['write'])[1]}"}
    headers |= {"Content-Type": "application/json"}
    body = json.dumps({"item": need.item.key, "quantity": 100, "region": need.region.code}).encode()

    with serving(var, mail_port) as (port, used):
        asked = {"a POST of a need": lambda: ask(port, "POST", "/api/v1/demands/", headers, body)}
        measured(asked)  # warm
        [quiet] = measured(asked).values()
        for name, path in PAGES.items():
            before = used()
            rate, note = _told(readers(port, path, 0), GOAL if path != "/login/" else 0)
            each = (used() - before) / SECONDS / rate
            row(
                f"{name}, answers a second",
                f"{rate:,.0f}",
                f"{each * 1000:.2f} ms of the web server's cores each{note}",
            )
        crowd = readers(port, "/", GOAL)
        [beside] = measured(asked).values()
        rate, note = _told(crowd, 0)
        row(
            "a POST of a need, p95", f"{beside * 1000:,.0f} ms", f"{beside / quiet:.1f} times, beside {rate:,.0f}{note}"
        )
        session = Client()
        session.force_login(buyer)
        cookie = f"{settings.SESSION_COOKIE_NAME}={session.cookies[settings.SESSION_COOKIE_NAME].value}"
        before = used()
        waits = _waits(port, f"/needs/{need.pk}/", {"Cookie": cookie})
        together = [wait for each in waits for wait in each]
        p95 = quantile(together, 0.95)
        row(
            f"a need's page, {CLIENTS} clients at once, p95",
            f"{p95:.2f} s",
            f"longest {max(together):.2f} s, {len(together)} answers, of a client {min(map(len, waits))} to"
            f" {max(map(len, waits))}, {(used() - before) / len(together) * 1000:.0f} ms of the web server's cores each"
            + (", MISSED" if p95 > LONGEST else ""),
        )


def _waits(port: int, path: str, headers: Mapping[str, str]) -> list[list[float]]:
    """How long each of many clients waited for each of its answers; each asks again as soon as it has one."""
    end, patience = time.perf_counter() + 2 * SECONDS, 60.0

    def client(_number: int) -> list[float]:
        waits = []
        while (began := time.perf_counter()) < end:
            status = ask(port, "GET", path, dict(headers), patience=patience)
            waits.append(time.perf_counter() - began if status == 200 else patience)
        return waits

    with ThreadPoolExecutor(CLIENTS) as clients:
        return list(clients.map(client, range(CLIENTS)))


@contextmanager
def serving(var: Path, mail_port: int) -> Iterator[tuple[int, Callable[[], float]]]:
    """The web server by the command line of a deployment; yields its port, and how long its processes have worked."""
    listener = supervisor.take_port(supervisor.free_port())
    port = int(listener.getsockname()[1])
    web = web_server(listener, var, mail_port)
    web.start(time.monotonic())
    try:
        while ask(port, "GET", "/healthz", {}) != 200:
            time.sleep(0.2)
        assert web.child is not None
        pids = Path(f"/proc/{web.child.pid}/task/{web.child.pid}/children").read_text(encoding="ascii").split()
        yield port, lambda: sum(map(_worked, pids))
    finally:
        web.ask_to_stop()
        web.wait_or_kill(time.monotonic() + 20)
        listener.close()


def _worked(pid: str) -> float:
    """Seconds of processor time of a process, its own and the kernel's for it."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def readers(port: int, path: str, rate: int, seconds: int = SECONDS) -> "subprocess.Popen[str]":
    arguments = [str(port), path, "16", str(seconds), str(rate)]
    command = [sys.executable, "-m", "tests.benchmarks.readers", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def _told(crowd: "subprocess.Popen[str]", goal: int) -> tuple[float, str]:
    """How many answers a second there were, and what is to be said of it."""
    rate, is_well = crowd.communicate()[0].split()
    return float(rate), ("" if int(is_well) else ", not all 200") + (", MISSED" if float(rate) < goal else "")
