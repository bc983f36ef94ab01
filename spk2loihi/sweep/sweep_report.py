"""The sweep's data: one dictionary from the records of `measure`, written as `sweep.json` and `sweep.html`.

Layout of the dictionary::

    format        "spk2loihi-sweep/1"
    task, metric, samples, teacher_score (or null)
    points        [{name, network, network_sha256, preset, layers, seed, timesteps, bits, encoding, rate_penalty,
                    schedule, stagger (null unless settling), score, synops_per_sample, messages_per_sample,
                    dense_per_sample, host_elements_per_sample, latency_steps (of the slowest sentence),
                    mean_latency_steps, t_times_density, mean_rate, energy_per_sample_nJ: {set: total},
                    ann_energy_per_sample_nJ: {arithmetic set: total}, chosen_on (which sentences chose its epoch),
                    runs: [{seed, network, network_sha256, score}] of several seeds, score_std (over them, or null),
                    on_front, on_joint_front, is_default}]; of several seeds all figures are means (`mean_points`)
    front         {objectives: {name: "more" or "less"}, within: "encoding"}
    default       {timesteps, bits, encoding, schedule, rate_penalty, preset, points: [index], on_front}; on_front is
                  null where no point is the default configuration
    verdict       sentences
    caveats       sentences
    refused       [{name, reason}]: networks that could not be trained, exported or run, or not so
    coefficients  {set: {kind, precision, scope, coefficients}}
    provenance    as given
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from spk2loihi.energy import BUILTIN_SETS, CoefficientSet, ann_energy_pj, network_energy, t_times_density
from spk2loihi.energy.estimate import dense_operations, synops
from spk2loihi.errors import UserError
from spk2loihi.files import plain
from spk2loihi.network.run_config import RunConfig
from spk2loihi.simulators.counters import StageOps
from spk2loihi.sweep.front import OBJECTIVES, mark_front, mark_joint_front
from spk2loihi.sweep.mean_points import mean_points
from spk2loihi.sweep.sweep_verdict import caveats, verdict
from spk2loihi.training.settings import TrainSettings

FORMAT = "spk2loihi-sweep/1"


def default_configuration() -> dict[str, Any]:
    """What `train` and `simulate` do without options."""
    settings = TrainSettings()
    return {
        "timesteps": settings.timesteps,
        "bits": settings.bits,
        "encoding": RunConfig.encoding,
        "schedule": RunConfig.schedule,
        "rate_penalty": settings.losses.rate,
        "preset": settings.preset,
    }


def build_sweep(
    records: Sequence[Mapping[str, Any]],
    refused: Sequence[Mapping[str, str]] = (),
    coefficient_sets: Sequence[CoefficientSet] = (),
    provenance: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Everything the page says, as JSON-ready data (layout: see the module).

    Args:
        coefficient_sets: the user's own, before the built-in ones.

    Raises:
        UserError: there are no records, or they are of different sentences, whose scores do not compare.
    """
    if not records:
        reasons = "; ".join(dict.fromkeys(r["reason"] for r in refused))
        raise UserError(f"none of {len(refused)} networks could be made and run: {reasons}")
    _check_comparable(records)
    sets = [s for s in [*coefficient_sets, *BUILTIN_SETS.values()] if s.prices_networks]
    default = default_configuration()
    points = sorted(mean_points([_point(record, sets, default) for record in records]), key=_order)
    for point, on_front, on_joint in zip(points, mark_front(points), mark_joint_front(points), strict=True):
        point |= {"on_front": on_front, "on_joint_front": on_joint}
    defaults = [i for i, point in enumerate(points) if point["is_default"]]
    teacher = {r["teacher_score"] for r in records}
    data: dict[str, Any] = {
        "format": FORMAT,
        "task": records[0]["network"]["task"],
        "metric": records[0]["metric"],
        "samples": records[0]["samples"],
        "teacher_score": teacher.pop() if len(teacher) == 1 else None,
        "points": points,
        "front": {
            "objectives": {name: "more" if more else "less" for name, more in OBJECTIVES.items()},
            "within": "encoding",
        },
        "default": {
            **default,
            "points": defaults,
            "on_front": any(points[i]["on_front"] for i in defaults) if defaults else None,
        },
        "refused": [dict(r) for r in refused],
        "coefficients": {s.name: asdict(s) for s in sets},
        "provenance": plain(dict(provenance or {})),
    }
    data["verdict"] = verdict(data)
    data["caveats"] = caveats(data)
    return data


def _point(record: Mapping[str, Any], sets: Sequence[CoefficientSet], default: Mapping[str, Any]) -> dict[str, Any]:
    network, samples, encoding = record["network"], record["samples"], record["key"]["encoding"]
    stages = [StageOps(**stage) for stage in record["stages"]]
    dense = dense_operations(stages) / samples
    point = {
        "name": record["name"],
        "network": record["file"],
        "network_sha256": record["key"]["network_sha256"],
        **{key: network[key] for key in ("preset", "layers", "seed", "timesteps", "bits")},
        "encoding": encoding,
        "rate_penalty": network["rate_penalty"],
        # a record of a windowed run says nothing of schedules
        "schedule": record["key"].get("schedule", "windowed"),
        "stagger": record["key"].get("stagger"),
        "score": record["score"],
        "chosen_on": network.get("chosen_on", "held-out"),
        "synops_per_sample": synops(stages) / samples,
        "messages_per_sample": sum(ops.messages for ops in stages) / samples,
        "dense_per_sample": dense,
        "host_elements_per_sample": sum(sum(ops.host.values()) for ops in stages) / samples,
        "latency_steps": record["latency_steps"],
        "mean_latency_steps": record.get("mean_latency_steps", record["latency_steps"]),
        "t_times_density": t_times_density(stages),
        "mean_rate": record["mean_rate"],
        "energy_per_sample_nJ": {s.name: network_energy(stages, s, encoding).total / samples / 1e3 for s in sets},
        "ann_energy_per_sample_nJ": {
            s.name: ann_energy_pj(dense, s) / 1e3 for s in sets if s.kind == "arithmetic"
        },
    }  # fmt: skip
    return {**point, "is_default": all(point[key] == value for key, value in default.items())}


def _order(point: Mapping[str, Any]) -> tuple[Any, ...]:
    return (
        point["encoding"] != RunConfig.encoding, point["schedule"] != RunConfig.schedule,
        point["preset"] != TrainSettings.preset, str(point["preset"]), -point["bits"], -point["timesteps"],
        point["rate_penalty"], point["name"],
    )  # fmt: skip


def _check_comparable(records: Sequence[Mapping[str, Any]]) -> None:
    first = records[0]
    for record in records:
        for what in ("sentences", "metric"):
            if record["key"][what] != first["key"][what]:
                raise UserError(
                    f"{first['file']} and {record['file']} were run on different {what} (tasks "
                    f"{first['network']['task']} and {record['network']['task']}), so their scores do not compare: "
                    "sweep over networks of one task, or name its data with `task` or `dev_file`"
                )
