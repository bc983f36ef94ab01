"""Fine-tuning a teacher on its own, for several students to learn from."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from tokenizers import Tokenizer

from spk2loihi.data import Examples, TaskSpec, examples_digest, formatted
from spk2loihi.errors import UserError
from spk2loihi.files import write_json
from spk2loihi.training.evaluation import evaluate
from spk2loihi.training.fine_tune import fine_tune
from spk2loihi.training.loop import Criterion, LoopSettings
from spk2loihi.training.manifest import teacher_digest
from spk2loihi.training.processes import accelerator as make_accelerator
from spk2loihi.training.run_state import Interval, RunState, remove_leftovers
from spk2loihi.training.sentences import labelled
from spk2loihi.training.settings import TrainSettings
from spk2loihi.training.teacher import Teacher, load_teacher

#: Settings that decide a fine-tuned teacher's weights, besides its data and where it starts.
_DECIDING = (
    "max_tokens", "teacher_epochs", "batch_size", "teacher_learning_rate", "seed", "precision", "evaluate_every",
    "early_stop",
)  # fmt: skip


def tuned_teacher(
    teacher: Teacher,
    spec: TaskSpec,
    train: Examples,
    held_out: Examples,
    settings: TrainSettings,
    home: Path,
    report: Callable[[str], None] = lambda line: None,
) -> Teacher:
    """``teacher`` fine-tuned on the task: read from the folder ``home``, or made there first.

    An interrupted run goes on where it was.

    Args:
        teacher: as loaded after seeding torch with ``settings.seed``, which draws its classifier.

    Raises:
        UserError: ``home`` holds a teacher that other settings or data made, or no such record at all.
    """
    parts = {name: json.dumps(getattr(settings, name)) for name in _DECIDING}
    parts["task"] = json.dumps(spec.to_dict(), sort_keys=True)
    parts["data"] = json.dumps([examples_digest(train), examples_digest(held_out)])
    parts["teacher_sha256"] = teacher_digest(teacher, False)
    record = home.with_suffix(".json")
    state_file = home.with_name(f".{home.name}.resume")
    if home.is_dir() and not state_file.is_file():
        return _kept(home, record, parts, spec)
    remove_leftovers(home, record, state_file)
    with make_accelerator(settings.precision) as accelerator:
        tokenizer = Tokenizer.from_str(teacher.tokenizer)
        data, _ = labelled(tokenizer, train, settings.max_tokens, spec.regression)
        scored, _ = labelled(tokenizer, held_out, settings.max_tokens, spec.regression)
        pad_id = teacher.model.config.pad_token_id or 0
        scores = fine_tune(
            teacher,
            data,
            Criterion(
                lambda: evaluate(teacher.model, scored, spec.metrics, pad_id),
                lambda value: f"{spec.metric} {formatted(value, spec.metric)}",
            ),
            LoopSettings(
                epochs=settings.teacher_epochs,
                batch_size=settings.batch_size,
                learning_rate=settings.teacher_learning_rate,
                threshold_learning_rate=settings.threshold_learning_rate,
                affine_learning_rate=settings.affine_learning_rate,
                seed=settings.seed,
                pad_id=pad_id,
                evaluate_every=settings.evaluate_every,
                early_stop=settings.early_stop,
                checkpoint=Interval.parse(settings.checkpoint_every),
            ),
            accelerator,
            RunState.start(state_file, parts, resume=True),
            home,
            report,
            spec.regression,
        )
    kept, _ = load_teacher(str(home), spec.labels)
    write_json(record, {"fingerprint": parts, "sha256": teacher_digest(kept, True), "scores": scores})
    state_file.unlink(missing_ok=True)
    return kept


def _kept(home: Path, record: Path, parts: dict[str, str], spec: TaskSpec) -> Teacher:
    try:
        known = json.loads(record.read_text(encoding="utf-8"))
        made_with, digest = dict(known["fingerprint"]), known["sha256"]
    except (OSError, ValueError, KeyError, TypeError):
        raise UserError(
            f"folder {home} is in the way of the fine-tuned teacher: choose another folder with -o, or name it with "
            "`teacher`"
        ) from None
    changed = [name for name in parts if made_with.get(name) != parts[name]]
    kept, _ = load_teacher(str(home), spec.labels)
    if not changed and teacher_digest(kept, True) != digest:
        changed = ["weights"]
    if changed:
        raise UserError(
            f"teacher {home} was made with other settings or data ({', '.join(changed)}): give the same options as "
            "before, or choose another folder with -o"
        )
    return kept
