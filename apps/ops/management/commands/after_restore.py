"""`manage.py after_restore`: run it once after a backup was restored, before the site runs again."""

import sys
from typing import Any

from django.core.cache import cache
from django.core.management.base import BaseCommand
from redis.exceptions import RedisError

from apps.ops.data import restoring
from apps.ops.data.invariants import broken_invariants


class Command(BaseCommand):
    help = "After a backup was restored: give no key again, refuse old links, check the data; status 1 if any is wrong."

    def handle(self, *_args: Any, **_options: Any) -> None:
        lifted = restoring.note_restore()
        self.stdout.write(f"{lifted} sequences were lifted. Links and deltas from before are refused.")
        try:
            cache.clear()
        except (RedisError, OSError) as error:
            self.stdout.write(f"Redis does not answer, so what it remembers was not cleared: {error}")
        broken = broken_invariants()
        for promise, rows in broken.items():
            self.stdout.write(f"wrong  {promise}: {', '.join(map(str, rows[:20]))}")
        if broken:
            sys.exit(1)
        self.stdout.write("All promises hold. Start the site.")
