"""The first step of every `make` command, in a checkout of its own whose path has spaces."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.local.processes import ROOT

SCRIPT = "apps/local/bootstrap.py"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    root = tmp_path / "a path with spaces"
    (root / "apps/local").mkdir(parents=True)
    (root / "requirements").mkdir()
    shutil.copy(ROOT / SCRIPT, root / SCRIPT)
    for name in ("base", "dev"):
        (root / "requirements" / f"{name}.txt").touch()
    return root


def bootstrap(root: Path, *arguments: str, with_uv: bool = True, **environment: str) -> tuple[int, str, str]:
    # The uv of the development packages, wherever the tests were started from: without it each environment takes 8 s.
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}" if with_uv else "/usr/bin:/bin"
    said = subprocess.run(
        [sys.executable, SCRIPT, *arguments],
        cwd=root,
        env={"PATH": path, "HOME": str(root), **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    return said.returncode, said.stdout, said.stderr.strip()


def test_it_makes_the_environment_once_and_becomes_the_command(checkout: Path) -> None:
    ask = ("base", "-c", "import sys; print(sys.prefix)")
    status, said, complaint = bootstrap(checkout, *ask)
    assert (status, complaint) == (0, "")
    assert said.splitlines()[0] == "Making .venv"
    assert said.splitlines()[-1] == str(checkout / ".venv")

    assert bootstrap(checkout, *ask) == (0, f"{checkout}/.venv\n", "")


def test_it_installs_again_for_a_new_lock_and_repairs_what_was_interrupted(checkout: Path) -> None:
    assert bootstrap(checkout, "dev", "-c", "")[0] == 0
    assert bootstrap(checkout, "base", "-c", "") == (0, "", "")  # the larger set holds the smaller

    (checkout / "requirements/base.txt").write_text("# newer\n")
    assert bootstrap(checkout, "base", "-c", "")[1].startswith("Installing")

    (checkout / ".venv/bin/python").unlink()
    assert bootstrap(checkout, "base", "-c", "")[1].startswith("Making .venv")


@pytest.mark.parametrize("with_uv", [True, False])
@pytest.mark.long
def test_without_a_network_it_says_so_in_one_sentence(checkout: Path, with_uv: bool) -> None:
    (checkout / "requirements/base.txt").write_text(f"django==5.2.19 --hash=sha256:{'0' * 64}\n")
    nowhere = "http://127.0.0.1:9/simple"
    status, _said, complaint = bootstrap(
        checkout,
        *("base", "-c", ""),
        with_uv=with_uv,
        UV_INDEX_URL=nowhere,
        PIP_INDEX_URL=nowhere,
        UV_NO_CACHE="1",
        UV_HTTP_RETRIES="0",
    )
    assert status == 1
    assert complaint == (
        "The locked packages could not be installed: the package index cannot be reached; "
        "the network is needed this once."
    )


def test_an_old_python_is_told_which_one_is_needed(checkout: Path) -> None:
    pretend = f"import sys, runpy; sys.version_info = (3, 9, 18); runpy.run_path({SCRIPT!r}, run_name='__main__')"
    said = subprocess.run([sys.executable, "-c", pretend], cwd=checkout, capture_output=True, text=True, check=False)
    assert said.returncode == 1
    assert said.stderr.startswith("CosmoMatch needs Python 3.11 or newer; this is 3.9.")
    assert said.stderr.count("\n") == 1


def test_the_script_can_be_read_by_an_old_python() -> None:
    import ast

    ast.parse((ROOT / SCRIPT).read_text(encoding="utf-8"), feature_version=(3, 7))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_named(checkout: Path) -> None:
    checkout.chmod(0o500)
    try:
        status, _said, complaint = bootstrap(checkout, "base", "-c", "")
    finally:
        checkout.chmod(0o700)
    assert (status, complaint) == (1, f"{checkout}/var cannot be written to: Permission denied.")
