"""Two web nodes, four workers and two beats, each a host of its own. One after the other is killed while needs come in.

The servers stand on a ninth host, and a balancer in front. Nothing is lost, nothing is double, and no post waits long.
"""

import json
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from subprocess import Popen
from typing import Any

import pytest

from apps.local import embedded
from tests.faults.deployment import CELERY, Deployment
from tests.local.processes import eventually, kill_all, program
from tests.nodes.network import HUB, Network, can_be_made, network

pytestmark = [pytest.mark.servers, pytest.mark.long, pytest.mark.django_db]

WEB, WORKERS, BEATS = ("web1", "web2"), ("worker1", "worker2", "worker3", "worker4"), ("beat1", "beat2")
PAUSE = 6  # seconds between a kill and the next one
RECOVERY = 30  # seconds


class Nodes:
    """The hosts, what runs on each, and how it is killed and started again."""

    def __init__(self, net: Network, site: Deployment, folder: Path) -> None:
        self.net, self.site, self.folder = net, site, folder
        self.hosts = {name: net.host(name) for name in (*WEB, *WORKERS, *BEATS)}
        self.processes: dict[str, Popen[bytes]] = {}
        sockets = embedded.socket_directory(site.var)
        for port, target in ((5432, f"{sockets}/.s.PGSQL.5432"), (6379, f"{sockets}/redis.sock")):
            self._in_hub(f"proxy{port}", "-m", "tests.nodes.proxy", f"{HUB}:{port}", target)
        web = [f"{self.hosts[name][1]}:8000" for name in WEB]
        self._in_hub("balancer", "-m", "tests.nodes.proxy", f"{HUB}:8000", *web)
        self.mails = folder / "mails"
        self.mails.touch()
        self._in_hub("sink", "-m", "tests.benchmarks.sink", "2525", str(self.mails), HUB)

    def _in_hub(self, name: str, *arguments: str) -> None:
        self.net.start(self.net.hub, self.folder / f"{name}.log", *arguments)

    def start(self, name: str) -> None:
        space, address = self.hosts[name]
        var = self.folder / name  # nothing is shared but the servers
        var.mkdir(exist_ok=True)
        environment = {
            "DATABASE_URL": f"postgresql://{embedded.USER}@{HUB}:5432/{embedded.DATABASE}",
            "REDIS_URL": f"redis://{HUB}:6379/0",
            "EMAIL_HOST": HUB,
            "EMAIL_PORT": "2525",
            "EMAIL_SECURITY": "none",
            "SECRET_KEY": "one key for all nodes",
            "SITE_URL": f"http://{HUB}:8000",
            "VAR_DIR": str(var),
        }
        if name in WEB:
            command: tuple[str, ...] = ("-m", "gunicorn", "-c", "python:apps.ops.web", "cosmomatch.wsgi")
            environment |= {"WEB_BIND": f"{address}:8000", "WEB_PROCESSES": "1", "WEB_THREADS": "2"}
        elif name in BEATS:
            command = (*CELERY, "beat")
        else:
            command = (*CELERY, "worker", "--without-gossip", "--without-mingle", "-P", "solo", "-n", f"{name}@%h")
            environment["PROCESS"] = "worker"
        self.processes[name] = self.net.start(space, self.folder / f"{name}.log", *command, **environment)

    def kill(self, name: str) -> None:
        process = self.processes[name]
        kill_all(process.pid)
        process.wait()


@contextmanager
def running(site: Deployment, folder: Path) -> Iterator[Nodes]:
    with network() as net:
        nodes = Nodes(net, site, folder)
        for name in nodes.hosts:
            nodes.start(name)
        yield nodes


def staged(site: Deployment, folder: Path, *arguments: str) -> Any:
    """What `tests.nodes.stage` prints."""
    log = folder / "stage.log"
    with program(log, "-m", "tests.nodes.stage", *arguments, **site.environment) as stage:
        assert stage.wait(120) == 0, log.read_text()
    return json.loads(log.read_text().splitlines()[-1])


def test_nodes_die_one_after_the_other_and_nothing_is_lost(deployment: Deployment, tmp_path: Path) -> None:
    if not can_be_made():
        pytest.skip("Only root may make network namespaces, with Debian's iproute2.")
    tokens = tmp_path / "tokens"
    tokens.write_text(json.dumps(staged(deployment, tmp_path)))
    with running(deployment, tmp_path) as nodes:
        posts = tmp_path / "posts"
        seconds = (len(nodes.hosts) + 2) * PAUSE
        client = nodes.net.start(
            nodes.net.host("client")[0],
            posts,
            "-m",
            "tests.nodes.client",
            f"http://{HUB}:8000",
            str(tokens),
            str(seconds),
        )
        eventually(lambda: "201" in posts.read_text(), "the first post", 120)
        killed = []
        for name in nodes.hosts:
            nodes.kill(name)
            killed.append((time.time(), name))
            time.sleep(PAUSE)
            nodes.start(name)
        assert client.wait(120) == 0
        made = [json.loads(line) for line in posts.read_text().splitlines()]
        eventually(lambda: is_quiet(staged(deployment, tmp_path, "check")), "all are told", 120)
        found = staged(deployment, tmp_path, "check")

    handed_over = Counter(line.split()[1] for line in nodes.mails.read_text().splitlines())
    report(made, killed, found, handed_over)
    assert [post for post in made if post["status"] != 201] == []
    assert found["needs"] == len({post["need"] for post in made}) == len(made)
    assert (found["nobody asked"], found["invariants"], found["untold"]) == (0, {}, [])
    assert set(handed_over) == set(found["sent"])
    assert sum(handed_over.values()) - len(handed_over) <= len(WORKERS), "a kill repeats one mail, with its id"
    assert max(post["took"] for post in made if post["at"] > killed[0][0]) < RECOVERY
    assert found["longest until asked"] < RECOVERY
    assert found["longest until told"] < RECOVERY


def is_quiet(found: Mapping[str, Any]) -> bool:
    return not (found["waiting"] or found["unsent"])


def report(made: list[Any], killed: list[tuple[float, str]], found: Mapping[str, Any], mails: Counter[str]) -> None:
    """The log of the run, which `pytest -s` shows."""
    began = min(post["at"] for post in made)
    for moment, name in killed:
        print(f"{moment - began:6.1f} s  {name} is killed", file=sys.stderr)
    slowest = sorted(made, key=lambda post: -post["took"])[:5]
    for post in slowest:
        print(f"{post['at'] - began:6.1f} s  a post took {post['took']:.1f} s, {post['tries']} tries", file=sys.stderr)
    repeats = sum(mails.values()) - len(mails)
    print(f"{len(made)} posts, {len(mails)} mails, {repeats} of them twice", file=sys.stderr)
    for name in ("longest until asked", "longest until told"):
        print(f"{name}: {found[name]:.1f} s", file=sys.stderr)
