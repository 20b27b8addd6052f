"""The demo's emergency on real reference data: played once by each process of the tests, then only put back.

To play it takes twenty seconds.
"""

import io

from django.core.management import call_command

from tests import snapshots

_kept: list[tuple[str, snapshots.Rows]] = []


def have() -> str:
    """Have it in the database, and nothing else; gives what the command said of it."""
    if _kept and snapshots.can_put_back():
        [(said, rows)] = _kept
        snapshots.put_back(rows)
        return said
    call_command("load_reference", stdout=io.StringIO())
    output = io.StringIO()
    call_command("demo", stdout=output)
    _kept[:] = [(output.getvalue(), snapshots.take())]
    return output.getvalue()
