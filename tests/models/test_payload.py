"""Synapses and gates of the stock preset: what is trained is what the integers compute."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from spk2loihi.errors import UserError
from spk2loihi.export.fold import fold
from spk2loihi.limits import MEMBRANE_MAX
from spk2loihi.models.payload import PayloadGate, residual_parts, round_residual_ste, snap
from spk2loihi.network.bounds import check_limits
from spk2loihi.network.network import Network
from spk2loihi.simulators.emulator.emulator import Emulator
from support.networks import random_batch, tiny_network, tiny_student

TASK = {"labels": ["no", "yes"], "metric": "accuracy"}


@pytest.mark.parametrize("bits", [1, 1.58, 4, 8])
def test_the_models_own_logits_are_those_of_the_integers(bits: float) -> None:
    model, batch = tiny_student(3, preset="stock", timesteps=127, weight_bits=bits), random_batch(3)
    run = Emulator(fold(model, "{}", TASK)).run(batch)
    with torch.no_grad():
        result = model.equilibrium(
            torch.from_numpy(batch.input_ids), torch.from_numpy(batch.mask).long(),
            torch.from_numpy(batch.token_type_ids),
        )  # fmt: skip
    for name, n in result.counts.items():
        assert np.array_equal(n.numpy().astype(np.int64), run.counts[name]), name
    network = fold(model, "{}", TASK)
    assert np.allclose(result.logits.numpy(), run.logits * network.readout.unit, rtol=1e-5)


def test_a_ratio_is_snapped_once() -> None:
    ratio = torch.rand(50, generator=torch.Generator().manual_seed(0)) * 1e-3 + 1e-6
    weight, shift = snap(ratio)
    assert 128 <= weight.max() <= 255 and weight.min() >= 1
    again, shift_again = snap((weight / 2.0**shift).float())
    assert torch.equal(weight, again) and shift == shift_again


def test_residual_weights_are_even_with_seven_bits() -> None:
    given = torch.tensor([0.7, -3.2, 255.0, 999.9, -8000.1, 30_000.0])
    for value, made in zip(given.tolist(), round_residual_ste(given).tolist(), strict=True):
        mantissa, exponent = residual_parts(round(made))
        assert mantissa % 2 == 0 and abs(mantissa) <= 254 and 0 <= exponent <= 7
        assert mantissa << exponent == made
        assert abs(made - value) <= max(1, abs(value) / 127)
    with pytest.raises(ValueError, match="7 bits"):
        residual_parts(1001)


@pytest.mark.parametrize("signed", [True, False])
def test_gradients_are_those_of_what_passes_the_gate(signed: bool) -> None:
    gate = PayloadGate(10, signed, quantised=True)
    gate.log_threshold.data = torch.tensor(2.0)
    gate.train()
    drive = torch.tensor([-40_000.0, -900.0, -3.0, 4.0, 800.0, 60_000.0], requires_grad=True)
    unit = torch.tensor(3e-3)
    n = gate(drive, unit)
    n.sum().backward()
    weight, shift = snap(unit / gate.spike_value.detach())
    ratio = float(weight / 2.0**shift)
    value = drive.detach() * ratio
    passes = (value.abs() <= 10.5) & (torch.tensor(signed) | (value > 0))
    assert passes.sum() == (4 if signed else 2)
    assert drive.grad is not None and torch.allclose(drive.grad, passes * ratio)
    kept = (value + 0.5).floor() if signed else (value + 0.5).floor().clamp(min=0)
    assert torch.equal(n.detach(), kept * (kept.abs() <= 10))
    # d n / d log theta = - the value, of what passes
    assert gate.log_threshold.grad is not None
    assert torch.allclose(gate.log_threshold.grad, -(value * passes).sum(), rtol=1e-2)


def edited(network: Network, name: str, **changes: object) -> Network:
    stages = tuple(replace(s, **changes) if s.name == name else s for s in network.stages)  # type: ignore[arg-type]
    return replace(network, stages=stages)


def test_a_message_beyond_24_bits_is_refused() -> None:
    network = tiny_network(preset="stock", timesteps=127)
    stage = network["layer.0.ffn_out"]
    groups = tuple(replace(g, exponent=g.exponent + 12) if g.one_to_one else g for g in stage.synapses)
    with pytest.raises(
        UserError, match=rf"stage layer.0.ffn_out: worst-case message \d+ exceeds {MEMBRANE_MAX}.*: use"
    ):
        check_limits(edited(network, stage.name, synapses=groups))
    stage = network["layer.0.query"]
    assert stage.requantise is not None
    loud = replace(stage.requantise, weight=np.full(stage.channels, 255), shift=1)
    with pytest.raises(UserError, match=rf"stage layer.0.query: worst-case message \d+ exceeds {MEMBRANE_MAX}"):
        check_limits(edited(network, stage.name, requantise=loud))
