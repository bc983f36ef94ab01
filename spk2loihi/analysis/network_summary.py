"""The facts about a network and a run that an energy report needs, as a plain dictionary."""

from __future__ import annotations

from typing import Any

from spk2loihi.network.network import Network
from spk2loihi.network.run_config import Encoding, Schedule


def summarise_network(network: Network, schedule: Schedule, encoding: Encoding, steps: int) -> dict[str, Any]:
    """The ``network_summary`` of `build_report`.

    Args:
        schedule, encoding: of the counted run.
        steps: of a window (1 when graded) or of a pipelined run, as given to `count_operations`; settling: until the
            slowest sentence was silent.
    """
    return {
        "schedule": schedule,
        "encoding": encoding,
        "timesteps": network.timesteps,
        "steps": steps,
        "latency_steps": network.latency_steps(schedule, steps),
        "stages": len(network.stages),
        "weight_bits": network.weight_bits,
        "max_tokens": network.max_tokens,
        "synapses_per_token": sum(int(g.fan_out.sum()) for stage in network.stages for g in stage.synapses),
        "config": dict(network.config),
    }
