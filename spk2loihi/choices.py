"""Names a user chooses from, apart from the code behind them, so that a command line can list them at once."""

from __future__ import annotations

from typing import Literal, get_args

Schedule = Literal["windowed", "pipelined", "settling", "streamed"]
Encoding = Literal["rate", "graded"]
Arithmetic = Literal["lava", "chip"]
BackendName = Literal["emulator", "stepped", "cpu", "loihi2"]
Scales = Literal["layer", "channel"]

SCHEDULES: tuple[Schedule, ...] = get_args(Schedule)
ENCODINGS: tuple[Encoding, ...] = get_args(Encoding)
ARITHMETICS: tuple[Arithmetic, ...] = get_args(Arithmetic)
BACKENDS: tuple[BackendName, ...] = get_args(BackendName)
SCALES: tuple[Scales, ...] = get_args(Scales)
PRESETS = ("spikingbert", "neurocore", "stock")
#: Whose neurons fire spikes, so that they run in every schedule but the streamed one.
SPIKING_PRESETS = ("spikingbert", "neurocore")
#: Without LayerNorm, softmax and GELU after the embedding.
AFFINE_PRESETS = ("neurocore", "stock")
STAGES = ("joint", "general", "task", "prediction", "all")
GRADIENTS = ("solver", "spide")
PRECISIONS = ("auto", "no", "bf16", "fp16")
TRACKERS = ("tensorboard", "wandb", "mlflow")
METRICS = ("accuracy", "f1", "matthews", "pearson", "spearman", "micro_f1", "macro_f1", "entity_f1")
