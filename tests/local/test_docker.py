"""No engine runs where these tests do; what can be read off the files is."""

import os
import re
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from cosmomatch import settings

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = (ROOT / "docker/Dockerfile").read_text(encoding="utf-8")
ENTRYPOINT = (ROOT / "docker/entrypoint").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROOT / "docker/compose.yml").read_text(encoding="utf-8"))["services"]
    return found


def ours(services: dict[str, Any]) -> dict[str, Any]:
    return {name: service for name, service in services.items() if service["image"] == "cosmomatch"}


def test_compose_sets_only_what_the_settings_read(services: dict[str, Any]) -> None:
    for service in ours(services).values():
        assert set(service["environment"]) - set(settings.READ) == set()


def test_every_service_is_something_that_the_entrypoint_can_be(services: dict[str, Any]) -> None:
    roles = set(re.findall(r"^    (\w+)\)", ENTRYPOINT, re.MULTILINE))
    for name, service in ours(services).items():
        assert service["command"] == [name]
        assert name in roles | {"migrate"}  # a command of manage.py


def test_every_service_that_is_waited_for_exists(services: dict[str, Any]) -> None:
    for service in services.values():
        assert set(service.get("depends_on", {})) - set(services) == set()


def test_our_containers_have_no_rights_to_lose(services: dict[str, Any]) -> None:
    for service in ours(services).values():
        assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"])
    assert re.findall(r"^USER (.*)$", DOCKERFILE, re.MULTILINE)[-1] == "10001:10001"


def test_what_the_image_copies_exists_and_is_let_through() -> None:
    let_through = re.findall(r"^!(.+)$", (ROOT / ".dockerignore").read_text(encoding="utf-8"), re.MULTILINE)
    for source in re.findall(r"^COPY (?:--chmod=\d+ )?([^-\s]\S*) ", DOCKERFILE, re.MULTILINE):
        assert source in let_through
        assert (ROOT / source).exists(), source


NAMESPACE = ("unshare", "--pid", "--fork", "--mount-proc")


@pytest.mark.skipif(
    not shutil.which("unshare")
    or subprocess.run([*NAMESPACE, "true"], check=False, capture_output=True).returncode != 0,
    reason="needs a namespace of processes, as a container has",
)
@pytest.mark.parametrize(("age", "status"), [(None, b"0"), (10, b"0"), (120, b"137")])
def test_the_health_check_ends_a_program_that_is_silent(tmp_path: Path, age: int | None, status: bytes) -> None:
    if age is not None:
        (tmp_path / "7").touch()
        os.utime(tmp_path / "7", (time.time() - age,) * 2)
    script = f"sleep 2 & sh {ROOT}/docker/entrypoint beating; wait $!; echo $?"

    said = subprocess.run(
        [*NAMESPACE, "sh", "-c", script],
        env=os.environ | {"HEARTBEAT_DIR": str(tmp_path)},
        capture_output=True,
        check=False,
    )

    assert said.stdout.strip() == status


def test_whoever_ends_the_program_of_a_container_is_not_its_first_process(services: dict[str, Any]) -> None:
    assert all(service["init"] for service in ours(services).values())
