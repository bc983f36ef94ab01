"""Small random students, networks and batches."""

from __future__ import annotations

from unittest.mock import patch

import numpy as np
import torch
from torch import Tensor

from spk2loihi.choices import Schedule
from spk2loihi.data import Encoded, TokenBatch
from spk2loihi.export.fold import fold
from spk2loihi.models import SpikingBertConfig, SpikingBertForSequenceClassification
from spk2loihi.models.equalise import channel_amplitudes, equalise
from spk2loihi.models.payload import PayloadGate
from spk2loihi.models.torch_stage import TorchStage
from spk2loihi.network.network import Network
from spk2loihi.network.run_config import Timeline

VOCABULARY = 50


def tiny_student(seed: int = 0, **changes: object) -> SpikingBertForSequenceClassification:
    """2 layers, 16 wide, 2 heads, random weights with outlier channels, equalised and calibrated like a real one."""
    torch.manual_seed(seed)
    settings: dict[str, object] = {
        "vocab_size": VOCABULARY, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
        "intermediate_size": 32, "max_position_embeddings": 32, "max_tokens": 16, "timesteps": 8,
    }  # fmt: skip
    model = SpikingBertForSequenceClassification(SpikingBertConfig(**{**settings, **changes})).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim == 2:
                parameter.normal_(std=0.3)
                parameter[:, 0] *= 5  # an outlier channel, as BERT has
            elif name.endswith("bias"):
                parameter.normal_(std=0.1)
    batch = random_batch(seed)
    ids, mask = torch.from_numpy(batch.input_ids), torch.from_numpy(batch.mask).long()
    if model.config.quantised and model.config.preset != "stock":
        with model.unclipped():
            seen = model.equilibrium(ids, mask)
        names = [name for name, gate in model.gates().items() if gate.channel_scale is not None]
        equalise(model, channel_amplitudes({name: seen.hidden(name) for name in names}, mask))
    with patch.object(TorchStage, "_calibrate", _calibrate), model.calibration():
        model(ids, mask)
    return model


def _calibrate(stage: TorchStage, drive: Tensor, unit: Tensor | None) -> None:
    """Thresholds of the least error, padding and all: neurons fire at higher rates than those of real students, and
    some are clipped, which is more to compare."""
    gate = stage.gate
    if gate is None or not gate.calibrating:
        return
    values = (drive if unit is None else drive * unit).detach()
    if isinstance(gate, PayloadGate):
        gate.calibrate(values)
        return
    thresholds = (values.abs() if gate.signed else values).max() * torch.linspace(0.05, 1.0, 40)

    def error(threshold: Tensor) -> float:
        step = threshold / gate.timesteps
        return float(((values / step).round().clamp(gate.low, gate.timesteps) * step - values).square().mean())

    with torch.no_grad():
        gate.log_threshold.copy_(min(thresholds, key=error).log())


def tiny_network(seed: int = 0, **changes: object) -> Network:
    task = {"labels": ["no", "yes"], "metric": "accuracy", "name": "tiny"}
    return fold(tiny_student(seed, **changes), "{}", task, {})


def random_batch(seed: int = 0, lengths: tuple[int, ...] = (10, 6, 3, 10)) -> TokenBatch:
    rng = np.random.default_rng(seed)
    mask = np.arange(max(lengths)) < np.array(lengths)[:, None]
    ids = np.where(mask, rng.integers(1, VOCABULARY, mask.shape), 0)
    types = np.where(mask, rng.integers(0, 2, mask.shape), 0)
    return TokenBatch(ids, types, np.array(lengths))


def sentences_of(batch: TokenBatch) -> list[Encoded]:
    """The sentences of a batch, one by one."""
    return [
        Encoded(ids[:n].astype(np.int32), types[:n].astype(np.uint8))
        for ids, types, n in zip(batch.input_ids, batch.token_type_ids, batch.lengths, strict=True)
    ]


def timeline(network: Network, schedule: Schedule | None = None) -> Timeline:
    """The network's time axis in one of its schedules, its default if none is named."""
    return Timeline(network, network.run_config(schedule))
