"""Work on many processes, of this machine or of a cluster (Dask): the part of a killed worker goes to another one."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from spk2loihi.child_processes import starting_workers
from spk2loihi.errors import UserError, first_line
from spk2loihi.ranges import check_number, shown
from spk2loihi.temporary_files import temporary_folder
from spk2loihi.versions import versions

if TYPE_CHECKING:
    from distributed import Client, LocalCluster

P = TypeVar("P")
R = TypeVar("R")

_CONNECT_SECONDS = 10
_CLOSE_SECONDS = 5
_LOCALHOST = "127.0.0.1"
_NOT_COMPARED = ("python", "h5py", "lava-nc", "lava-dl")  # decide nothing that a worker computes

#: Of a local cluster. Threads are set by the task, nothing is shown over HTTP, and what every task needs may be large.
_CONFIGURATION = {
    "distributed.nanny.pre-spawn-environ": {},
    "distributed.scheduler.http.routes": [],
    "distributed.worker.http.routes": [],
    "distributed.admin.large-graph-warning-threshold": "1TB",
}


@dataclass(frozen=True)
class Cluster:
    """Where tasks run: ``workers`` processes of this machine, or the workers of a Dask scheduler, by its address."""

    workers: int | None = None
    scheduler: str | None = None

    @property
    def option(self) -> str:
        """The one that is given."""
        return "workers" if self.scheduler is None else "scheduler"


def cluster_of(workers: int | None, scheduler: str | None) -> Cluster | None:
    """None where neither is given.

    Raises:
        UserError: both are given, `workers` is out of range, or the extra `cluster` is not installed.
    """
    if workers is None and scheduler is None:
        return None
    if workers is not None and scheduler is not None:
        raise UserError(
            f"`workers` is {shown(workers)} and `scheduler` is {shown(scheduler)}, but a scheduler has workers of its "
            "own: give one of them"
        )
    if workers is not None:
        check_number("workers", workers)
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise UserError(
            f"{os.environ['WORLD_SIZE']} processes were launched, and each would use a cluster: run it without "
            "accelerate launch"
        )
    cluster = Cluster(workers, scheduler)
    try:
        import distributed  # noqa: F401

        if workers is not None:
            import cryptography  # noqa: F401
    except ImportError as error:
        raise UserError(
            f'`{cluster.option}` needs {error.name}, which is not installed: pip install "spk2loihi[cluster]"'
        ) from None
    return cluster


def on_cluster(
    cluster: Cluster,
    work: Callable[[P, Any], R],
    parts: Sequence[P],
    shared: Any = None,
    report: Callable[[str], None] = lambda line: None,
) -> Generator[tuple[int, R], None, None]:
    """``work(part, shared)`` of every part, on a worker: the index of the part and its result, in any order.

    A part whose worker dies is done again by another one; the scheduler gives up after four. Every worker works in the
    folder of this process, on one part at a time.

    Args:
        work: a function of this package.
        shared: what all parts need, sent to every worker once.

    Raises:
        UserError: as ``work`` does; no scheduler answers or it is lost, workers die, or they have other versions.
    """
    from dask import config

    if not parts:
        return
    with config.set(_CONFIGURATION), _unheard(), _client(cluster, len(parts), report) as (client, threads):
        from distributed import KilledWorker, as_completed

        task = _Task(work, os.getcwd(), _versions(), threads)
        held = client.submit(_itself, shared, pure=False)
        waiting = {client.submit(task, part, held, pure=False): i for i, part in enumerate(parts)}
        place = cluster.scheduler or f"the cluster of {cluster.workers} workers"
        try:
            for done in as_completed(list(waiting), loop=client.loop):
                index, result = waiting.pop(done), done.result()
                done.release()
                yield index, result
        except KilledWorker as error:
            raise UserError(
                f"{error.allowed_failures + 1} workers of {place} died at the same part, perhaps for want of memory: "
                "give them more, or use fewer workers, and run the same command again"
            ) from None
        except CancelledError:
            raise UserError(f"{place} is lost: start it again, and run the same command again") from None
        except ImportError as error:
            raise UserError(
                f"a worker of {place} lacks what this process has ({first_line(error)}): install the same "
                "packages there"
            ) from None


@dataclass(frozen=True)
class _Task:
    """What a worker does with a part."""

    work: Callable[[Any, Any], Any]
    folder: str
    versions: dict[str, str]
    threads: int | None

    def __call__(self, part: Any, shared: Any) -> Any:
        from distributed import get_worker

        worker = get_worker()
        if worker.state.nthreads > 1:
            raise UserError(
                f"worker {worker.address} does {worker.state.nthreads} tasks at a time, but a process can do 1 of "
                "these: start it with 1 thread, and more workers instead"
            )
        for name, here in _versions().items():
            if self.versions.get(name, here) != here:
                raise UserError(
                    f"worker {worker.address} has {name} {here}, but this process has {self.versions[name]}, so "
                    "results could differ: install the same version there"
                )
        if self.threads is not None:
            import torch

            torch.set_num_threads(self.threads)
        with _working_in(self.folder, worker.address):
            return self.work(part, shared)


def _itself(shared: Any) -> Any:
    return shared


def _versions() -> dict[str, str]:
    return {name: version for name, version in versions().items() if name not in _NOT_COMPARED}


@contextmanager
def _unheard() -> Iterator[None]:
    """Without the log of Dask, whose tracebacks tell a user nothing that our own errors do not."""
    loggers = [logging.getLogger(name) for name in ("distributed", "distributed.client")]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)


@contextmanager
def _working_in(folder: str, worker: str) -> Iterator[None]:
    """So that relative names, of files and in records, mean on a worker what they mean to the one who asks."""
    before = os.getcwd()
    try:
        os.chdir(folder)
    except OSError as error:
        raise UserError(
            f"worker {worker} cannot work in {folder} ({error.strerror}): run the command in a folder that all "
            "machines share"
        ) from None
    try:
        yield
    finally:
        os.chdir(before)


@contextmanager
def _client(cluster: Cluster, parts: int, report: Callable[[str], None]) -> Iterator[tuple[Client, int | None]]:
    """Connected to the cluster, and the threads of a task; None: as the worker was started."""
    from distributed import Client

    if cluster.scheduler is None:
        import torch

        workers = min(cluster.workers or 1, parts)
        with _local(workers) as made, Client(made, set_as_default=False) as client:
            yield client, max(1, torch.get_num_threads() // workers)
        return
    try:
        client = Client(cluster.scheduler, timeout=_CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError, TypeError) as error:
        raise UserError(
            f"`scheduler` is {shown(cluster.scheduler)}, but no Dask scheduler answers there ({first_line(error)}): "
            "start one with dask scheduler, and give the address it prints"
        ) from None
    with client:
        if not client.nthreads():
            report(f"{cluster.scheduler} has no workers yet: waiting for the first")
        yield client, None


@contextmanager
def _local(workers: int) -> Iterator[LocalCluster]:
    """Processes that only this one can talk to: on the loopback device, and with keys (TLS) that nobody else has.

    A scheduler runs whatever it is sent, and other users of a machine can connect to its loopback device.
    """
    from distributed import LocalCluster
    from distributed.security import Security

    with temporary_folder() as folder:
        with starting_workers():  # of threads, whose children will start with the same signals blocked
            made = LocalCluster(
                n_workers=0,
                threads_per_worker=1,
                host=_LOCALHOST,
                dashboard_address=f"{_LOCALHOST}:0",
                worker_dashboard_address=None,
                security=Security.temporary(),
                memory_limit=0,  # the machine's is the limit, as for any process
                local_directory=str(folder),
                silence_logs=logging.CRITICAL,
            )
        try:
            made.scale(workers)
            yield made
        except BaseException:
            _end(made)
            raise
        finally:
            made.close(_CLOSE_SECONDS)


def _end(cluster: LocalCluster) -> None:
    """Kill the workers, whose work nobody waits for any more."""
    for nanny in cluster.workers.values():
        nanny.auto_restart = False
        process = getattr(nanny, "process", None)
        if process is not None and process.pid is not None:
            os.kill(process.pid, 9)
