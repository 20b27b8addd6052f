"""One client of the benchmark of commits: a connection and nothing else, so that many of them fit on a small machine.

`python -m tests.benchmarks.client DSN` takes orders as lines of JSON and answers each with one: it allocates one pair
of a need and an offer after the other in the way it was told, until the time is over or it has no pairs left.
"""

import json
import sys
import time
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import psycopg
from psycopg import errors

Pair = tuple[int, int]


class Client:
    """`order` holds the statements and the constant facts of every match; everything is prepared."""

    def __init__(self, dsn: str, order: dict[str, Any]) -> None:
        self.connection = psycopg.connect(dsn, autocommit=True, prepare_threshold=0)
        # Else the planner weighs at every call whether a plan of its own would be worth it, for longer than it takes.
        self.connection.execute("SET plan_cache_mode = force_generic_plan")
        self.cursor = self.connection.cursor()
        self.statements: dict[str, str] = order["statements"]
        self.facts: dict[str, Any] = order["facts"]

    def bare(self, pairs: list[Pair]) -> int:
        for need, offer in pairs:
            self.cursor.execute(self.statements["bare"], {**self.facts, "need_id": need, "offer_id": offer})
        return len(pairs)

    def bare_together(self, pairs: list[Pair]) -> int:
        """The same rows in one statement, and nothing else."""
        self.cursor.execute(self.statements["bare_together"], self._together(pairs))
        return len(pairs)

    def ours(self, pairs: list[Pair]) -> int:
        if len(pairs) == 1:
            [(need, offer)] = pairs
            request = {**self.facts, "need_id": need, "offer_id": offer}
            self.cursor.execute(self.statements["ours_one"], {"requested": json.dumps(request)})
            return sum(match is not None for (match,) in self.cursor.fetchall())
        self.cursor.execute(self.statements["ours"], self._together(pairs))
        return len(self.cursor.fetchall())

    def for_update(self, pairs: list[Pair]) -> int:
        """Lock, look, write, as it is usually done."""
        done = 0
        for need, offer in pairs:
            facts = {**self.facts, "need_id": need, "offer_id": offer}
            with self.connection.transaction():
                wanted = self._one("lock_need", facts)
                free = self._one("lock_offer", facts)
                if wanted is None or free is None or min(wanted, free) < self.facts["quantity"]:
                    continue
                for name in ("count_need", "count_offer", "bare"):
                    self.cursor.execute(self.statements[name], facts)
            done += 1
        return done

    def by_table(self, pairs: list[Pair]) -> int:
        """A conditional UPDATE for each table and the match, in one transaction: apps that keep to themselves."""
        done = 0
        for need, offer in pairs:
            facts = {**self.facts, "need_id": need, "offer_id": offer}
            with self.connection.transaction() as transaction:
                for name in ("admit_need", "admit_offer"):
                    self.cursor.execute(self.statements[name], facts)
                    if self.cursor.rowcount != 1:
                        raise psycopg.Rollback(transaction)
                self.cursor.execute(self.statements["bare"], facts)
                done += 1
        return done

    def _one(self, name: str, facts: dict[str, Any]) -> int | None:
        row = self.cursor.execute(self.statements[name], facts).fetchone()
        return None if row is None else int(row[0])

    def _together(self, pairs: list[Pair]) -> dict[str, Any]:
        requests = [
            {**self.facts, "position": position, "need_id": need, "offer_id": offer}
            for position, (need, offer) in enumerate(pairs)
        ]
        return {
            "requests": json.dumps(requests),
            "needs": sorted({need for need, _offer in pairs}),
            "offers": sorted({offer for _need, offer in pairs}),
        }

    def work(self, order: dict[str, Any]) -> dict[str, float]:
        allocate: Callable[[list[Pair]], int] = getattr(self, order["way"])
        pairs: Iterator[Pair] = ((need, offer) for need, offer in order["pairs"])
        done = deadlocks = 0
        began = time.perf_counter()
        end = began + order["seconds"]
        while time.perf_counter() < end and (batch := list(islice(pairs, order["batch"]))):
            try:
                done += allocate(batch)
            except errors.DeadlockDetected:
                deadlocks += 1
        return {"done": done, "seconds": time.perf_counter() - began, "deadlocks": deadlocks}


def main(dsn: str) -> None:
    client: Client | None = None
    for line in sys.stdin:
        order = json.loads(line)
        if client is None:
            client = Client(dsn, order)
            print("{}", flush=True)
            continue
        print(json.dumps(client.work(order)), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
