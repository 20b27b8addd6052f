"""The audit of locked packages names what is affected, and nothing else."""

from tests.audit import holes, locked, main

LOCK = """\
django==5.2.5 \\
    --hash=sha256:00
psycopg[binary,pool]==3.3.1 ; python_version >= "3.11" \\
    --hash=sha256:00
"""


def test_a_locked_version_with_a_hole_is_named() -> None:
    advisories = [
        {"package": "django", "affected": ">=5.2,<5.2.6", "id": "CVE-1"},
        {"package": "psycopg", "affected": "<3.3", "id": "CVE-2"},
        {"package": "absent", "affected": ">=0", "id": "CVE-3"},
    ]
    assert locked(LOCK) == {"django": "5.2.5", "psycopg": "3.3.1"}
    assert [line.split(" has ")[0] for line in holes(locked(LOCK), advisories)] == ["django 5.2.5"]


def test_our_packages_have_no_hole_that_is_known_here() -> None:
    assert main() == 0
