"""NeuroBench's metrics, in its names and by its formulas (neurobench 2.3, metrics/static and metrics/workload).

NeuroBench hooks the layers of a torch model. It sees the linear synapses of a stage as ``Linear``, a residual's
one-to-one synapses as a depthwise ``Conv1d``, and the spikes of a stage as its activations. It does not see attention,
whose weights are spikes: ``AttentionOperations`` is this project's addition. A stage is stepped over its own window,
and only over tokens that exist; padding would add to NeuroBench's dense and activation counts, not to the effective
ones. MembraneUpdates is left out: it depends on membranes that a count of spikes does not determine.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spk2loihi.network.network import Network, Stage
from spk2loihi.network.run_config import Timeline
from spk2loihi.simulators.counters import StageOps


def neurobench_metrics(
    timeline: Timeline,
    stages: Sequence[StageOps],
    samples: int,
    accuracy: float | None = None,
) -> dict[str, Any]:
    """Metrics a sample, as NeuroBench's ``Benchmark.run`` returns them.

    Args:
        timeline: of a windowed run, and of its network. Graded messages have values other than -1, 0 and 1, so
            NeuroBench calls their operations MACs.
        stages: counters summed over ``samples``, one a stage of the network.
        accuracy: fraction of right answers; None leaves it out.
    """
    network, steps = timeline.network, timeline.steps
    linear = [(network[ops.name], ops) for ops in stages if network[ops.name].synapses]
    effective = sum(ops.synops for _, ops in linear) / samples
    dense = sum(steps * (ops.dense + _residuals(stage) * ops.neurons) for stage, ops in linear) / samples
    weights = [group.weight for stage, _ in linear for group in stage.synapses]
    total = sum(weight.size for weight in weights)
    firing = [ops for ops in stages if network[ops.name].fires]
    slots = steps * sum(ops.neurons for ops in firing)
    graded = timeline.encoding == "graded"
    result = {
        "Footprint": sum(_bytes(array) for array in _parameters(network)),
        "ParameterCount": sum(array.size for array in _parameters(network)),
        "ConnectionSparsity": round(1 - sum(np.count_nonzero(w) for w in weights) / total, 4),
        "ActivationSparsity": 1 - sum(ops.messages for ops in firing) / slots,
        "SynapticOperations": {
            "Effective_MACs": effective if graded else 0.0,
            "Effective_ACs": 0.0 if graded else effective,
            "Dense": dense,
        },
        "AttentionOperations": {
            "Effective": sum(ops.attention_synops for ops in stages) / samples,
            "Dense": steps * sum(ops.dense for ops in stages if network[ops.name].attention is not None) / samples,
        },
    }
    return result if accuracy is None else {**result, "ClassificationAccuracy": accuracy}


def _residuals(stage: Stage) -> int:
    return sum(group.one_to_one for group in stage.synapses)


def _parameters(network: Network) -> Iterable[NDArray[Any]]:
    """Weight mantissas, biases and embedding tables."""
    embedding = network.embedding
    yield from (embedding.word, embedding.position, embedding.token_type)
    for stage in network.stages:
        yield from (group.weight for group in stage.synapses)
        if stage.bias is not None:
            yield stage.bias


def _bytes(array: NDArray[Any]) -> int:
    """Size in the narrowest signed integer type that holds the values, as `model.net` stores them."""
    largest = int(np.abs(array).max(initial=0))
    return array.size * next(bits for bits in (8, 16, 32, 64) if largest < 2 ** (bits - 1)) // 8
