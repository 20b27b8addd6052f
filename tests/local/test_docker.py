"""No engine runs where these tests do; what can be read off the files is."""

import re
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
