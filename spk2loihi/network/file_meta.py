"""The JSON records of `model.net`, typed: what is not as declared here is refused before anything computes with it."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import Meta, Struct

from spk2loihi.limits import (
    DECAY_MAX,
    DELAY_MAX,
    EXCITATORY_WEIGHT_MAX,
    SHIFT_MAX,
    THRESHOLD_MAX,
    TIMESTEPS_MAX,
    WEIGHT_EXPONENT_MAX,
)

_SIZE_MAX = 1 << 24  # neurons, tokens, classes: a network with more is none of ours
_DEPTH_MAX = 1 << 16
_STEPS_MAX = 1 << 20
_UNIT_EXPONENT_MAX = 64

Size = Annotated[int, Meta(ge=1, le=_SIZE_MAX)]
Depth = Annotated[int, Meta(ge=0, le=_DEPTH_MAX)]
Delay = Annotated[int, Meta(ge=0, le=DELAY_MAX)]
Text = Annotated[str, Meta(min_length=1, max_length=1000)]
#: Names reach terminals and pages: no control characters, no markup.
StageName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.-]{1,100}$")]
Finite = Annotated[float, Meta(ge=-1e300, le=1e300)]


class GroupMeta(Struct, forbid_unknown_fields=True):
    """A synapse group (`SynapseGroup`), without its weights."""

    source: StageName
    exponent: list[Annotated[int, Meta(ge=0, le=WEIGHT_EXPONENT_MAX)]]
    delay: Delay
    one_to_one: bool


class AttentionMeta(Struct, forbid_unknown_fields=True):
    """`Attention`."""

    kind: Literal["scores", "context"]
    left: StageName
    right: StageName
    left_delay: Delay
    right_delay: Delay


class RequantiseMeta(Struct, forbid_unknown_fields=True):
    """`Requantise`."""

    weight: list[Annotated[int, Meta(ge=1, le=EXCITATORY_WEIGHT_MAX)]]
    shift: Annotated[int, Meta(ge=1, le=SHIFT_MAX)]
    relu: bool
    limit: Annotated[int, Meta(ge=1, le=TIMESTEPS_MAX)]


class StageMeta(Struct, forbid_unknown_fields=True):
    """`Stage.to_dict`."""

    name: StageName
    depth: Depth
    channels: Size
    threshold: Annotated[int, Meta(ge=1, le=THRESHOLD_MAX)]
    heads: Size
    signed: bool
    tokens: Literal["all", "first"]
    fires: bool
    unit: Annotated[float, Meta(gt=0, le=1e300)]
    unit_exponent: list[Annotated[int, Meta(ge=-_UNIT_EXPONENT_MAX, le=_UNIT_EXPONENT_MAX)]] | None
    soma: dict[str, Any] | None
    attention: AttentionMeta | None
    groups: list[GroupMeta]
    requantise: RequantiseMeta | None = None
    relative: bool = False


class TeacherShape(Struct):
    """Of the BERT that taught the network."""

    layers: Size
    hidden: Size
    intermediate: Size
    labels: Size
    embedding: Size | None = None  # None: as wide as the layers


class Losses(Struct):
    """Weights of the losses, as far as reports show them."""

    rate: Finite = 0.0


class Settings(Struct):
    """Settings of the training, as far as reports show them."""

    losses: Losses = msgspec.field(default_factory=Losses)
    seed: int | None = None


class SolvesMeta(Struct):
    """Solves of a fixed point of feedback, or of its gradient, as far as reports show them."""

    solves: int
    unconverged: int
    mean_iterations: Finite | None
    largest_residual: Finite | None


class FeedbackMeta(Struct):
    """Feedback of a stage, as the training left it, as far as reports show it."""

    stage: StageName
    limit: Finite
    norm: Finite
    forward: SolvesMeta
    backward: SolvesMeta


class Training(Struct):
    """Scores of the training, as far as reports show them."""

    metric: str = "accuracy"
    score: Finite | None = None
    teacher_score: Finite | None = None
    teacher_shape: TeacherShape | None = None
    settings: Settings = msgspec.field(default_factory=Settings)
    feedback: list[FeedbackMeta] = msgspec.field(default_factory=list)
    manifest: dict[str, Any] = msgspec.field(default_factory=dict)


class Provenance(Struct):
    """Where a network comes from."""

    training: Training = msgspec.field(default_factory=Training)


class Config(Struct):
    """The student's configuration, as far as a run needs it."""

    pad_token_id: Annotated[int, Meta(ge=0, le=_SIZE_MAX)] | None = 0
    preset: str | None = None
    num_hidden_layers: Size | None = None


class FileMeta(Struct):
    """``/spk2loihi/meta``. `task` is checked by `spk2loihi.data.TaskSpec`."""

    timesteps: Annotated[int, Meta(ge=1, le=TIMESTEPS_MAX)]
    max_tokens: Annotated[int, Meta(ge=3, le=_SIZE_MAX)]
    schedule: Text
    encoding: Text
    stagger: Annotated[int, Meta(ge=0, le=TIMESTEPS_MAX)]
    weight_bits: float
    task: dict[str, Any]
    config: dict[str, Any]
    provenance: dict[str, Any]
    decay: Annotated[int, Meta(ge=0, le=DECAY_MAX)] = 0
    steps: Annotated[int, Meta(ge=1, le=_STEPS_MAX)] | None = None


M = TypeVar("M", bound=Struct)


def checked(record: Any, kind: type[M], what: str) -> M:
    """``record`` as a ``kind``; raises `ValueError` that says which entry is wrong."""
    try:
        return msgspec.convert(record, kind)
    except msgspec.ValidationError as error:
        reason = str(error).replace("`", "")  # backticks are for parameters
        raise ValueError(f"{what}: {reason}") from None
