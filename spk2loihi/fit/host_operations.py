"""Which parts of a stage no neurocore computes, and why."""

from __future__ import annotations

from spk2loihi.fit.population import Population
from spk2loihi.network.soma import Gelu, LayerNorm, Softmax

EMBEDDING = "embedding"

#: Operation -> why it runs on the host or on an embedded processor of the chip.
REASONS: dict[str, str] = {
    EMBEDDING: "a table look-up by token id: the tables are larger than synaptic memory, and nothing spikes yet",
    LayerNorm.kind: "needs mean and variance over all channels of a token, which lie on several cores",
    Softmax.kind: "needs the sum of exponentials over all keys of a row, which lie on several cores",
    Gelu.kind: "needs products of more bits than a membrane has; no neurocore model of it exists",
}


def host_operations(population: Population) -> list[str]:
    """Operations of a stage done outside the neurocores, once a window; its neurons themselves are on neurocores."""
    operations = [EMBEDDING] if population.kind == "input" else []
    return operations + ([population.soma] if population.soma in REASONS else [])
