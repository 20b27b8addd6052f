"""The servers of the nodes."""

from tests.faults.conftest import deployment

__all__ = ["deployment"]
