"""One network in every way: run over held-out sentences, counted, and remembered."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from spk2loihi.data import TaskSpec, examples_digest, load_held_out
from spk2loihi.errors import UserError
from spk2loihi.files import sha256
from spk2loihi.kept_records import keep_record, kept_record
from spk2loihi.network import Network, read_network
from spk2loihi.simulators import create_backend, encode, simulate
from spk2loihi.sweep.axes import Way
from spk2loihi.versions import versions

_RECORD_MAX = 8 << 20  # bytes

_NUMBERS = ("score", "samples", "latency_steps", "mean_latency_steps", "mean_rate")


def measure(
    network_file: Path,
    ways: tuple[Way, ...],
    spec: TaskSpec | None,
    samples: int | None,
    folder: Path,
    advance: Callable[[int], None] = lambda n: None,
) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """A record for each way, and why there is none for others.

    A record is kept in ``folder`` and taken from there when network, way, sentences and program are the same.

    Args:
        spec: whose held-out sentences are run; None: the task the network remembers.
        samples: only the first so many.

    Returns:
        records: ``key`` (what decides the rest), ``network`` (facts), ``metric``, ``score``, ``samples``,
        ``latency_steps`` of the slowest sentence, ``mean_latency_steps``, ``stages`` (counters over all samples),
        ``teacher_score`` (on the same sentences, or null).
        refused: by the name of a way, why the network cannot be run so.
    """
    network = read_network(network_file)
    task = TaskSpec.from_dict(network.task) if spec is None else spec
    examples = load_held_out(task)
    if samples is not None:
        examples = examples.take(samples)
    encoded, truncated = encode(network, examples)
    shared = {
        "network_sha256": sha256(network_file),
        "sentences": examples_digest(examples),
        "metric": task.metric,
        "spk2loihi": versions().get("spk2loihi"),
    }
    training = network.provenance.get("training", {})
    records, refused = [], {}
    for way in ways:
        key = {**shared, **_way_key(way, network)}
        kept = folder / f"{way.name}.json"
        record = kept_record(kept, key, "record of a sweep", _RECORD_MAX)
        if record is None:
            try:
                backend = create_backend("emulator", network, network.run_config(way.schedule, way.encoding))
            except UserError as error:
                refused[way.name] = str(error)
                continue
            result = simulate(backend, encoded, advance=advance)
            result = result.labelled(task, examples, encoded)
            numbers = result.to_dict()
            record = {
                "key": key,
                "network": _facts(network),
                "metric": task.metric,
                **{name: numbers[name] for name in _NUMBERS},
                "truncated": truncated,
                "stages": [stage.to_dict() for stage in result.stages],
                # the teacher was scored on all held-out sentences of the network's own task
                "teacher_score": training.get("teacher_score") if spec is None and samples is None else None,
                "wall_s": result.wall_s,
            }
            keep_record(kept, record)
        else:
            advance(len(encoded))
        records.append({**record, "file": str(network_file)})
    return records, refused


def _way_key(way: Way, network: Network) -> dict[str, Any]:
    """What a record depends on beside network and sentences. The stagger decides a settling run alone."""
    settling = {"schedule": way.schedule, "stagger": network.defaults.stagger} if way.schedule == "settling" else {}
    return {"encoding": way.encoding, **settling}


def _facts(network: Network) -> dict[str, Any]:
    training = network.provenance.get("training", {})
    settings = training.get("settings", {})
    return {
        "timesteps": network.timesteps,
        "bits": network.weight_bits,
        "rate_penalty": settings.get("losses", {}).get("rate", 0.0),
        "preset": network.config.get("preset"),
        "layers": network.config.get("num_hidden_layers"),
        "task": network.task["name"],
        "seed": settings.get("seed"),
        "chosen_on": training.get("chosen_on", "held-out"),  # before there was a validation part
    }
