"""Fine-tuning a teacher that has no classifier for the task, and keeping it for one or several students."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from numpy.typing import NDArray
from safetensors import SafetensorError
from tokenizers import Tokenizer

from spk2loihi.data import Examples, Parts, TaskSpec, formatted, predictions, score
from spk2loihi.errors import UserError
from spk2loihi.files import write_folder, write_json
from spk2loihi.json_file import SIZE_MAX, read_json
from spk2loihi.outputs import Output, check_outputs, named_inputs
from spk2loihi.results import FOLDER_MARK, teacher_mark
from spk2loihi.temporary_files import remove_leftovers
from spk2loihi.training.evaluation import LabelledData, evaluate, predict
from spk2loihi.training.loop import Criterion, Loop, LoopSettings, Result
from spk2loihi.training.losses import FineTuning
from spk2loihi.training.manifest import teacher_digest
from spk2loihi.training.processes import accelerator as make_accelerator
from spk2loihi.training.run_state import RunState
from spk2loihi.training.sentences import labelled
from spk2loihi.training.settings import TrainSettings
from spk2loihi.training.teacher import Teacher, load_teacher
from spk2loihi.training.teacher_score import check_teacher_score
from spk2loihi.training.watching import Callback


def fine_tune(
    teacher: Teacher,
    train: LabelledData,
    held_out: LabelledData,
    criterion: Criterion,
    settings: LoopSettings,
    accelerator: Accelerator,
    state: RunState,
    home: Path,
    report: Callable[[str], None],
    spec: TaskSpec,
    watch: Callback | None = None,
) -> tuple[Result, dict[str, float]]:
    """Fine-tune ``teacher`` in place and keep it in the folder ``home``; what the loop did, and its held-out scores.

    A regression is learned on standardised labels, so that their unit does not matter to the learning rate, and the
    classifier then rescaled to the labels' own.

    Raises:
        UserError: it has not learned the task; ``home`` is as it was, and the run cannot be resumed.
    """
    scale = (float(train.labels.mean()), float(train.labels.std()) or 1.0) if spec.regression else None
    loop = Loop(
        FineTuning(teacher.model, spec.answer, scale),
        train,
        criterion,
        settings,
        accelerator,
        state,
        "teacher",
        report,
        watch,
    )
    result = loop.run()
    if scale is not None:
        classifier = teacher.parts.classifier
        with torch.no_grad():
            classifier.weight.mul_(scale[1])
            classifier.bias.mul_(scale[1]).add_(scale[0])
    try:
        scores = checked_scores(
            teacher, spec, held_out, settings.pad_id, accelerator.process_index, accelerator.num_processes, given=False
        )
    except UserError:
        if accelerator.is_main_process:
            state.path.unlink(missing_ok=True)
        raise
    if accelerator.is_main_process:
        _keep(teacher, home)
    accelerator.wait_for_everyone()
    return result, scores


def checked_scores(
    teacher: Teacher,
    spec: TaskSpec,
    held_out: LabelledData,
    pad_id: int,
    process: int = 0,
    processes: int = 1,
    given: bool = True,
) -> dict[str, float]:
    """Held-out scores, by metric, of a teacher.

    Args:
        given: it came with its classifier, rather than being fine-tuned in this run.

    Raises:
        UserError: it does not know the task, or its outputs stand for other labels.
    """
    found = _predictions(teacher, held_out, pad_id, process, processes)
    scores = {metric: score(metric, found, held_out.labels, spec.labels) for metric in spec.metrics}
    check_teacher_score(spec, scores, held_out.labels, lambda: found, teacher.source, given)
    return scores


def check_given(teacher: Teacher, spec: TaskSpec, held_out: Examples, max_tokens: int) -> None:
    """`checked_scores` of sentences that are not tokenised yet."""
    data, _ = labelled(Tokenizer.from_str(teacher.tokenizer), held_out, max_tokens, spec)
    checked_scores(teacher, spec, data, teacher.sizes.padding)


def _predictions(
    teacher: Teacher, held_out: LabelledData, pad_id: int, process: int = 0, processes: int = 1
) -> NDArray[Any]:
    logits = predict(teacher.model, held_out.encoded, pad_id, process=process, processes=processes)
    return predictions(logits, held_out.metric)


def _keep(teacher: Teacher, home: Path) -> None:
    def write(folder: Path) -> None:
        teacher.model.save_pretrained(folder)
        (folder / "tokenizer.json").write_text(teacher.tokenizer, encoding="utf-8")
        write_json(folder / FOLDER_MARK, teacher_mark())

    write_folder(home, write, (SafetensorError, RuntimeError))


#: Settings that decide a fine-tuned teacher's weights, besides its data and where it starts.
_DECIDING = (
    "max_tokens", "teacher_epochs", "batch_size", "accumulate", "teacher_learning_rate", "seed", "precision",
    "evaluate_every", "early_stop",
)  # fmt: skip


def tuned_teacher(
    teacher: Teacher,
    spec: TaskSpec,
    examples: Parts,
    settings: TrainSettings,
    home: Path,
    report: Callable[[str], None] = lambda line: None,
    force: bool = False,
) -> Teacher:
    """``teacher`` fine-tuned on the task: read from the folder ``home``, or made there first.

    An interrupted run goes on where it was.

    Args:
        teacher: as loaded after seeding torch with ``settings.seed``, which draws its classifier.
        force: replace a record in the way that is no record of a teacher.

    Raises:
        UserError: ``home`` holds a teacher that other settings or data made, or no such record at all.
    """
    settings = settings.for_task(spec, len(examples.train))
    assert settings.teacher_epochs is not None
    parts = {name: json.dumps(getattr(settings, name)) for name in _DECIDING}
    parts["task"] = json.dumps(spec.to_dict(), sort_keys=True)
    parts["data"] = json.dumps(examples.digests())
    parts["teacher_sha256"] = teacher_digest(teacher, False)
    record = home.with_suffix(".json")
    state_file = home.with_name(f".{home.name}.resume")
    if home.is_dir() and not state_file.is_file():
        return _kept(home, record, parts, spec)
    check_outputs(
        [Output(home, "fine-tuned teacher", "teacher"), Output(record, "record of a teacher", "numbers")],
        named_inputs({**spec.to_dict(), **asdict(settings)}),
        force=force,
    )
    remove_leftovers(home, record, state_file)
    with make_accelerator(settings.precision) as accelerator:
        tokenizer = Tokenizer.from_str(teacher.tokenizer)
        held_out, validation = examples.held_out, examples.validation
        data, _ = labelled(tokenizer, examples.train, settings.max_tokens, spec)
        scored, _ = labelled(tokenizer, held_out, settings.max_tokens, spec)
        chooses = scored if validation is None else labelled(tokenizer, validation, settings.max_tokens, spec)[0]
        pad_id, where = teacher.sizes.padding, "held-out" if validation is None else "validation"
        _, scores = fine_tune(
            teacher,
            data,
            scored,
            Criterion(
                lambda: evaluate(teacher.model, chooses, spec.metrics, pad_id),
                lambda value: f"{where} {spec.metric} {formatted(value, spec.metric)}",
            ),
            LoopSettings.of(settings, pad_id, settings.teacher_epochs, settings.teacher_learning_rate),
            accelerator,
            RunState.start(state_file, parts, resume=True),
            home,
            report,
            spec,
        )
    kept, _ = load_teacher(str(home), spec.labels, spec.answer)
    write_json(record, {"fingerprint": parts, "sha256": teacher_digest(kept, True), "scores": scores})
    state_file.unlink(missing_ok=True)
    return kept


def _kept(home: Path, record: Path, parts: dict[str, str], spec: TaskSpec) -> Teacher:
    try:
        known = read_json(record, "record of a teacher", "remove it", text_max=SIZE_MAX)
        made_with, digest = dict(known["fingerprint"]), known["sha256"]
    except (UserError, ValueError, KeyError, TypeError):
        raise UserError(
            f"folder {home} is in the way of the fine-tuned teacher, and its record {record} is missing or damaged: "
            "choose another folder with -o, or name it with `teacher`"
        ) from None
    changed = [name for name in parts if made_with.get(name) != parts[name]]
    kept, _ = load_teacher(str(home), spec.labels, spec.answer)
    if not changed and teacher_digest(kept, True) != digest:
        changed = ["weights"]
    if changed:
        raise UserError(
            f"teacher {home} was made with other settings or data ({', '.join(changed)}): give the same options as "
            "before, or choose another folder with -o"
        )
    return kept
