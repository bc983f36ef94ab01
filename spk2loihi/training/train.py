"""`spk2loihi train`: a spiking student from a BERT teacher."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer

from spk2loihi.data import Examples, TaskSpec, collate, load_held_out, load_train, tokenise
from spk2loihi.errors import UserError
from spk2loihi.files import write_json
from spk2loihi.models import SpikingBertConfig, SpikingBertForSequenceClassification
from spk2loihi.models.equalise import channel_amplitudes, equalise
from spk2loihi.training.checkpoint import Checkpoint, save_checkpoint
from spk2loihi.training.distillation import LossWeights, distillation_loss
from spk2loihi.training.loop import LabelledData, LoopSettings, evaluate, model_inputs, run
from spk2loihi.training.teacher import Teacher, TeacherProbe, classification_loss, load_teacher
from spk2loihi.versions import versions

_CALIBRATION_SENTENCES = 64


@dataclass
class TrainSettings:
    """Everything that decides the weights, besides the data and the teacher's own weights."""

    teacher: str | None = None  # directory or id; None: the packaged MiniLM, fine-tuned first
    preset: str = "spikingbert"
    layers: list[int] | None = None  # teacher layers the student starts from; None: all
    hidden: int | None = None  # width; None, or the teacher's, whose layers the student starts from
    timesteps: int = 16
    bits: float = 8
    max_tokens: int = 64
    epochs: int = 1
    teacher_epochs: int = 1
    batch_size: int = 32
    learning_rate: float = 5e-5
    teacher_learning_rate: float = 1e-4
    threshold_learning_rate: float = 2e-3
    seed: int = 0
    losses: LossWeights = field(default_factory=LossWeights)


