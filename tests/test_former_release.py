"""The released version goes on with the tables of this one, so that both may run while an upgrade is under way."""

import datetime as dt
import io
import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.utils import timezone
from pytest_django.plugin import DjangoDbBlocker

from apps.accounts.models import Organisation
from apps.fulfilment.models import Order
from apps.matching.models import Match
from apps.ops.data.invariants import broken_invariants
from tests import releases
from tests.databases import another_database

ROOT = Path(__file__).parent.parent
VERSION = releases.all_versions()[-1]


def source_of(version: str, folder: Path) -> None:
    """Unpack the source as it was when the dump of this version was committed. Skips where the history is not there."""
    git = ["git", "-C", str(ROOT)]
    dump = str(releases.path_of(version).relative_to(ROOT))
    found = subprocess.run(
        [*git, "log", "--diff-filter=A", "--format=%H", "--", dump], capture_output=True, text=True, check=False
    )
    commit = found.stdout.strip()
    packed = subprocess.run([*git, "archive", commit or "none"], capture_output=True, check=False)
    if packed.returncode:
        pytest.skip(f"The history of this checkout does not reach back to {version}.")
    with tarfile.open(fileobj=io.BytesIO(packed.stdout)) as archive:
        archive.extractall(folder, filter="data")
    if f'version = "{version}"' not in (folder / "pyproject.toml").read_text():
        pytest.skip(f"The history of this checkout is cut off: {commit} is not {version}.")


@pytest.fixture
def tables(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[dict[str, Any]]:
    """The dump of the released version, migrated to the tables of this one."""
    with django_db_blocker.unblock(), another_database() as connected:
        releases.restore(VERSION, **connected)
        call_command("migrate", verbosity=0)
        # Those of the dump end a year after it was made.
        in_a_year = timezone.now().date() + dt.timedelta(days=365)
        Organisation.objects.filter(state="verified").update(verified_until=in_a_year)
        yield connected


@pytest.mark.long
@pytest.mark.servers
def test_the_released_version_runs_on_the_tables_of_this_one(tables: dict[str, Any], tmp_path: Path) -> None:
    source_of(VERSION, tmp_path)
    user, host = tables.get("user", ""), tables["host"]
    environment = os.environ | {
        "DATABASE_URL": f"postgresql://{user}@/{tables['dbname']}?host={host}",
        "VAR_DIR": str(tmp_path / "var"),
        "LOG_LEVEL": "WARNING",
    }

    def run(*command: str) -> str:
        done = subprocess.run(
            [sys.executable, *command], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout

    found = json.loads(run(str(Path(__file__).with_name("former.py"))))

    assert found == {"states": ["open", "shipped", "delivered", "fulfilled"], "unread": []}
    # What it wrote, this version reads.
    assert broken_invariants() == {}
    assert Order.objects.filter(unit_price=None).exists()
    assert all(match.terms for match in Match.objects.all())
