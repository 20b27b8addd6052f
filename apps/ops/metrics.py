"""Facts about the work itself, counted in the database when scraped. Requests are counted by django_prometheus."""

import itertools
from collections.abc import Iterator

from django.apps import apps
from django.db import DatabaseError
from django.db.models import Count
from django.utils import timezone
from prometheus_client.core import GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from redis.exceptions import RedisError

from apps.core.postgresql import replica
from apps.notifications import promises
from apps.ops import upkeep

COUNTED = {
    "cosmomatch_demands": ("demands", "Demand", "Demands by state"),
    "cosmomatch_offers": ("supply", "Offer", "Offers by state"),
    "cosmomatch_matches": ("matching", "Match", "Matches by state"),
    "cosmomatch_orders": ("fulfilment", "Order", "Orders by state"),
    "cosmomatch_messages": ("notifications", "Message", "Messages by state"),
}
# Rows of a table above which its states are estimated: a scrape every few seconds would read the whole history.
MOST_COUNTED = 50_000
# Few at any time, found by an index that holds no others, and what alarms look at: always counted.
EXACT = {"cosmomatch_messages": ("queued", "failed")}


class WorkCollector(Collector):
    def describe(self) -> list[Metric]:
        # prometheus_client would otherwise call collect() when the collector is registered, and ask the database then.
        return []

    def collect(self) -> Iterator[Metric]:
        up = GaugeMetricFamily("cosmomatch_database_up", "Whether the database answers")
        try:
            # Asked before the first family is given out, so that a scrape shows all figures or none.
            with replica.reading():
                families = list(self._by_state())
            families += [self._overdue(), *self._upkeep()]
        except DatabaseError:
            up.add_metric([], 0)
            yield up
            return
        up.add_metric([], 1)
        yield up
        yield from families

    def _by_state(self) -> Iterator[Metric]:
        for name, (app, model, help_text) in COUNTED.items():
            if not apps.is_installed(f"apps.{app}"):
                continue
            family = GaugeMetricFamily(name, help_text, labels=["state"])
            # `order_by()` drops the default order, which would split the groups.
            rows = apps.get_model(app, model)._default_manager.order_by()
            counts = upkeep.estimated(rows.model._meta.db_table, "state", above=MOST_COUNTED)
            if counts is None:
                counts = dict(rows.values_list("state").annotate(Count("pk")))
            else:
                counts |= {state: rows.filter(state=state).count() for state in EXACT.get(name, ())}
            for state, count in counts.items():
                family.add_metric([state], count)
            yield family

    def _overdue(self) -> Metric:
        family = GaugeMetricFamily("cosmomatch_messages_due", "Messages that could be sent now")
        family.add_metric([], apps.get_model("notifications", "Message").objects.due(timezone.now()).count())
        return family

    def _upkeep(self) -> Iterator[Metric]:
        oldest = GaugeMetricFamily(
            "cosmomatch_oldest_transaction_seconds", "Age of the oldest transaction that is open in the database"
        )
        oldest.add_metric([], upkeep.oldest_transaction().total_seconds())
        yield oldest
        age = GaugeMetricFamily(
            "cosmomatch_queue_age_seconds", "How long the oldest row of a promise has been due", labels=["queue"]
        )
        for queue, waits in upkeep.ages(timezone.now()).items():
            age.add_metric([queue], waits.total_seconds())
        yield age
        dead = GaugeMetricFamily(
            "cosmomatch_queue_dead_rows", "Rows of a queue that PostgreSQL has not cleared away yet", labels=["table"]
        )
        for table, rows in upkeep.queues().items():
            dead.add_metric([table], rows.dead)
        yield dead


class PromiseCollector(Collector):
    def describe(self) -> list[Metric]:
        return []  # as above

    def collect(self) -> Iterator[Metric]:
        family = HistogramMetricFamily("cosmomatch_promise_seconds", "How long each promise took", labels=["promise"])
        try:
            counted = promises.histograms()
        except RedisError:
            return  # an absent family says that nothing is known
        limits = [*map(str, promises.LIMITS), "+Inf"]
        for promise, histogram in counted.items():
            up_to = itertools.accumulate(histogram.counts)
            family.add_metric([promise], list(zip(limits, up_to, strict=True)), histogram.sum)
        yield family
