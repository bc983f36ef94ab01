"""Worst cases, and the limits they are held to."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from spk2loihi import limits
from spk2loihi.errors import UserError
from spk2loihi.network.bounds import check_limits, worst_drive
from spk2loihi.network.network import Network, Stage
from spk2loihi.network.soma import LayerNorm, Multiplier
from spk2loihi.simulators.emulator.emulator import Emulator
from support.networks import random_batch, tiny_network


def changed(network: Network, name: str, **changes: Any) -> Network:
    stages = tuple(replace(s, **changes) if s.name == name else s for s in network.stages)
    return replace(network, stages=stages)


def scaled_weights(stage: Stage, **changes: Any) -> dict[str, Any]:
    return {"synapses": (replace(stage.synapses[0], **changes), *stage.synapses[1:])}


def over_limit(network: Network, *words: str) -> None:
    with pytest.raises(UserError) as caught:
        check_limits(network)
    text = str(caught.value)
    for word in words:
        assert word in text
    assert "\n" not in text
    assert ": " in text.removeprefix("stage ")  # stage: what: remedy


def test_worst_drive_is_what_the_worst_input_causes() -> None:
    network = tiny_network()
    stage = network["layer.0.query"]
    weight = stage.synapses[0].scaled
    n = network.timesteps * np.sign(weight) * np.where(stage.bias < 0, -1, 1)[:, None]  # one worst input a neuron
    worst = np.abs((n * weight).sum(1) + network.timesteps * stage.bias).max()
    assert worst_drive(network, stage) == worst == check_limits(network)["layer.0.query"].max_drive


def test_bounds_hold_for_random_input(network: Network) -> None:
    counts, readout = Emulator(network).equilibrium(random_batch(7))
    assert np.abs(readout.numpy()).max() <= network.readout.max_drive
    for name, n in counts.items():
        assert np.abs(n.numpy()).max() <= network.timesteps
        assert 0 < network[name].max_drive <= limits.MEMBRANE_MAX


def test_membrane_limit(network: Network) -> None:
    stage = network["pooler"]
    big = np.full_like(stage.synapses[0].weight, 254)
    wide = changed(network, "pooler", **scaled_weights(stage, weight=big, exponent=np.full(16, 7)))
    drive = network.timesteps * int((16 * 254 * 128 + np.abs(stage.bias)).max())
    assert worst_drive(wide, wide["pooler"]) == drive
    check_limits(wide)  # 4.2 million: fits
    doubled = replace(wide, timesteps=32)
    bound = worst_drive(doubled, doubled["pooler"]) + stage.threshold
    over_limit(
        doubled, "stage pooler", "worst-case membrane", str(bound), str(limits.MEMBRANE_MAX), "24 bits", "`timesteps`"
    )


def test_membrane_limit_is_exact(network: Network) -> None:
    """The largest bias that fits, and one more, on a stage whose drive is made to meet the limit."""
    stage = network.readout
    zero = np.zeros_like(stage.synapses[0].weight)
    room = limits.MEMBRANE_MAX - stage.threshold
    assert room % 2 == 0
    for t in (room // limits.BIAS_MAX, room // limits.BIAS_MAX + 1):
        net = changed(
            network, stage.name, bias=np.full_like(stage.bias, limits.BIAS_MAX), **scaled_weights(stage, weight=zero)
        )
        net = replace(net, timesteps=t, stages=(net.stages[0], net.stages[-1]))
        if t * limits.BIAS_MAX + stage.threshold <= limits.MEMBRANE_MAX:
            check_limits(net)
        else:
            over_limit(net, f"stage {stage.name}", str(t * limits.BIAS_MAX + stage.threshold), "8388607")


@pytest.mark.parametrize("sign", [-1, 1])
def test_bias_limit(sign: int, network: Network) -> None:
    bias = network["pooler"].bias.copy()
    bias[3] = sign * limits.BIAS_MAX
    check_limits(changed(network, "pooler", bias=bias.copy()))
    bias[3] += sign
    over_limit(changed(network, "pooler", bias=bias), "stage pooler", "bias 4096", "4095", "`bits`")


def test_threshold_limit(network: Network) -> None:
    for threshold in (1, limits.THRESHOLD_MAX):
        check_limits(changed(network, "pooler", threshold=threshold))
    for threshold in (0, -5, limits.THRESHOLD_MAX + 1):
        over_limit(changed(network, "pooler", threshold=threshold), "stage pooler", f"threshold {threshold}", "131071")


def test_weight_limits(network: Network) -> None:
    stage = network["pooler"]
    weight = stage.synapses[0].weight.copy()
    weight[0, 0] = 255
    over_limit(changed(network, "pooler", **scaled_weights(stage, weight=weight)), "stage pooler", "255", "254")
    over_limit(
        changed(network, "pooler", **scaled_weights(stage, exponent=np.full(16, 8))), "weight exponent", " 8 ", " 7"
    )
    over_limit(changed(network, "pooler", **scaled_weights(stage, delay=63)), "delay", "63", "62")


def test_layernorm_drive_limit(network: Network) -> None:
    """A LayerNorm's own limit, where it is below the membrane's."""
    channels = 2**20
    assert LayerNorm.max_drive(channels) < limits.MEMBRANE_MAX
    stage = network.stages[0]
    too_much = np.full((1, 16), 2**22)
    net = replace(network, embedding=replace(network.embedding, word=too_much))
    check_limits(net)
    net = replace(net, stages=(replace(stage, channels=channels), *net.stages[1:]))
    over_limit(net, "stage embedding", "worst-case LayerNorm drive", str(LayerNorm.max_drive(channels)))


def test_a_steep_gelu_is_exported(network: Network) -> None:
    """Its bound is where it saturates, whatever its worst-case drive."""
    name = "layer.0.ffn_in"
    steep = replace(network[name], soma=replace(network[name].soma, gain=Multiplier.from_float(1.0)))
    checked = check_limits(replace(network, stages=tuple(steep if s.name == name else s for s in network.stages)))
    stage = checked[name]
    assert int(stage.soma.gain(stage.soma.scale(np.array([stage.max_drive])))[0]) > limits.MEMBRANE_MAX
