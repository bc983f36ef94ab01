"""Where a student's weights start: the teacher's layers, or an earlier checkpoint."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer

from spk2loihi.data import TaskSpec, collate
from spk2loihi.errors import UserError
from spk2loihi.models import SpikingBertConfig, SpikingBertForSequenceClassification
from spk2loihi.models.equalise import channel_amplitudes, equalise
from spk2loihi.models.synaptic_linear import SynapticLinear
from spk2loihi.models.topology import StageSpec
from spk2loihi.training.checkpoint import Checkpoint
from spk2loihi.training.evaluation import LabelledData, model_inputs
from spk2loihi.training.families import TeacherSizes
from spk2loihi.training.reduction import Reduced, fitted_outputs, is_smaller, reduce_teacher
from spk2loihi.training.settings import TrainSettings
from spk2loihi.training.teacher import Teacher

_CALIBRATION_SENTENCES = 64


@dataclass(frozen=True)
class Start:
    """What a student is built from.

    Attributes:
        weights: of an earlier checkpoint; None: the teacher's layers.
        outputs: the weights' pooler and classifier are those of this task.
        bits: of the checkpoint's weights.
        gated: the weights' thresholds are those of the student's own gates.
    """

    config: SpikingBertConfig
    weights: dict[str, torch.Tensor] | None = None
    outputs: bool = False
    bits: float | None = None
    gated: bool = True


def start_from_teacher(teacher: Teacher, layers: list[int], spec: TaskSpec, settings: TrainSettings) -> Start:
    """A student with a layer for each of ``layers``, no wider than the teacher; UserError for unfit settings."""
    sizes = teacher.sizes
    hidden, heads, intermediate = _widths(sizes, settings)
    return Start(
        SpikingBertConfig(
            vocab_size=sizes.vocabulary,
            hidden_size=hidden,
            num_hidden_layers=len(layers),
            num_attention_heads=heads,
            intermediate_size=intermediate,
            max_position_embeddings=sizes.positions,
            type_vocab_size=sizes.types,
            pad_token_id=sizes.padding,
            hidden_act=sizes.activation,
            head=teacher.head,
            embedding_size=sizes.embedding,
            relative_positions=sizes.relative,
            layer_norm_eps=sizes.epsilon,
            preset=settings.preset,
            timesteps=settings.timesteps,
            weight_bits=settings.bits,
            max_tokens=settings.max_tokens,
            leak=settings.leak,
            feedback=settings.feedback,
            solver=settings.solver,
            gradient=settings.gradient,
            gradient_steps=settings.gradient_steps,
            **_labels(spec),
        )
    )


def _widths(sizes: TeacherSizes, settings: TrainSettings) -> tuple[int, int, int]:
    """Width, heads and neurons of the feed-forward parts: those given, or the teacher's in proportion to the width.

    Heads keep the teacher's width where that divides the student's.

    Raises:
        UserError: more than the teacher has, or heads that are wider than its.
    """
    hidden = settings.hidden or sizes.hidden
    head = sizes.hidden // sizes.heads
    heads = settings.heads or (hidden // head if hidden % head == 0 else sizes.heads)
    intermediate = settings.intermediate or max(1, round(sizes.intermediate * hidden / sizes.hidden))
    ours = {"hidden": hidden, "heads": heads, "intermediate": intermediate}
    theirs = {"hidden": sizes.hidden, "heads": sizes.heads, "intermediate": sizes.intermediate}
    for name, value in ours.items():
        if value > theirs[name]:
            raise UserError(
                f"`{name}` is {value}, but the student starts from the teacher's layers, which have {theirs[name]}: "
                "choose at most that many, or leave it out"
            )
    if hidden > heads * head:
        raise UserError(
            f"`heads` is {heads}, which makes heads of {hidden / heads:g} channels of a `hidden` of {hidden}, but the "
            f"teacher's have {head}: choose at least {-(-hidden // head)} heads"
        )
    return hidden, heads, intermediate


def start_from_checkpoint(
    path: Path, checkpoint: Checkpoint, teacher: Teacher, spec: TaskSpec, settings: TrainSettings
) -> Start:
    """A student as ``checkpoint``, read from ``path``, left it, with what ``settings`` say of T, bits and tokens.

    Raises:
        UserError: a student of another width, vocabulary, preset or feedback than the teacher and the settings have, or
            trained for other labels.
    """
    config = checkpoint.model.config
    for what, theirs, ours in (
        ("heads", config.num_attention_heads, settings.heads or config.num_attention_heads),
        ("intermediate size", config.intermediate_size, settings.intermediate or config.intermediate_size),
        ("activation before the classifier", config.head, teacher.head),
        ("hidden size", config.hidden_size, settings.hidden or config.hidden_size),
        ("feedback", config.feedback, settings.feedback),
    ):
        if theirs != ours:
            raise UserError(
                f"student {path} has the {what} {theirs}, but {ours} is wanted: choose a teacher and options that fit"
            )
    if Tokenizer.from_str(checkpoint.tokenizer).get_vocab() != Tokenizer.from_str(teacher.tokenizer).get_vocab():
        raise UserError(
            f"student {path} has another vocabulary than teacher {teacher.source}: choose a teacher with the tokenizer "
            "the student was trained with"
        )
    if config.preset != settings.preset and (config.preset, settings.preset) != ("neurocore", "stock"):
        raise UserError(
            f"student {path} has the preset {config.preset}, but {settings.preset} is wanted, and only a neurocore "
            "student can become a stock one: choose a teacher and options that fit"
        )
    outputs = checkpoint.training.get("stage") != "general"
    if outputs and checkpoint.task.get("labels") != spec.labels:
        raise UserError(
            f"student {path} was trained for the labels {checkpoint.task.get('labels')}, but the task {spec.name} has "
            f"{spec.labels}: start from a student of stage general, or leave `student` out"
        )
    changed: dict[str, Any] = {
        **config.to_dict(),
        "preset": settings.preset,
        "timesteps": settings.timesteps,
        "weight_bits": settings.bits,
        "max_tokens": settings.max_tokens,
        "leak": settings.leak,
        "solver": settings.solver,
        "gradient": settings.gradient,
        "gradient_steps": settings.gradient_steps,
        **_labels(spec),
    }
    weights = {
        name: tensor
        for name, tensor in checkpoint.model.state_dict().items()
        if outputs or not name.startswith("classifier.")
    }
    gated = config.preset == settings.preset
    return Start(SpikingBertConfig(**changed), weights, outputs, config.weight_bits, gated)


def build_student(
    start: Start,
    teacher: Teacher,
    layers: list[int],
    calibration: LabelledData,
    pad_id: int,
    reduced: Reduced | None = None,
) -> SpikingBertForSequenceClassification:
    """The student at its start; the thresholds of one that starts from the teacher are set on ``calibration``.

    Args:
        reduced: what a smaller student starts from; made here if it is not given.
    """
    student = SpikingBertForSequenceClassification(start.config)
    if start.weights is None:
        if is_smaller(start.config, teacher):
            reduced = reduced or reduce_teacher(teacher, start.config, layers, calibration, pad_id)
            student.copy_teacher(reduced.parts, list(range(len(layers))))
        else:
            student.copy_teacher(teacher.parts, layers)
        _calibrate(student, calibration, pad_id)
    else:
        # an untrained classifier is left out; so are the steps of low bits, where the checkpoint has more
        missing, unknown = student.load_state_dict(start.weights, strict=False)
        assert not unknown and all(name.startswith("classifier.") or name.endswith(".step_ratio") for name in missing)
        if student.config.weight_bits != start.bits:
            for module in student.modules():
                if isinstance(module, SynapticLinear):
                    module.set_exponents()
        if not start.gated:
            _without_clips(student, calibration, pad_id)
    for parameter in student.embeddings.parameters():
        parameter.requires_grad_(False)  # read on the host in 16 bits: the teacher's tables serve as they are
    student.embeddings.gate.log_threshold.requires_grad_(True)
    if student.relative is not None:
        student.relative.requires_grad_(False)
    return student


@torch.no_grad()
def copy_outputs(
    student: SpikingBertForSequenceClassification, teacher: Teacher, data: LabelledData, pad_id: int
) -> None:
    """Pooler and classifier of the teacher, for a student whose own have not been trained.

    Args:
        data: of the task; a smaller student's are fitted to its states over the first sentences.
    """
    parts = teacher.parts
    if student.config.hidden_size != teacher.sizes.hidden:
        parts = fitted_outputs(student, teacher, data, pad_id)
    for spec in _outputs(student):
        module, theirs = student.synapses_of(spec), getattr(parts, spec.part)
        module.weight.copy_(theirs.weight)
        module.bias.copy_(theirs.bias)
        scale = student.gates()[spec.sources[0]].channel_scale
        if scale is not None:
            module.weight.mul_(scale)  # as `equalise` has it
        module.set_exponents()


def train_outputs(student: SpikingBertForSequenceClassification, trained: bool) -> None:
    """Whether pooler and classifier take part: a loss that does not reach them must not let their weights decay."""
    gates = student.gates()
    for spec in _outputs(student):
        student.synapses_of(spec).requires_grad_(trained)
        if spec.name in gates:
            gates[spec.name].requires_grad_(trained)


def _outputs(student: SpikingBertForSequenceClassification) -> list[StageSpec]:
    """Stages after the encoder."""
    return [spec for spec in student.specs if spec.part in ("pooler", "classifier")]


def _labels(spec: TaskSpec) -> dict[str, Any]:
    several = {"problem_type": "multi_label_classification"} if spec.answer == "labels" else {}
    return {
        **several,
        "id2label": dict(enumerate(spec.labels)),
        "label2id": {label: i for i, label in enumerate(spec.labels)},
    }


def _without_clips(student: SpikingBertForSequenceClassification, data: LabelledData, pad_id: int) -> None:
    """Make a `stock` student of a trained `neurocore` one: one exponent for all columns, and room above the clips."""
    for module in student.modules():
        if isinstance(module, SynapticLinear):
            module.column_exponent.zero_()
            module.set_exponents()
    batch = collate(data.spread_by_tokens(_CALIBRATION_SENTENCES), pad_id)
    with student.calibration(trained=True):
        student(**model_inputs(batch, next(student.parameters()).device))


def _calibrate(student: SpikingBertForSequenceClassification, data: LabelledData, pad_id: int) -> None:
    """Equalise channels, then set every threshold from the drives of training sentences, in stage order.

    Payloads of the `stock` preset have room for outlier channels, which are not equalised.
    """
    batch = collate(data.spread_by_tokens(_CALIBRATION_SENTENCES), pad_id)
    inputs = model_inputs(batch, next(student.parameters()).device)
    if student.config.preset != "stock":
        with student.unclipped():
            activations = student.equilibrium(**inputs)
        equalised = [name for name, gate in student.gates().items() if gate.channel_scale is not None]
        equalise(student, channel_amplitudes({n: activations.hidden(n) for n in equalised}, inputs["attention_mask"]))
    with student.calibration():
        student(**inputs)
    if student.config.head == "tanh":
        with torch.no_grad():
            student.pooler_gate.log_threshold.zero_()  # clip(x, -1, 1) stands for the teacher's tanh
