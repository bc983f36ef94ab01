"""The integer trace of the torch model: its own equilibrium sweep with the exported integer soma functions.

The model's code computes every drive; only what happens between drive and spikes is taken from the network. It shares
no engine with the simulators, which must agree with it spike for spike.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from spk2loihi.data import TokenBatch
from spk2loihi.models import SpikingBertForSequenceClassification
from spk2loihi.network.network import Network
from spk2loihi.network.soma import Scale


@torch.no_grad()
def integer_trace(
    model: SpikingBertForSequenceClassification, network: Network, batch: TokenBatch
) -> tuple[dict[str, NDArray[np.int64]], NDArray[np.int64]]:
    """Spike counts of every stage, and the readout's membranes (B, labels), or (B, L, labels) of tags."""
    counts: dict[str, torch.Tensor] = {}
    mask = torch.from_numpy(batch.mask)
    dtype = model.classifier.weight.dtype
    for stage in model.stages(torch.from_numpy(batch.input_ids), mask.long(), torch.from_numpy(batch.token_type_ids)):
        folded = network[stage.name]
        drive = stage.drive(counts, network.timesteps)[0]
        u: NDArray[np.int64] = drive.round().numpy().astype(np.int64)
        if stage.gate is None:
            answers = u[:, 0] if folded.tokens == "first" else u * batch.mask[..., None]
            return {name: n.numpy().astype(np.int64) for name, n in counts.items()}, answers
        if folded.soma is not None and not isinstance(folded.soma, Scale):  # the model scales contexts in its drive
            u = folded.soma(u, batch.mask[:, None, None, :] if folded.is_scores else None)
        if folded.requantise is not None:
            scores = folded.is_scores
            assert stage.mask is not None
            if scores:
                assert folded.bias is not None
                u = np.moveaxis(u, 1, -1) + folded.bias  # (B, L, L, H)
            n = folded.requantise.payload(u, "lava")
            counts[stage.name] = torch.from_numpy(np.moveaxis(n, -1, 1) if scores else n).to(dtype) * stage.mask
            continue
        low = -network.timesteps if folded.signed else 0
        n = np.clip((u + folded.threshold // 2) // folded.threshold, low, network.timesteps)
        assert stage.mask is not None
        counts[stage.name] = torch.from_numpy(n).to(dtype) * stage.mask
    raise AssertionError("a network ends in a readout")