def train(
    spec: TaskSpec,
    settings: TrainSettings,
    out: Path,
    *,
    resume: bool = False,
    report: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """Train a student, write ``out`` and ``metrics.json`` beside it, and return the metrics.

    A teacher without a classifier for the task is fine-tuned first and kept in the directory ``teacher`` beside
    ``out``, which a later run can name with ``--teacher``.
    """
    started = time.perf_counter()
    if not 0 < settings.learning_rate < 1:
        raise UserError(f"lr is {settings.learning_rate}, but a learning rate is between 0 and 1: change --lr")
    torch.manual_seed(settings.seed)
    spec, examples = load_train(spec)
    held_out_examples = load_held_out(spec)
    state_file = out.with_name(f".{out.stem}.resume")

    teacher_home = out.parent / "teacher"
    source = settings.teacher
    if source is None and resume and (teacher_home / "config.json").is_file():
        source = str(teacher_home)
    teacher, fine_tuned = load_teacher(source, spec.labels)
    layers = _layer_map(settings.layers, teacher.model.config.num_hidden_layers)
    config = _student_config(teacher, layers, spec, settings)  # refuses wrong settings before the teacher is tuned
    if not fine_tuned and Path(teacher.source).resolve() == teacher_home.resolve():
        raise UserError(
            f"teacher {teacher.source} has no classifier, and its fine-tuned copy would overwrite it: choose another "
            "folder with -o"
        )
    tokenizer = Tokenizer.from_str(teacher.tokenizer)
    pad_id = teacher.model.config.pad_token_id or 0
    train_data, cut = _tokenised(tokenizer, examples, settings.max_tokens)
    held_out, _ = _tokenised(tokenizer, held_out_examples, settings.max_tokens)
    report(
        f"task {spec.name}: {len(train_data.labels)} training and {len(held_out.labels)} held-out sentences"
        + (f"; {cut} training sentences cut to {settings.max_tokens} tokens" if cut else "")
    )
    if fine_tuned:
        teacher_score = evaluate(teacher.model, held_out, spec.metric, pad_id)
    else:
        teacher_score = _fine_tune(
            teacher, tokenizer, train_data, held_out, spec, settings, pad_id, teacher_home, report
        )
    report(f"teacher: held-out {spec.metric} {100 * teacher_score:.2f} %")

    student = _student(teacher, layers, config)
    probe = TeacherProbe(teacher.model)
    _calibrate(student, train_data, pad_id)
    for parameter in student.embeddings.parameters():
        parameter.requires_grad_(False)  # read on the host in 16 bits: the teacher's tables serve as they are
    student.embeddings.gate.log_threshold.requires_grad_(True)

    def loss_of(inputs: dict[str, torch.Tensor], labels: torch.Tensor) -> torch.Tensor:
        states = probe(**inputs)
        return distillation_loss(
            student.equilibrium(**inputs), states, layers, inputs["attention_mask"], labels, settings.losses
        )

    history = run(
        student, loss_of, train_data, held_out, spec.metric,
        LoopSettings(settings.epochs, settings.batch_size, settings.learning_rate, settings.threshold_learning_rate,
                     settings.seed, pad_id),
        what="student", resume=state_file, fresh=not resume, fingerprint=_fingerprint(spec, settings), report=report,
    )  # fmt: skip
    student.cpu()
    metrics = {
        "task": spec.name,
        "metric": spec.metric,
        "score": max(record["score"] for record in history),
        "teacher_score": teacher_score,
        "epochs": history,
        "wall_s": time.perf_counter() - started,
        "parameters": sum(p.numel() for p in student.parameters()),
        "settings": asdict(settings),
        "teacher": teacher.source,
        "teacher_shape": {
            "layers": teacher.model.config.num_hidden_layers,
            "hidden": teacher.model.config.hidden_size,
            "intermediate": teacher.model.config.intermediate_size,
            "labels": len(spec.labels),
        },
        "versions": versions(),
    }
    save_checkpoint(Checkpoint(student, teacher.tokenizer, spec.to_dict(), metrics), out)
    write_json(out.parent / "metrics.json", metrics)
    state_file.unlink(missing_ok=True)
    return metrics


def _fingerprint(spec: TaskSpec, settings: TrainSettings) -> str:
    """Everything the student's weights depend on, but the teacher: a resumed run finds it fine-tuned already."""
    return json.dumps([spec.to_dict(), {k: v for k, v in asdict(settings).items() if k != "teacher"}], sort_keys=True)


def _tokenised(tokenizer: Tokenizer, examples: Examples, max_tokens: int) -> tuple[LabelledData, int]:
    tokenised = tokenise(tokenizer, examples, max_tokens)
    return LabelledData(tokenised.encoded, np.array(examples.labels, dtype=np.int64)), tokenised.truncated


def _fine_tune(
    teacher: Teacher,
    tokenizer: Tokenizer,
    train_data: LabelledData,
    held_out: LabelledData,
    spec: TaskSpec,
    settings: TrainSettings,
    pad_id: int,
    home: Path,
    report: Callable[[str], None],
) -> float:
    """Fine-tune the teacher, keep it in ``home``, and return its held-out score."""
    model = teacher.model
    history = run(
        model, lambda inputs, labels: classification_loss(model, inputs, labels), train_data, held_out, spec.metric,
        LoopSettings(settings.teacher_epochs, settings.batch_size, settings.teacher_learning_rate, 0.0, settings.seed,
                     pad_id),
        what="teacher", report=report,
    )  # fmt: skip
    model.save_pretrained(home)
    tokenizer.save(str(home / "tokenizer.json"))
    return float(max(record["score"] for record in history))


def _layer_map(chosen: list[int] | None, available: int) -> list[int]:
    layers = list(range(available)) if chosen is None else chosen
    for layer in layers:
        if not 0 <= layer < available:
            raise UserError(f"layer {layer} is not one of the teacher's layers 0 to {available - 1}: change --layers")
    if not layers:
        raise UserError("a student needs at least 1 layer: change --layers")
    return layers


def _student_config(teacher: Teacher, layers: list[int], spec: TaskSpec, settings: TrainSettings) -> SpikingBertConfig:
    bert = teacher.model.config
    if settings.hidden not in (None, bert.hidden_size):
        raise UserError(
            f"hidden is {settings.hidden}, but the student starts from the teacher's layers, which are "
            f"{bert.hidden_size} wide: leave --hidden out or choose a teacher of that width"
        )
    return SpikingBertConfig(
        vocab_size=bert.vocab_size,
        hidden_size=bert.hidden_size,
        num_hidden_layers=len(layers),
        num_attention_heads=bert.num_attention_heads,
        intermediate_size=bert.intermediate_size,
        max_position_embeddings=bert.max_position_embeddings,
        type_vocab_size=bert.type_vocab_size,
        pad_token_id=bert.pad_token_id or 0,
        preset=settings.preset,
        timesteps=settings.timesteps,
        weight_bits=settings.bits,
        max_tokens=settings.max_tokens,
        id2label=dict(enumerate(spec.labels)),
        label2id={label: i for i, label in enumerate(spec.labels)},
    )


def _student(teacher: Teacher, layers: list[int], config: SpikingBertConfig) -> SpikingBertForSequenceClassification:
    student = SpikingBertForSequenceClassification(config)
    student.copy_teacher(teacher.model.bert, layers)
    with torch.no_grad():
        student.classifier.weight.copy_(teacher.model.classifier.weight)
        student.classifier.bias.copy_(teacher.model.classifier.bias)
    return student


def _calibrate(student: SpikingBertForSequenceClassification, data: LabelledData, pad_id: int) -> None:
    """Equalise channels, then set every threshold from the drives of the first training sentences, in stage order."""
    batch = collate(data.encoded[:_CALIBRATION_SENTENCES], pad_id)
    inputs = model_inputs(batch, next(student.parameters()).device)
    with student.unclipped():
        activations = student.equilibrium(**inputs)
    equalised = [name for name, gate in student.gates().items() if gate.channel_scale is not None]
    equalise(student, channel_amplitudes({n: activations.hidden(n) for n in equalised}, inputs["attention_mask"]))
    with student.calibration():
        student(**inputs)
    with torch.no_grad():
        student.pooler_gate.log_threshold.zero_()  # clip(x, -1, 1) stands for the teacher's tanh
