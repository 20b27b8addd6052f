"""`make run`: the whole group, started, told apart, killed, started again, stopped."""

import json
import signal
import smtplib
import subprocess
import sys
import urllib.request
from pathlib import Path

import psycopg
import pytest

from apps.local import embedded
from tests.local.processes import ROOT, alive, clean_environment, descendants, eventually, free_port, kill_all, program

pytestmark = pytest.mark.servers


def get(port: int, path: str) -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return answer.status, answer.read()
    except OSError:
        return 0, b""


def ready(port: int) -> bool:
    return get(port, "/readyz")[0] == 200


def second_start(var: Path, port: int) -> tuple[int, str]:
    said = subprocess.run(
        [sys.executable, "manage.py", "run"],
        cwd=ROOT,
        env=clean_environment(VAR_DIR=str(var), PORT=str(port)),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return said.returncode, said.stderr.strip()


@pytest.mark.long
def test_the_group_runs_survives_kill_9_and_stops_as_one(tmp_path: Path) -> None:
    var, log, port = tmp_path / "a path with spaces" / "var", tmp_path / "log", free_port()
    command = ("manage.py", "run", "--no-demo")

    with program(log, *command, VAR_DIR=str(var), PORT=str(port)) as group:
        eventually(
            lambda: b"Ready: http://127.0.0.1:" in log.read_bytes() or group.poll() is not None, "readiness", 120
        )
        assert group.poll() is None, log.read_text()
        assert json.loads(get(port, "/readyz")[1]) == {
            "status": "ready",
            "checks": {"database": "ok", "disk": "ok", "redis": "ok", "worker": "ok", "beat": "ok"},
        }
        assert b"django_http_requests" in get(port, "/metrics")[1]

        # A second one is told so, each in one sentence.
        assert second_start(var, port) == (
            1,
            f"CosmoMatch already runs from this folder: process {group.pid}, http://127.0.0.1:{port}.",
        )
        assert second_start(tmp_path / "other", port) == (
            1,
            f"Port {port} is in use by another program; choose another one: make run PORT={port + 1}",
        )

        # A child that is killed comes back, and its own children do not stay behind.
        said = subprocess.run(["ps", "-A", "-o", "pid=,args="], capture_output=True, text=True, check=True).stdout
        lines = {int(line.split()[0]): line for line in said.splitlines()}
        [web] = [pid for pid in descendants(group.pid) if "gunicorn: master" in lines.get(pid, "")]
        killed = [web, *descendants(web)]
        subprocess.run(["kill", "-9", str(web)], check=True)
        eventually(lambda: b"web ended (SIGKILL)" in log.read_bytes(), "a word about it")
        eventually(lambda: not alive(killed), "the end of its children", 15)
        eventually(lambda: ready(port), "web again")

        with psycopg.connect(embedded.database_url(var), autocommit=True) as own:
            # Servants of PostgreSQL itself bear the name of its owner.
            sessions = (
                "SELECT DISTINCT usename FROM pg_stat_activity"
                " WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
            )
            # The supervisor looks in now and then, as the owner, whether PostgreSQL answers.
            eventually(
                lambda: {name for (name,) in own.execute(sessions)} == {"cosmomatch_program"},
                "sessions of the program's role alone",
                15,
            )
            own.execute("CREATE TABLE kept AS SELECT 7 AS number")
        everybody = kill_all(group.pid)
    eventually(lambda: not alive(everybody), "the end of all", 15)

    with program(log, *command, VAR_DIR=str(var), PORT=str(port)) as group:
        eventually(lambda: ready(port), "readiness after kill -9", 120)
        with psycopg.connect(embedded.database_url(var)) as own:
            assert own.execute("SELECT number FROM kept").fetchall() == [(7,)]
        everybody = [group.pid, *descendants(group.pid)]
        group.send_signal(signal.SIGTERM)
        assert group.wait(60) == 0
    assert alive(everybody) == []
    assert log.read_text().rstrip().endswith("Stopped")
    assert not embedded.socket_directory(var).exists()


def test_a_mail_is_caught_whole_and_named_after_what_it_is(tmp_path: Path) -> None:
    port, mails = free_port(), tmp_path / "mail box"
    with program(tmp_path / "log", "-m", "apps.local.mail", str(port), str(mails)):
        eventually(lambda: _sent(port), "the mail server")
        [file] = mails.glob("*.eml")
    assert "b@example.org-Subject-需要-额温枪.eml" in file.name
    assert "正文" in file.read_text(encoding="utf-8")


def _sent(port: int) -> bool:
    try:
        with smtplib.SMTP("127.0.0.1", port, timeout=5) as client:
            client.sendmail(
                "a@example.org",
                ["b@example.org"],
                "Subject: Subject / 需要 “额温枪”\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n正文\r\n".encode(),
            )
    except ConnectionRefusedError:
        return False
    return True
