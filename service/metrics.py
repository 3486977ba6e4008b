"""The installation's figures in Prometheus' text form, read from the ledger on each scrape.

They are about the whole installation, so any web process gives the same ones, and a restart
of it loses nothing. Counts of documents by state are those of the asking token's workspace.
"""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from ledger import Ledger, Viewer

THROUGHPUT_SECONDS = 60


class LedgerFigures(Collector):
    """Reads the ledger when it is collected."""

    def __init__(self, ledger: Ledger, viewer: Viewer) -> None:
        self.ledger = ledger
        self.viewer = viewer

    def collect(self) -> Iterator[Metric]:
        """Yield every family."""
        yield from self.queues()
        yield from self.pulses()
        documents = GaugeMetricFamily(
            "mailroom_documents", "Documents of the workspace by state.", labels=["state"]
        )
        for state, count in self.ledger.documents.counts(self.viewer).items():
            documents.add_metric([state], count)
        yield documents

    def queues(self) -> Iterator[Metric]:
        """Yield what is owed."""
        owed = GaugeMetricFamily("mailroom_owed", "Documents not finished yet.", labels=["queue"])
        leased = GaugeMetricFamily(
            "mailroom_leased", "Documents that a worker has in hand.", labels=["queue"]
        )
        oldest = GaugeMetricFamily(
            "mailroom_oldest_seconds", "Age of the oldest document not finished.", labels=["queue"]
        )
        for queue, figures in self.ledger.owed.status().items():
            owed.add_metric([queue], figures["owed"])
            leased.add_metric([queue], figures["leased"])
            oldest.add_metric([queue], figures["oldest_seconds"] or 0.0)
        yield from (owed, leased, oldest)

    def pulses(self) -> Iterator[Metric]:
        """Yield when work last went through each queue, and how much."""
        age = GaugeMetricFamily(
            "mailroom_pulse_age_seconds", "Since work went through the queue.", labels=["queue"]
        )
        speed = GaugeMetricFamily(
            "mailroom_throughput", "Documents finished a second, last minute.", labels=["queue"]
        )
        done = CounterMetricFamily(
            "mailroom_documents_finished", "Documents that went through.", labels=["queue"]
        )
        for queue, seconds in self.ledger.pulses.ages().items():
            age.add_metric([queue], seconds)
            speed.add_metric([queue], self.ledger.owed.throughput(queue, THROUGHPUT_SECONDS))
        for queue, count in self.ledger.pulses.totals().items():
            done.add_metric([queue], count)
        yield from (age, speed, done)


def exposition(ledger: Ledger, viewer: Viewer) -> tuple[bytes, str]:
    """Return the figures and their content type."""
    registry = CollectorRegistry(auto_describe=False)
    # described by hand: registering must not read the ledger a second time
    registry.register(LedgerFigures(ledger, viewer))
    return generate_latest(registry), CONTENT_TYPE_LATEST
