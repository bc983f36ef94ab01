"""What decides the weights of a student."""

from __future__ import annotations

from dataclasses import dataclass, field

from spk2loihi.errors import UserError
from spk2loihi.training.distillation import LossWeights


@dataclass
class TrainSettings:
    """Everything that decides the weights, besides the data and the teacher's own weights."""

    teacher: str | None = None  # directory or id; None: the packaged MiniLM, fine-tuned first
    preset: str = "spikingbert"
    layers: str | list[int] | None = None  # teacher layers the student stands for; None: all, or uniform over a student
    hidden: int | None = None  # width; None, or the teacher's, whose layers the student starts from
    timesteps: int = 16
    bits: float = 8
    max_tokens: int = 64
    leak: float = 0.0  # these three: see `SpikingBertConfig`; networks that have them cannot be exported
    feedback: float = 0.0
    solver: str = "anderson"
    epochs: int = 1  # of each stage
    steps: int | None = None  # of each stage, in place of whole epochs
    teacher_epochs: int = 1
    batch_size: int = 32  # of all processes together
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
    precision: str = "no"  # no, bf16 or fp16: of the forward pass in training
    checkpoint_every: str = "10m"
    evaluate_every: int | None = None
    early_stop: int | None = None

    def check(self) -> None:
        """Raises UserError for numbers out of their range."""
        if not 0 < self.learning_rate < 1:
            raise UserError(f"lr is {self.learning_rate}, but a learning rate is between 0 and 1: change --lr")
        if not 0 < self.teacher_learning_rate < 1:
            raise UserError(
                f"teacher lr is {self.teacher_learning_rate}, but a learning rate is between 0 and 1: "
                "change --teacher-lr"
            )
        if not 0 <= self.losses.rate < 1000:
            raise UserError(f"rate penalty is {self.losses.rate}, but it is from 0 up to 1000: change --rate-penalty")
        if not 0 < self.losses.temperature < 1000:
            raise UserError(
                f"temperature is {self.losses.temperature}, but it is above 0 and below 1000: change --temperature"
            )
