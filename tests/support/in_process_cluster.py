"""A Dask scheduler and a worker within this process: for what does not depend on processes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def in_process_cluster(threads: int = 1) -> Iterator[str]:
    """Its address."""
    from distributed import LocalCluster

    with LocalCluster(
        n_workers=1, threads_per_worker=threads, processes=False, dashboard_address="127.0.0.1:0", silence_logs=50
    ) as made:
        yield made.scheduler_address
