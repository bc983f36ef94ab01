"""Records of a sweep as measured networks leave them, with counts that are easy to price."""

from __future__ import annotations

from typing import Any

from spk2loihi.simulators.counters import StageOps

CONTRACT = {
    "timesteps", "bits", "encoding", "score", "synops_per_sample", "latency_steps", "t_times_density", "on_front",
}  # fmt: skip


def record(name: str = "a.net", encoding: str = "rate", **changes: Any) -> dict[str, Any]:
    stage = StageOps(
        "all", "linear", neurons=100, messages=400, synops=3000, attention_synops=200, dense=2000, active_updates=50,
        inactive_updates=10,
    )  # fmt: skip
    facts = {"timesteps": 16, "bits": 8, "rate_penalty": 0.0, "preset": "spikingbert", "layers": 2, "seed": 0}
    facts = {**facts, "task": "tiny", **{k: v for k, v in changes.items() if k in facts}}
    made = {
        "key": {
            "network_sha256": "0" * 64,
            "encoding": encoding,
            "sentences": {"examples": 20, "sha256": "1"},
            "metric": "accuracy",
        },
        "network": facts,
        "metric": "accuracy",
        "score": 0.8,
        "samples": 20,
        "latency_steps": 609,
        "mean_rate": 0.1,
        "stages": [stage.to_dict()],
        "teacher_score": 0.85,
        "file": name,
        "name": name,
    }
    return {**made, **{k: v for k, v in changes.items() if k not in facts}}


def settling_record(**changes: Any) -> dict[str, Any]:
    """The same network as `record`, settling: more SynOps, fewer steps, a soma function computed again and again."""
    stage = StageOps(
        "all", "linear", neurons=100, messages=500, synops=3900, attention_synops=260, dense=2000, active_updates=90,
        host={"gelu": 300},
    )  # fmt: skip
    made = record(latency_steps=164, mean_latency_steps=161.5, stages=[stage.to_dict()], **changes)
    made["key"] |= {"schedule": "settling", "stagger": 4}
    return made
