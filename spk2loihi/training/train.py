"""`spk2loihi train`: a spiking student from a teacher."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator

from spk2loihi.data import TaskSpec, formatted, load_parts
from spk2loihi.errors import UserError
from spk2loihi.files import json_writer, write_together
from spk2loihi.models import SpikingBertForSequenceClassification
from spk2loihi.outputs import Output, check_outputs, named_inputs
from spk2loihi.temporary_files import remove_leftovers, temporary_folder
from spk2loihi.training.checkpoint import Checkpoint, checkpoint_writer, load_checkpoint
from spk2loihi.training.distillation_stages import Stage, stages
from spk2loihi.training.evaluation import LabelledData, evaluate, mean_loss
from spk2loihi.training.feedback_report import feedback_report
from spk2loihi.training.fine_tune import checked_scores, fine_tune
from spk2loihi.training.finished_model import is_finished
from spk2loihi.training.layer_map import layer_map
from spk2loihi.training.loop import Criterion, Loop, LoopSettings, Result
from spk2loihi.training.losses import Distillation
from spk2loihi.training.manifest import fingerprint, run_manifest, teacher_digest
from spk2loihi.training.pretrained import load_student, push_to_hub, save_pretrained, student_digest
from spk2loihi.training.processes import accelerator as make_accelerator
from spk2loihi.training.processes import precision_notes
from spk2loihi.training.reduction import is_smaller, reduce_teacher, widening
from spk2loihi.training.run_state import RunState
from spk2loihi.training.sentences import Sentences
from spk2loihi.training.settings import TrainSettings
from spk2loihi.training.student import (
    build_student,
    copy_outputs,
    start_from_checkpoint,
    start_from_teacher,
    train_outputs,
)
from spk2loihi.training.teacher import Teacher, TeacherProbe, load_teacher
from spk2loihi.training.watching import Callback, check_tracker, logging_folder, watched_by, watchers
from spk2loihi.versions import versions

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainingResult:
    """A trained student.

    Attributes:
        checkpoint: the student with its tokenizer and task.
        metrics: what `metrics.json` holds.
        path: of `model.pt`; None if it was not written.
    """

    checkpoint: Checkpoint = field(repr=False)
    metrics: dict[str, Any] = field(repr=False)
    path: Path | None

    @property
    def score(self) -> float:
        """Of the student, on the held-out sentences."""
        return float(self.metrics["score"])

    def to_dict(self) -> dict[str, Any]:
        return self.metrics

    def save_pretrained(self, folder: str | os.PathLike[str], force: bool = False) -> None:
        """Write the student as a Hugging Face folder, with tokenizer, task and model card, which `export_model` takes.

        Args:
            force: replace a model in the folder that is none of these.
        """
        save_pretrained(self.checkpoint, Path(folder), force)

    def push_to_hub(self, repository: str, private: bool = False) -> str:
        """Write the same to a repository of the Hugging Face hub (``owner/name``), with a model card made of what was
        measured; its address."""
        return push_to_hub(self.checkpoint, repository, private)

    def _repr_html_(self) -> str:
        m = self.metrics
        teacher = f", teacher {formatted(m['teacher_score'], m['metric'])}" if "teacher_score" in m else ""
        score = formatted(m["score"], m["metric"])
        return f"<p>student: held-out {m['metric']} <b>{score}</b>{teacher}; {m['parameters']:,} parameters</p>"


def train(
    spec: TaskSpec,
    settings: TrainSettings,
    out: Path | None,
    *,
    teacher: Teacher | None = None,
    home: Path | None = None,
    tuned: Mapping[str, Any] | None = None,
    resume: bool = False,
    force: bool = False,
    report: Callable[[str], None] = lambda line: None,
    callbacks: Sequence[Callback] = (),
    log_with: str | None = None,
) -> TrainingResult:
    """Train a student and write ``out``, and ``metrics.json`` beside it.

    A teacher without a classifier for the task is fine-tuned first, where a stage needs one, and kept in the folder
    ``home``, which a later run can take for its teacher.

    Args:
        out: None: nothing is kept but the result.
        teacher: in memory, with a classifier for the task; None: the one `TrainSettings.teacher` names.
        home: None: ``teacher`` beside ``out``.
        tuned: record ``teacher_tuning`` of the run that fine-tuned the teacher in ``home``; None: this one does.
        resume: go on from the state beside ``out``; a model there of the same settings and data is finished, and stays.
        force: replace a folder ``teacher`` beside ``out`` that no earlier run made.
        callbacks: called after every step and evaluation.
        log_with: a tracker, one of `TRACKERS`; files go to `logging_folder`.
    """
    check_tracker(log_with, out)
    if out is None:
        with temporary_folder() as folder:
            result = train(spec, settings, folder / "model.pt", teacher=teacher, report=report, callbacks=callbacks)
        return replace(result, path=None)
    started = time.perf_counter()
    settings.check()
    todo = stages(settings.stage, settings.losses, settings.hard_labels)
    earlier = None if settings.student is None else load_student(Path(settings.student))
    with make_accelerator(settings.chosen_precision(), log_with, logging_folder(out)) as accelerator:
        if not accelerator.is_main_process:
            report = _silent
        torch.manual_seed(settings.seed)
        spec, examples = load_parts(spec, settings.validation_share)
        settings = settings.for_task(spec, len(examples.train), all(stage.on_corpus for stage in todo))
        given = teacher
        teacher, fine_tuned = (
            (given, True) if given is not None else load_teacher(settings.teacher, spec.labels, spec.answer)
        )
        for line in [*teacher.notes, *precision_notes(settings.precision)]:
            report(line)
        depth = None if earlier is None else earlier.model.config.num_hidden_layers
        logger.info(
            "data: %d sentences of %s to train on, %d for validation, %d held out; labels %s",
            len(examples.train),
            spec.name,
            0 if examples.validation is None else len(examples.validation),
            len(examples.held_out),
            ", ".join(spec.labels),
        )
        logger.info(
            "teacher %s; %s epochs, seed %d, on %s", teacher.source, settings.epochs, settings.seed, accelerator.device
        )
        layers = layer_map(settings.layers, teacher.sizes.layers, depth)
        start = (  # refuses wrong settings before the teacher is tuned
            start_from_teacher(teacher, layers, spec, settings)
            if earlier is None
            else start_from_checkpoint(Path(settings.student or ""), earlier, teacher, spec, settings)
        )
        home = home or teacher_folder(out)
        tune = not fine_tuned and not all(stage.on_corpus for stage in todo)
        if tune and Path(teacher.source).resolve() == home.resolve():
            raise UserError(
                f"teacher {teacher.source} has no classifier, and its fine-tuned copy would overwrite it: choose "
                "another folder with -o"
            )
        if tune:
            check_outputs([teacher_output(home)], named_inputs({**spec.to_dict(), **asdict(settings)}), force=force)
        sentences = Sentences.load(spec, examples, teacher, settings, todo, report)
        manifest = run_manifest(
            spec,
            sentences.digests,
            teacher_digest(teacher, fine_tuned),
            None if settings.student is None else student_digest(Path(settings.student)),
            accelerator,
        )
        parts = fingerprint(settings, manifest)
        if resume and is_finished(out, parts, tuned) and not _state_file(out).is_file():
            report(f"{out} is finished")
            checkpoint = load_checkpoint(out)
            return TrainingResult(checkpoint, checkpoint.training, out)
        state = _open_state(out, home, parts, resume, accelerator)
        if tuned is not None:
            state.finished.setdefault("teacher", dict(tuned))
        watch = watched_by(watchers(accelerator, log_with, callbacks, settings))
        run = _Run(spec, settings, layers, sentences, accelerator, state, report, watch)

        untuned = teacher if todo[0].on_corpus else None
        teacher_scores: dict[str, float] | None = None
        if tune:
            if untuned is not None:
                untuned, _ = load_teacher(settings.teacher, spec.labels, spec.answer)
            teacher, teacher_scores = run.tuned(teacher, home)
        elif fine_tuned and not todo[-1].on_corpus:
            teacher_scores = run.checked(teacher)
        if teacher_scores is not None:
            score = formatted(teacher_scores[spec.metric], spec.metric)
            report(f"teacher: held-out {spec.metric} {score}")
        first = untuned or teacher
        calibration = sentences.of(todo[0])[0]
        reduced = None
        if earlier is None and is_smaller(start.config, first):
            reduced = reduce_teacher(first, start.config, layers, calibration, sentences.pad_id)
        student = build_student(start, first, layers, calibration, sentences.pad_id, reduced)
        if earlier is not None and not start.outputs and not todo[0].on_corpus:
            copy_outputs(student, teacher, sentences.train, sentences.pad_id)
        heads = None if reduced is None else reduced.heads
        if earlier is not None:
            heads = earlier.training.get("teacher_heads")
        run.heads = heads
        logger.info("student: preset %s, teacher layers %s, T = %d", settings.preset, layers, settings.timesteps)
        results = run.distil(student, todo, untuned, teacher, fresh=earlier is None)
        best, on_corpus, metric = results[-1].best, todo[-1].on_corpus, run.criterion_name(todo[-1])
        assert best is not None  # there is at least one epoch
        scores = None if on_corpus else run.scores_of(student, sentences.held_out)
        student.cpu()
        metrics = {
            "task": spec.name,
            "metric": metric,
            "score": best[metric] if scores is None else scores[metric],
            "scores": scores,
            "chosen_on": "validation" if on_corpus else sentences.chosen_on,
            **({} if teacher_scores is None else {"teacher_score": teacher_scores[spec.metric]}),
            "teacher_scores": teacher_scores,
            **({"teacher_tuning": state.finished["teacher"]} if tune else {}),
            "epochs": results[-1].epochs,
            "best": best,
            "stage": todo[-1].name,
            "stages": [
                {"stage": stage.name, "losses": asdict(stage.losses), **asdict(result)}
                for stage, result in zip(todo, results, strict=True)
            ],
            **({"feedback": feedback_report(student, results[-1].solves)} if settings.feedback else {}),
            "wall_s": time.perf_counter() - started,
            "parameters": sum(p.numel() for p in student.parameters()),
            "settings": asdict(settings),
            "teacher": teacher.source,
            "teacher_layers": layers,
            **({} if heads is None else {"teacher_heads": heads}),
            "teacher_shape": {
                "layers": teacher.sizes.layers,
                "hidden": teacher.sizes.hidden,
                "intermediate": teacher.sizes.intermediate,
                "labels": len(spec.labels),
                **({} if teacher.sizes.embedding is None else {"embedding": teacher.sizes.embedding}),
            },
            "manifest": manifest,
            "versions": versions(),
        }
        checkpoint = Checkpoint(student, teacher.tokenizer, spec.to_dict(), metrics)
        if accelerator.is_main_process:
            write_together(
                {out: checkpoint_writer(checkpoint), out.parent / "metrics.json": json_writer(metrics)},
                then=lambda: state.path.unlink(missing_ok=True),
            )
        accelerator.wait_for_everyone()
    return TrainingResult(checkpoint, metrics, out)


def outputs(out: Path) -> list[Output]:
    """What `train` writes, but for `teacher_output`, which it does not always."""
    return [
        Output(out, "model", "model"),
        Output(out.parent / "metrics.json", "metrics.json of a model", "numbers"),
        Output(_state_file(out), "state of a training", None),
    ]


def teacher_folder(out: Path) -> Path:
    """Where a teacher that is fine-tuned on the way is kept."""
    return out.parent / "teacher"


def teacher_output(home: Path) -> Output:
    """The folder of a teacher that is fine-tuned on the way."""
    return Output(home, "fine-tuned teacher", "teacher")


def _state_file(out: Path) -> Path:
    return out.with_name(f".{out.stem}.resume")


def _silent(line: str) -> None:
    pass


def _open_state(out: Path, home: Path, parts: dict[str, str], resume: bool, accelerator: Accelerator) -> RunState:
    path = _state_file(out)
    state = RunState.start(path, parts, resume)
    accelerator.wait_for_everyone()  # everyone has read it
    if accelerator.is_main_process:
        remove_leftovers(out, out.parent / "metrics.json", path, home)
        if not resume:
            path.unlink(missing_ok=True)
    return state


@dataclass
class _Run:
    """The phases of one run: the teacher, then the stages of the student."""

    spec: TaskSpec
    settings: TrainSettings
    layers: list[int]
    sentences: Sentences
    accelerator: Accelerator
    state: RunState
    report: Callable[[str], None]
    watch: Callback | None = None
    heads: list[list[int]] | None = None  # of the teacher, that those of each layer of a smaller student stand for

    def tuned(self, teacher: Teacher, home: Path) -> tuple[Teacher, dict[str, float]]:
        """The fine-tuned teacher and its held-out scores, from ``home`` where it is finished."""
        finished = self.state.finished.get("teacher")
        if finished is not None:
            kept, _ = load_teacher(str(home), self.spec.labels, self.spec.answer)
            if teacher_digest(kept, True) != finished["sha256"]:
                raise UserError(
                    f"teacher {home} is not the one {self.state.path} was made with: leave `resume` out to start anew"
                )
            return replace(kept, source=teacher.source, notes=[]), finished["scores"]
        settings, train = self.settings, self.sentences.train
        assert settings.teacher_epochs is not None  # as `for_task` has it
        result, scores = fine_tune(
            teacher,
            train,
            self.sentences.held_out,
            self._criterion(teacher.model),
            LoopSettings.of(settings, self.sentences.pad_id, settings.teacher_epochs, settings.teacher_learning_rate),
            self.accelerator,
            self.state,
            home,
            self.report,
            self.spec,
            self.watch,
        )
        self.state.finish("teacher", {"scores": scores, "best": result.best, "sha256": teacher_digest(teacher, True)})
        return teacher, scores

    def checked(self, teacher: Teacher) -> dict[str, float]:
        """Held-out scores of a teacher that came with its classifier; UserError where it does not know the task."""
        here = self.accelerator
        teacher.model.to(here.device)
        return checked_scores(
            teacher, self.spec, self.sentences.held_out, self.sentences.pad_id, here.process_index, here.num_processes
        )

    def scores_of(self, model: torch.nn.Module, data: LabelledData) -> dict[str, float]:
        here = self.accelerator
        model.to(here.device)
        return evaluate(model, data, self.spec.metrics, self.sentences.pad_id, here.process_index, here.num_processes)

    def distil(
        self,
        student: SpikingBertForSequenceClassification,
        todo: list[Stage],
        untuned: Teacher | None,
        teacher: Teacher,
        fresh: bool,
    ) -> list[Result]:
        """Take ``student`` through the stages that are not finished; one result each.

        Args:
            untuned: teacher of stages on the corpus.
            fresh: the student starts from the teacher, not from a checkpoint that has been trained already.
        """
        results: list[Result] = []
        probe: TeacherProbe | None = None
        for i, stage in enumerate(todo):
            of = untuned if stage.on_corpus and untuned is not None else teacher
            if stage.name in self.state.finished:
                results.append(Result(**self.state.finished[stage.name]))
                continue
            if i and todo[i - 1].on_corpus:
                copy_outputs(student, teacher, self.sentences.train, self.sentences.pad_id)
            if probe is None or probe.teacher is not of:
                of.model.to(self.accelerator.device)
                probe = TeacherProbe(of)
            train_outputs(student, stage.outputs)
            results.append(
                self._stage(student, stage, probe, (i / len(todo), (i + 1) / len(todo)) if fresh else (1, 1))
            )
            self.state.finish(stage.name, asdict(results[-1]))
        return results

    def _stage(
        self,
        student: SpikingBertForSequenceClassification,
        stage: Stage,
        probe: TeacherProbe,
        progress: tuple[float, float],
    ) -> Result:
        settings = self.settings
        assert settings.epochs is not None  # as `for_task` has it
        train, chooses = self.sentences.of(stage)
        variance = (float(self.sentences.train.labels.var()) or 1.0) if self.spec.regression else None
        widen = None
        if student.config.hidden_size != probe.teacher.sizes.hidden:
            widen = widening(student, probe.teacher, self.layers, train, self.sentences.pad_id)
        objective = Distillation(
            student, probe, self.layers, stage.losses, self.spec.answer, variance, widen, self.heads
        )
        criterion = self._criterion(student)
        if stage.on_corpus:
            name = self.criterion_name(stage)
            criterion = Criterion(
                lambda: {name: mean_loss(objective, student, chooses, self.sentences.pad_id)},
                lambda value: f"validation {name} {value:.4f}",
                higher_is_better=False,
            )
        return Loop(
            objective,
            train,
            criterion,
            LoopSettings.of(
                settings,
                self.sentences.pad_id,
                settings.epochs,
                settings.learning_rate,
                steps=settings.steps,
                progress=progress,
                average=settings.average,
            ),
            self.accelerator,
            self.state,
            "student" if stage.name == "joint" else stage.name,
            self.report,
            self.watch,
        ).run()

    def criterion_name(self, stage: Stage) -> str:
        return "distillation_loss" if stage.on_corpus else self.spec.metric

    def _criterion(self, model: torch.nn.Module) -> Criterion:
        metric, where = self.spec.metric, self.sentences.chosen_on
        return Criterion(
            lambda: self.scores_of(model, self.sentences.chooses),
            lambda value: f"{where} {metric} {formatted(value, metric)}",
        )
