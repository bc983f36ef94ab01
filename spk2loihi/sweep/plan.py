"""What a sweep has to do: everything is checked before the first hour of training."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from spk2loihi.choices import SPIKING_PRESETS
from spk2loihi.data import TaskSpec, load_parts
from spk2loihi.errors import UserError
from spk2loihi.files import sha256
from spk2loihi.network import read_network
from spk2loihi.outputs import Output
from spk2loihi.sweep.axes import TrainingPoint, Way
from spk2loihi.sweep.finished import is_exported, is_trained
from spk2loihi.sweep.run_sweep import LOG, Job
from spk2loihi.training.fine_tune import check_given, tuned_teacher
from spk2loihi.training.layer_map import layer_map
from spk2loihi.training.manifest import fingerprint, teacher_digest
from spk2loihi.training.processes import accelerator
from spk2loihi.training.run_state import Interval
from spk2loihi.training.settings import TrainSettings
from spk2loihi.training.student import start_from_teacher
from spk2loihi.training.teacher import load_teacher
from spk2loihi.training.train import outputs as train_outputs


def plan_training(
    spec: TaskSpec,
    base: TrainSettings,
    points: Sequence[TrainingPoint],
    ways: tuple[Way, ...],
    samples: int | None,
    out: Path,
    report: Callable[[str], None],
    force: bool = False,
) -> list[Job]:
    """A job for each of ``points``. A teacher without a classifier is fine-tuned here, once, into ``out/teacher``.

    Raises:
        UserError: a setting is wrong, or ``out`` holds a network that other settings or data made.
    """
    if base.preset == "stock":
        raise UserError(
            "`preset` is stock, but a sweep runs windowed and settling networks, and those of the stock preset are "
            f"streamed: choose {' or '.join(SPIKING_PRESETS)}"
        )
    for name in ("leak", "feedback"):
        if getattr(base, name):
            raise UserError(
                f"`{name}` is {getattr(base, name)}, but a sweep runs windowed and settling networks, and those with "
                f"`{name}` are pipelined: leave it out"
            )
    Interval.parse(base.checkpoint_every)
    with accelerator(base.precision):
        pass  # refuses a precision the device has not
    spec, examples = load_parts(spec, base.validation_share)
    base = base.for_task(spec, len(examples.train))
    torch.manual_seed(base.seed)  # as `train` does, for a classifier that the teacher has not yet
    teacher, fine_tuned = load_teacher(base.teacher, spec.labels, spec.answer)
    for line in teacher.notes:
        report(line)
    layers = layer_map(base.layers, teacher.sizes.layers)
    for point in points:
        settings = point.settings(base)
        settings.check()
        start_from_teacher(teacher, layers, spec, settings)
    if fine_tuned:
        check_given(teacher, spec, examples.held_out, base.max_tokens)
    else:
        teacher = tuned_teacher(teacher, spec, examples, base, out / "teacher", report, force)
        base = replace(base, teacher=str(out / "teacher"))
    manifest = {
        "task": spec.to_dict(),
        "data": examples.digests(),
        "teacher_sha256": teacher_digest(teacher, True),
        "student_sha256": None,
        "processes": 1,
    }
    jobs = []
    for point in points:
        settings, folder = point.settings(base), out / point.name
        network, wanted = folder / "model.net", fingerprint(settings, manifest)
        exported = is_exported(network, wanted)
        if not exported:
            is_trained(folder / "model.pt", wanted)  # or another one, which is refused before the first training
        jobs.append(
            Job(
                point.name,
                network,
                folder,
                ways,
                samples,
                None if exported else spec,
                None if exported else settings,
                wanted,
                point.point,
            )
        )
    return jobs


def plan_networks(
    networks: Sequence[Path],
    specs: Sequence[TaskSpec | None],
    ways: tuple[Way, ...],
    samples: int | None,
    out: Path,
) -> list[Job]:
    """A job for each network that exists already; their records go to ``out/networks``, by checksum.

    Raises:
        UserError: a network is streamed, or pipelined alone.
    """
    for network in networks:
        only = read_network(network).only_schedule
        if only is not None:
            raise UserError(
                f"network file {network} is {only}, but a sweep runs windowed and settling networks: leave it out "
                "(spk2loihi energy says what it costs)"
            )
    return [
        Job(str(network), network, out / "networks" / sha256(network)[:16], ways, samples, spec)
        for network, spec in zip(networks, specs, strict=True)
    ]


def point_outputs(points: Sequence[TrainingPoint], ways: tuple[Way, ...], out: Path) -> list[Output]:
    """What is written where networks are trained."""
    found = []
    for folder in (out / point.name for point in points):
        found += [
            *train_outputs(folder / "model.pt"),
            Output(folder / "model.net", "network file", "network"),
            *_records(folder, ways),
        ]
    return found


def record_outputs(jobs: Sequence[Job]) -> list[Output]:
    """Records of the networks of ``jobs``."""
    found = {output.path: output for job in jobs for output in _records(job.folder, job.ways)}
    return list(found.values())


def _records(folder: Path, ways: tuple[Way, ...]) -> list[Output]:
    records = [Output(folder / f"{way.name}.json", "record of a sweep", "numbers") for way in ways]
    return [*records, Output(folder / LOG, "log of a sweep", None)]
