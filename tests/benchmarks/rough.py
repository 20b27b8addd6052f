"""The site beside 200 slow senders, 50 slow readers and 8 full exports: p95, as a ratio to the quiet run."""

import http.client
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from django.conf import settings
from django.test import Client

from apps.accounts.models import User
from apps.accounts.permissions import OrganisationKind
from apps.accounts.services import issue_token
from apps.local import supervisor
from tests.benchmarks.figures import quantile, row
from tests.factories import DemandFactory, OrganisationFactory, member, region

TIMES = 40
PATIENCE = 10.0  # seconds
LONG = "/static/drf_spectacular_sidecar/swagger-ui-dist/swagger-ui-bundle.js"


def web_server(listener: socket.socket, var: Path, mail_port: int) -> supervisor.Process:
    """The web server by the command line of a deployment."""
    metrics = var / "metrics"
    metrics.mkdir(exist_ok=True)
    return supervisor.Process(
        "web",
        [
            sys.executable,
            "-m",
            "gunicorn",
            *("-c", "python:apps.ops.web"),
            f"-bfd://{listener.fileno()}",
            "cosmomatch.wsgi",
        ],
        {"EMAIL_PORT": str(mail_port), "PROMETHEUS_MULTIPROC_DIR": str(metrics)},
        [listener.fileno()],
    )


def run(var: Path, mail_port: int) -> None:
    print(f"\n200 slow senders, 50 slow readers, 8 full exports, load {os.getloadavg()[0]:.1f}")
    need = DemandFactory.create()
    buyer = User.objects.get(pk=member(need.organisation).pk)
    session = Client()
    session.force_login(buyer)
    cookie = {"Cookie": f"{settings.SESSION_COOKIE_NAME}={session.cookies[settings.SESSION_COOKIE_NAME].value}"}
    posting = {"Authorization": f"Bearer {issue_token(buyer, name='x', scopes=['write'])[1]}"}
    body = json.dumps({"item": need.item.key, "quantity": 100, "region": need.region.code}).encode()
    office = OrganisationFactory.create(kind=OrganisationKind.GOVERNMENT, region=region("CN"))
    partner = User.objects.get(pk=member(office).pk)
    keys = [issue_token(partner, name="x", scopes=["exports"])[1] for _ in range(8)]

    listener = supervisor.take_port(supervisor.free_port())
    port = int(listener.getsockname()[1])
    web = web_server(listener, var, mail_port)
    web.start(time.monotonic())
    asked: dict[str, Callable[[], int]] = {
        "/healthz": lambda: ask(port, "GET", "/healthz", {}),
        "a need's page": lambda: ask(port, "GET", f"/needs/{need.pk}/", cookie),
        "a POST of a need": lambda: ask(
            port, "POST", "/api/v1/demands/", posting | {"Content-Type": "application/json"}, body
        ),
    }
    try:
        while ask(port, "GET", "/healthz", {}) != 200:
            time.sleep(0.2)
        measured(asked)  # warm
        quiet = measured(asked)
        attackers = subprocess.Popen(
            [sys.executable, "-m", "tests.slow_clients", str(port), "127.0.0.1", LONG, "100", "100", "50"],
            stdout=subprocess.PIPE,
        )
        try:
            assert attackers.stdout is not None
            attackers.stdout.readline()
            answers: list[int] = []
            for key in keys:
                headers = {"Authorization": f"Bearer {key}"}
                threading.Thread(target=lambda given=headers: answers.append(export(port, given)), daemon=True).start()
            rough = measured(asked)
        finally:
            attackers.kill()
            attackers.wait()
    finally:
        web.ask_to_stop()
        web.wait_or_kill(time.monotonic() + 20)
        listener.close()
    for name, seconds in rough.items():
        row(
            name,
            f"{seconds * 1000:,.0f} ms",
            f"p95; quiet {quiet[name] * 1000:,.0f} ms, {seconds / quiet[name]:.1f} times",
        )
    row("exports that ended meanwhile", str(answers))


def export(port: int, headers: dict[str, str]) -> int:
    return ask(port, "GET", "/api/v1/exports/offers", headers, patience=300)


def measured(asked: dict[str, Callable[[], int]]) -> dict[str, float]:
    """The p95 of each, in seconds."""
    took: dict[str, list[float]] = {name: [] for name in asked}
    for _ in range(TIMES):
        for name, one in asked.items():
            began = time.perf_counter()
            status = one()
            took[name].append(time.perf_counter() - began if 200 <= status < 300 else PATIENCE)
    return {name: quantile(seconds, 0.95) for name, seconds in took.items()}


def ask(
    port: int, method: str, path: str, headers: dict[str, str], body: bytes | None = None, patience: float = PATIENCE
) -> int:
    """The status; 0 where there is no answer in time."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=patience)
    try:
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        answer.read()
    except (OSError, http.client.HTTPException):
        return 0
    else:
        return answer.status
    finally:
        connection.close()
