"""Names a user chooses from, apart from the code behind them, so that a command line can list them at once."""

from __future__ import annotations

from typing import Literal, get_args

Schedule = Literal["windowed", "pipelined", "settling"]
Encoding = Literal["rate", "graded"]
BackendName = Literal["emulator", "stepped", "cpu", "loihi2"]

SCHEDULES: tuple[Schedule, ...] = get_args(Schedule)
ENCODINGS: tuple[Encoding, ...] = get_args(Encoding)
BACKENDS: tuple[BackendName, ...] = get_args(BackendName)
PRESETS = ("spikingbert", "neurocore")
STAGES = ("joint", "general", "task", "prediction", "all")
PRECISIONS = ("no", "bf16", "fp16")
METRICS = ("accuracy", "f1", "matthews", "pearson", "spearman")
