"""Counters of four stages, and the energy report made of them."""

from __future__ import annotations

from typing import Any

from spk2loihi.energy import AnnWork, build_report
from spk2loihi.simulators.counters import StageOps

SAMPLES = 4
SUMMARY = {
    "schedule": "windowed",
    "encoding": "rate",
    "timesteps": 16,
    "steps": 16,
    "latency_steps": 49,
    "weights": 4000,
}
TEACHER = AnnWork(60_000.0, 8000.0, (400.0, 200.0))
ACCURACY = {"metric": "accuracy", "student": 0.884, "teacher": 0.898, "samples": 872}
CONVERGENCE = {
    "steps": [1, 2, 4, 8],
    "mean_abs_error": {"query": [0.4, 0.2, 0.1, 0.05], "scores": [0.2, 0.1, 0.05, 0.0]},
    "score": [0.5, 0.6, 0.8, 0.88],
}


def stages() -> list[StageOps]:
    return [
        StageOps(
            "embedding", "embedding", neurons=800, messages=3200, active_updates=12_800, inactive_updates=25_600,
            host={"embedding": 800, "layernorm": 800},
        ),
        StageOps(
            "query", "linear", neurons=800, messages=2000, synops=500_000, dense=100_000, active_updates=25_600,
            inactive_updates=12_800,
        ),
        StageOps(
            "scores", "scores", neurons=100, messages=50, attention_synops=30_000, dense=20_000, active_updates=3200,
            inactive_updates=1600, host={"softmax": 100},
        ),
        StageOps("readout", "readout", neurons=8, synops=1000, dense=1600, active_updates=128, inactive_updates=264),
    ]  # fmt: skip


def report(**changes: Any) -> dict[str, Any]:
    given: dict[str, Any] = {
        "network_summary": SUMMARY,
        "teacher": TEACHER,
        "convergence": CONVERGENCE,
        "accuracy": ACCURACY,
        "provenance": {"seed": 0, "versions": {"numpy": "1.26.4"}},
    }
    return build_report(given.pop("stages", None) or changes.pop("stages", stages()), SAMPLES, **{**given, **changes})
