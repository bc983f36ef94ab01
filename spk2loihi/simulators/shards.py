"""Sentences in shards, simulated on a cluster: the numbers of one process, and finished shards outlive a run."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from spk2loihi.cluster import Cluster, on_cluster
from spk2loihi.data import Encoded
from spk2loihi.errors import UserError
from spk2loihi.kept_records import json_digest, keep_record, kept_record
from spk2loihi.network import RunConfig, read_network, write_network
from spk2loihi.network.network import Network
from spk2loihi.simulators.backend import Backend
from spk2loihi.simulators.counters import StageOps
from spk2loihi.simulators.registry import create_backend
from spk2loihi.simulators.simulate import Simulation, simulate
from spk2loihi.temporary_files import temporary_folder
from spk2loihi.versions import versions

logger = logging.getLogger(__name__)

SENTENCES = 512
"""Of a shard: about a second of the emulator. One number for all runs, so that the next one finds the same shards."""

_SHARD_MAX = 256 << 20  # bytes of a finished one; the readout of every token of tagged sentences is in it


@dataclass(frozen=True)
class Spread:
    """How the sentences of a run are spread over a cluster.

    Attributes:
        file: that the network was read from, if it was.
        kept: folder for finished shards, until all are; None: they are lost with the run.
        report: called with a line about what is found there, and about the cluster.
    """

    cluster: Cluster
    file: Path | None = None
    kept: Path | None = None
    report: Callable[[str], None] = lambda line: None


@dataclass(frozen=True)
class _Way:
    """What all shards need.

    Attributes:
        network: contents of its file, whose SHA-256 is ``digest``.
        backend: its name, as `create_backend` takes it.
    """

    network: bytes
    digest: str
    backend: str
    config: RunConfig


_Shard = tuple[list[Encoded], int]
"""Sentences, and how many a batch."""


def simulate_spread(
    backend: Backend,
    encoded: list[Encoded],
    spread: Spread,
    batch_size: int = 64,
    advance: Callable[[int], None] = lambda n: None,
) -> Simulation:
    """`simulate` on the workers of a cluster, a shard of the sentences at a time; the numbers are those of one process.

    Raises:
        UserError: as `spk2loihi.cluster.on_cluster`, or a backend that has processes of its own.
    """
    if backend.name not in ("emulator", "stepped"):
        raise UserError(
            f"`backend` {backend.name} has processes of its own, which a worker cannot start: choose the `backend` "
            "emulator or stepped, or run it in one process"
        )
    started = time.perf_counter()
    contents = _contents(backend.network, spread.file)
    way = _Way(contents, hashlib.sha256(contents).hexdigest(), backend.name, backend.timeline.config)
    shards = [encoded[at : at + SENTENCES] for at in range(0, len(encoded), SENTENCES)]
    parts: dict[int, Simulation] = {}
    keys = [_key(way, shard) for shard in shards]
    if spread.kept is not None:
        for i, (key, shard) in enumerate(zip(keys, shards, strict=True)):
            if (part := _kept(spread.kept, key)) is not None:
                parts[i] = part
                advance(len(shard))
    if parts:
        spread.report(f"{len(parts)} of {len(shards)} shards are in {spread.kept} already")
    missing = [i for i in range(len(shards)) if i not in parts]
    todo: list[_Shard] = [(shards[i], batch_size) for i in missing]
    for at, part in on_cluster(spread.cluster, _run, todo, way, spread.report):
        i = missing[at]
        parts[i] = part
        if spread.kept is not None:
            _keep(spread.kept, keys[i], part)
        advance(len(shards[i]))
    whole = Simulation.joined([parts[i] for i in range(len(shards))])
    whole.wall_s = time.perf_counter() - started
    logger.info("%s: %d sentences in %d shards, %d of them new", backend.name, len(encoded), len(shards), len(missing))
    return whole


def remove_kept(folder: Path) -> None:
    """Remove finished shards, which their whole has made needless."""
    with suppress(OSError):
        for path in folder.glob("*.shard.json"):
            path.unlink()
        folder.rmdir()  # if nothing else is in it


def _contents(network: Network, file: Path | None) -> bytes:
    """Of a network file, which is a ninth of the size of its arrays."""
    if file is not None:
        return file.read_bytes()
    with temporary_folder() as folder:
        write_network(network, folder / "model.net")
        return (folder / "model.net").read_bytes()


# --- on a worker

_last: dict[tuple[Any, ...], Backend] = {}  # the one backend that this process has made for shards


def _run(shard: _Shard, way: _Way) -> Simulation:
    encoded, batch_size = shard
    return simulate(_backend(way), encoded, batch_size)


def _backend(way: _Way) -> Backend:
    name = (way.digest, way.backend, way.config)
    if name not in _last:
        _last.clear()
        with temporary_folder() as folder:
            (folder / "model.net").write_bytes(way.network)
            network = read_network(folder / "model.net")
        _last[name] = create_backend(way.backend, network, way.config)
    return _last[name]


# --- finished shards


def _key(way: _Way, shard: list[Encoded]) -> dict[str, Any]:
    """All that decides what a shard gives."""
    sentences = hashlib.sha256()
    for one in shard:
        for array in (one.input_ids, one.token_type_ids):
            sentences.update(len(array).to_bytes(8, "little") + np.ascontiguousarray(array).tobytes())
    return {
        "network_sha256": way.digest,
        "backend": way.backend,
        "config": asdict(way.config),
        "sentences_sha256": sentences.hexdigest(),
        "spk2loihi": versions().get("spk2loihi"),
    }


def _place(folder: Path, key: dict[str, Any]) -> Path:
    return folder / f"{json_digest(key)[:32]}.shard.json"


def _keep(folder: Path, key: dict[str, Any], part: Simulation) -> None:
    stages = [stage.to_dict() for stage in part.stages]
    numbers = {name: getattr(part, name) for name in _PLAIN}
    keep_record(_place(folder, key), {"key": key, **numbers, "logits": part.logits.tolist(), "stages": stages})


def _kept(folder: Path, key: dict[str, Any]) -> Simulation | None:
    record = kept_record(_place(folder, key), key, "finished shard", _SHARD_MAX)
    if record is None:
        return None
    return Simulation(
        **{name: record[name] for name in _PLAIN},
        logits=np.array(record["logits"], dtype=np.int64),
        stages=[StageOps(**stage) for stage in record["stages"]],
    )


_PLAIN = (
    "backend", "schedule", "encoding", "timesteps", "spikes", "latency_steps", "latency_total", "wall_s", "compile_s"
)  # fmt: skip
