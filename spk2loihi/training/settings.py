"""What decides the weights of a student."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, fields, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from spk2loihi.data import TaskSpec
from spk2loihi.errors import UserError
from spk2loihi.limits import TIMESTEPS_MAX, WEIGHT_BITS
from spk2loihi.ranges import RANGES, check_number, check_numbers, shown

#: Sentences that a default training goes through, in whole epochs, and at most how many times; the larger of two.
_USUAL = (60_000, 10)
_LEAST = (32_000, 20)  # 1,000 steps of 32


def default_epochs(spec: TaskSpec, sentences: int) -> int:
    """Epochs of teacher and student for so many training sentences: ceil(60,000 / sentences), at most 10; or, where
    that is more, ceil(32,000 / sentences), at most 20.

    So 60,000 sentences or more (SST-2, QNLI, QQP, MNLI) are gone through once, CoLA 8 times, STS-B and MRPC 10 times,
    and RTE 15 times. The embedded reviews, a demonstration, are gone through once.
    """
    if spec.kind == "reviews":
        return 1
    return max(min(most, -(-wanted // max(1, sentences))) for wanted, most in (_USUAL, _LEAST))


@dataclass
class LossWeights:
    """Weights of the terms; every term is a mean, so they do not depend on batch or sentence length."""

    embedding: float = 0.1
    hidden: float = 0.1
    score: float = 0.01
    prediction: float = 1.0
    label: float = 1.0
    temperature: float = 2.0
    rate: float = 0.0  # of T x density: SynOps a synapse (`rate_penalty`)


@dataclass
class TrainSettings:
    """Everything that decides the weights, besides the data and the teacher's own weights.

    Epochs that are None depend on the number of training sentences (`default_epochs`): 1 from 60,000 on, and for the
    embedded reviews; up to 20 for fewer. A training on raw text alone has 1.
    """

    teacher: str | None = None  # directory or id; None: the packaged MiniLM, fine-tuned first
    preset: str = "spikingbert"
    layers: str | list[int] | None = None  # teacher layers the student stands for; None: all, or uniform over a student
    hidden: int | None = None  # width, at most the teacher's; None: the teacher's
    timesteps: int = 16
    bits: float = 8
    max_tokens: int = 64
    leak: float = 0.0  # these two: see `SpikingBertConfig`; networks that have them run pipelined alone
    feedback: float = 0.0
    solver: str = "anderson"  # these three: of fixed points of feedback, see `SpikingBertConfig`
    gradient: str = "solver"
    gradient_steps: int = 64
    epochs: int | None = None  # of each stage; None: by the size of the data
    steps: int | None = None  # of each stage, in place of whole epochs
    teacher_epochs: int | None = None  # the same
    batch_size: int = 32  # of all processes together
    accumulate: int = 1  # parts a batch is computed in, one after the other
    learning_rate: float = 5e-5
    teacher_learning_rate: float = 1e-4
    threshold_learning_rate: float = 2e-3
    affine_learning_rate: float = 1e-3  # of what stands for LayerNorm and softmax in the neurocore preset
    seed: int = 0
    losses: LossWeights = field(default_factory=LossWeights)
    stage: str = "joint"
    corpus: str | None = None  # raw text of the general stage
    student: str | None = None  # model.pt a stage starts from; None: the teacher's layers
    hard_labels: bool = False  # the prediction stage learns the labels, not the teacher's predictions
    precision: str = "auto"  # no, bf16 or fp16: of products in training; auto: see `chosen_precision` below
    checkpoint_every: str = "10m"
    evaluate_every: int | None = None
    early_stop: int | None = None
    validation_share: float | None = None  # of the training sentences; None: by their number; 0: held-out data choose
    average: float | None = None  # decay of an average that is kept in place of the student's weights
    heads: int | None = None  # these two: of a student smaller than its teacher; None: in proportion to the width
    intermediate: int | None = None

    def for_task(self, spec: TaskSpec, sentences: int, on_corpus: bool = False) -> TrainSettings:
        """The same with epochs where none are given, and the precision that ``auto`` is here.

        Args:
            sentences: of the task, to train on.
            on_corpus: the student is trained on raw text alone.
        """
        usual = default_epochs(spec, sentences)
        students = (1 if on_corpus else usual) if self.epochs is None else self.epochs
        return replace(
            self,
            epochs=students,
            teacher_epochs=usual if self.teacher_epochs is None else self.teacher_epochs,
            precision=self.chosen_precision(),
        )

    def chosen_precision(self) -> str:
        """What ``auto`` is here: that of `processes`, but no for rates that are no whole counts, as leak and feedback
        make them: mixed precision would round the drives."""
        from spk2loihi.training.processes import chosen_precision

        return "no" if self.precision == "auto" and (self.leak or self.feedback) else chosen_precision(self.precision)

    def check(self) -> None:
        """Raises UserError for numbers out of their range."""
        from spk2loihi.network.leak import check_leak_and_feedback
        from spk2loihi.training.run_state import Interval

        own = {field.name: getattr(self, field.name) for field in fields(self) if field.name in RANGES}
        check_numbers({name: value for name, value in own.items() if name != "layers"}, {"steps": "training_steps"})
        check_numbers({"rate_penalty": self.losses.rate, "temperature": self.losses.temperature})
        for name in ("embedding", "hidden", "score", "prediction", "label"):
            check_number(f"losses.{name}", getattr(self.losses, name), "loss_weight")
        if self.preset == "stock" and self.losses.rate:
            raise UserError(
                f"`rate_penalty` is {self.losses.rate:g}, but it counts spikes, and the stock preset sends one message "
                "a neuron whatever its payload: leave it out"
            )
        check_leak_and_feedback(self.preset, self.leak, self.feedback)
        if self.batch_size % self.accumulate:
            raise UserError(
                f"`accumulate` is {self.accumulate}, which does not divide `batch_size` {self.batch_size}: "
                "choose a divisor of it, or another batch size"
            )
        if isinstance(self.bits, bool) or self.bits not in WEIGHT_BITS:
            raise UserError(
                f"`bits` is {shown(self.bits)}, but a signed Loihi weight has at most 8 bits: choose one of "
                f"{', '.join(f'{known:g}' for known in WEIGHT_BITS)}"
            )
        Interval.parse(self.checkpoint_every)


def train_settings(
    *,
    temperature: float | None = None,
    rate_penalty: float | None = None,
    student: str | os.PathLike[str] | None = None,
    **options: Any,
) -> TrainSettings:
    """Settings from keyword options; those that are None are the student's, or the defaults.

    Args:
        temperature, rate_penalty: of the losses.
        student: a `model.pt`, a folder of `save_pretrained` or a repository of the hub to go on from; preset, T, bits,
            tokens, leak, feedback, solver and gradient are its own by default.
        options: fields of `TrainSettings`.

    Raises:
        UserError: the student cannot be read, or there is no such option.
    """
    known = {field.name for field in fields(TrainSettings)}
    for name in options:
        if name not in known:
            close = get_close_matches(name, known, 1)
            raise UserError(
                f"training has no option {name!r}: " + (f"did you mean `{close[0]}`?" if close else "leave it out")
            )
    given = {name: os.fspath(x) if isinstance(x, os.PathLike) else x for name, x in options.items() if x is not None}
    if student is not None:
        from spk2loihi.training.pretrained import load_student

        config = load_student(Path(student)).model.config
        same = ("preset", "timesteps", "max_tokens", "leak", "feedback", "solver", "gradient", "gradient_steps")
        shape = {name: getattr(config, name) for name in same} | {"bits": config.weight_bits}
        if given.get("preset", config.preset) != config.preset:  # whose T means something else
            del shape["timesteps"]
        given = {**shape, **given, "student": os.fspath(student)}
    weights = {"temperature": temperature, "rate": rate_penalty}
    losses = LossWeights(**{name: value for name, value in weights.items() if value is not None})
    if given.get("preset") == "stock":
        given.setdefault("timesteps", TIMESTEPS_MAX)  # of which only the messages have to hold more
    return TrainSettings(**given, losses=losses)
