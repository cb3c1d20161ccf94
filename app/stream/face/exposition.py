"""GET /metrics: the worker's families in Prometheus's text format, with the process's own.

Owns: the format. Refuses: a registry that outlives the request or is shared by two apps; nothing is registered anywhere.
"""

from collections.abc import Callable, Iterable, Iterator

from prometheus_client import ProcessCollector
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import HistogramMetricFamily, Metric

from app.stream.families import Family, HistogramFamily


class Collector:
    """What prometheus_client's encoders read: the families as they are now."""

    def __init__(self, families: Callable[[], Iterable[Family | HistogramFamily]]) -> None:
        self._families = families
        self._process = ProcessCollector(registry=None)

    def collect(self) -> Iterator[Metric]:
        for family in self._families():
            yield _histogram(family) if isinstance(family, HistogramFamily) else _metric(family)
        yield from self._process.collect()


def expose(collector: Collector, accept: str) -> tuple[bytes, str]:
    """(body, its content type), in the format that a scraper's Accept header asks for."""
    encode, content_type = choose_encoder(accept)
    return encode(collector), content_type


def _metric(family: Family) -> Metric:
    suffix = {"counter": "_total", "info": "_info"}.get(family.kind, "")
    metric = Metric(family.name, family.help, family.kind)
    for values, value in family.samples:
        metric.add_sample(family.name + suffix, dict(zip(family.labels, values, strict=True)), value)
    return metric


def _histogram(family: HistogramFamily) -> Metric:
    return HistogramMetricFamily(family.name, family.help, buckets=family.buckets, sum_value=family.total)
