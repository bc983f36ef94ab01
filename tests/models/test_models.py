"""The student: equilibrium, its gradients, the spiking dynamics it stands for, the Hugging Face interface."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.func import functional_call
from transformers import AutoConfig, AutoModelForSequenceClassification

from spk2loihi.choices import SPIKING_PRESETS
from spk2loihi.errors import UserError
from spk2loihi.models import SpikingBertConfig, SpikingBertForSequenceClassification
from spk2loihi.models.affine import FoldableAffine, ScoreAffine
from spk2loihi.models.dynamics import spiking_dynamics
from spk2loihi.models.ibert import ibert_gelu, ibert_softmax
from spk2loihi.models.neuron import FireGate
from spk2loihi.models.synaptic_linear import SynapticLinear, round_skip_ste, skip_parts
from support.networks import random_batch, tiny_student


def inputs(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    batch = random_batch(seed)
    return (
        torch.from_numpy(batch.input_ids),
        torch.from_numpy(batch.mask).long(),
        torch.from_numpy(batch.token_type_ids),
    )


def continuous_student(preset: str = "spikingbert") -> SpikingBertForSequenceClassification:
    return tiny_student(quantised=False, preset=preset).double()


# -- gradients of the equilibrium ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("preset", "own"),
    [
        ("spikingbert", ["layers.1.ffn_norm.weight"]),
        ("neurocore", ["layers.1.ffn_affine.gain", "layers.0.attention_affine.shift", "layers.0.score_affine.alpha",
                       "layers.0.score_affine.beta"]),
    ],
)  # fmt: skip
def test_gradient_against_finite_differences(preset: str, own: list[str]) -> None:
    model, data = continuous_student(preset), inputs()
    names = [
        "layers.0.query.weight", "layers.0.gates.score.log_threshold", "layers.0.gates.ffn_in.log_threshold",
        "layers.1.value.bias", "classifier.weight", "embeddings.gate.log_threshold", *own,
    ]  # fmt: skip
    parameters = dict(model.named_parameters())
    chosen = tuple(parameters[name].detach().clone().requires_grad_() for name in names)

    def logits(*values: torch.Tensor) -> torch.Tensor:
        return functional_call(model, dict(zip(names, values, strict=True)), data).logits

    assert torch.autograd.gradcheck(logits, chosen, eps=1e-7, atol=1e-5, fast_mode=True)


def sweep_once(model: SpikingBertForSequenceClassification, state: dict, data: tuple) -> tuple[dict, torch.Tensor]:
    """F(a): every stage from the *old* rates of its sources, all at once (the Jacobi iteration of the equilibrium)."""
    new, logits = {}, None
    for stage in model.stages(*data):
        u, unit = stage.drive(state, model.config.timesteps)
        if stage.gate is None:
            logits = (u * unit)[:, 0]
        else:
            new[stage.name] = stage.fire(u, unit, precise=False) * stage.mask
    return new, logits


def test_gradient_against_unrolled_iteration() -> None:
    model, data = continuous_student(), inputs()
    direct = torch.autograd.grad(model(*data).logits.square().sum(), model.layers[0].query.weight)[0]
    state = {name: torch.zeros_like(n) for name, n in model.equilibrium(*data).counts.items()}
    for _ in range(3 + 6 * len(model.layers)):  # as deep as the graph: the iteration has then reached its fixed point
        state, logits = sweep_once(model, state, data)
    torch.testing.assert_close(logits, model(*data).logits)
    unrolled = torch.autograd.grad(logits.square().sum(), model.layers[0].query.weight)[0]
    torch.testing.assert_close(unrolled, direct)


def test_gradient_against_the_implicit_function_theorem() -> None:
    """dL/dp = lambda . dF/dp with lambda = dL/da + J^T lambda, all at the equilibrium (SpikingBERT, section 3)."""
    model, data = continuous_student(), inputs()
    weight = model.layers[0].query.weight
    direct = torch.autograd.grad(model(*data).logits.square().sum(), weight)[0]
    star = {name: n.detach().requires_grad_() for name, n in model.equilibrium(*data).counts.items()}
    new, logits = sweep_once(model, star, data)
    names = list(star)
    points, images = [star[n] for n in names], [new[n] for n in names]
    source = torch.autograd.grad(logits.square().sum(), points, retain_graph=True, allow_unused=True)
    source = [torch.zeros_like(p) if g is None else g for g, p in zip(source, points, strict=True)]
    adjoint = source
    for _ in range(3 + 6 * len(model.layers)):
        back = torch.autograd.grad(images, points, adjoint, retain_graph=True, allow_unused=True)
        adjoint = [s + (0 if b is None else b) for s, b in zip(source, back, strict=True)]
    implicit = torch.autograd.grad(images, weight, adjoint)[0]
    torch.testing.assert_close(implicit, direct)


def test_quantised_gate_has_the_gradient_of_the_continuous_one() -> None:
    drive = torch.linspace(-41, 41, 42, dtype=torch.double, requires_grad=True)
    unit = torch.tensor(0.1, dtype=torch.double)
    gradients = []
    for quantised in (True, False):
        gate = FireGate(8, signed=True, quantised=quantised).double()
        with torch.no_grad():
            gate.log_threshold.fill_(torch.tensor(2.4).double().log())  # an integer threshold: 2.4 / (8 * 0.1) = 3
        out = (gate(drive, unit) * torch.arange(42)).sum()
        gradients.append(torch.autograd.grad(out, (drive, gate.log_threshold)))
    for quantised_gradient, continuous_gradient in zip(*gradients, strict=True):
        torch.testing.assert_close(quantised_gradient, continuous_gradient)


def test_gelu_gradient() -> None:
    x = torch.randn(64, dtype=torch.double, generator=torch.Generator().manual_seed(0)).mul_(2).requires_grad_()
    assert torch.autograd.gradcheck(ibert_gelu, (x,))
    assert (ibert_gelu(x) - torch.nn.functional.gelu(x)).abs().max() < 0.0185


# -- equilibrium and dynamics ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("preset", SPIKING_PRESETS)
@pytest.mark.parametrize("signed", [True, False])
def test_windowed_dynamics_emit_the_equilibrium(signed: bool, preset: str) -> None:
    model, data = tiny_student(signed=signed, preset=preset).double(), inputs()
    result = model.equilibrium(*data)
    trains, logits = spiking_dynamics(model, *data)
    assert set(trains) == set(result.counts)
    for name, train in trains.items():
        assert torch.equal(train.sum(0), result.counts[name]), name
    torch.testing.assert_close(logits, result.logits)
    assert any(n.abs().max() == model.config.timesteps for n in result.counts.values()), "nothing saturates"


@pytest.mark.slow
def test_pipelined_rates_approach_the_equilibrium() -> None:
    model, data = tiny_student().double(), inputs()
    for gate in model.gates().values():
        gate.quantised = False  # rates resolved without end: what a pipelined run tends to
    rates = {name: n.detach() / model.config.timesteps for name, n in model.equilibrium(*data).counts.items()}

    def error(stage: str, steps: int) -> float:
        trains, _ = spiking_dynamics(model, *data, schedule="pipelined", steps=steps)
        return float((trains[stage].mean(0) - rates[stage]).abs().mean())

    assert error("layer.0.query", 256) < error("layer.0.query", 16) / 12
    assert error("layer.0.ffn_out", 256) < error("layer.0.ffn_out", 16) / 8


def test_softmax_is_a_softmax() -> None:
    x = torch.randn(5, 7, dtype=torch.double, generator=torch.Generator().manual_seed(0)) * 3
    x[:, 5:] = -torch.inf
    y = ibert_softmax(x)
    torch.testing.assert_close(y, x.softmax(-1), rtol=0.006, atol=0)
    assert not y[:, 5:].any()
    assert torch.autograd.gradcheck(ibert_softmax, (x[:, :5].clone().requires_grad_(),))


def test_equalisation_changes_no_float_result() -> None:
    plain, equalised = tiny_student(quantised=False), tiny_student()
    assert max(float(g.channel_exponent.max()) for g in equalised.gates().values() if g.channel_scale is not None) > 0
    for module in equalised.modules():
        if hasattr(module, "quantised"):
            module.quantised = False
    with plain.unclipped(), equalised.unclipped():
        torch.testing.assert_close(plain(*inputs()).logits, equalised(*inputs()).logits, rtol=1e-3, atol=1e-4)


def test_residual_weights_are_representable() -> None:
    weight = torch.tensor([0.3, 1.0, -3.7, 129.0, 254.0, -255.9, 2259.4, 32000.0])
    rounded = round_skip_ste(weight)
    for value, integer in zip(weight.tolist(), rounded.tolist(), strict=True):
        mantissa, exponent = skip_parts(int(integer))
        assert mantissa << exponent == integer
        assert abs(mantissa) <= 254 and 0 <= exponent <= 7
        assert abs(integer - value) <= max(0.5, 0.008 * abs(value))


@pytest.mark.parametrize("folded", [False, True])
def test_a_residual_too_large_for_its_exponents_makes_weights_coarser(folded: bool) -> None:
    """Of small weights and inputs, as an untrained teacher of real width has them: deployable in any case."""
    torch.manual_seed(0)
    module = SynapticLinear(64, 4, 8, 16, quantised=True)
    with torch.no_grad():
        module.weight.mul_(0.01)
    skip_value = 0.3 * torch.tensor([1.0, 2.0, 4.0, 8.0])
    gain = torch.tensor([1.0, -3.0, 0.5, 2.0]) if folded else None
    synapses = module.synapses(torch.tensor(1e-3), skip_value, gain)
    exponents = []
    wanted = skip_value if gain is None else skip_value * gain
    for weight, value in zip(synapses.skip.tolist(), wanted.tolist(), strict=True):
        mantissa, exponent = skip_parts(int(weight))
        assert mantissa << exponent == weight and abs(mantissa) <= 254
        assert weight * float(synapses.unit) == pytest.approx(value, rel=0.006)
        exponents.append(exponent)
    assert max(exponents) == 7


@pytest.mark.parametrize(("bits", "levels"), [(1, 2), (1.58, 3), (2, 3), (4, 15), (8, 255)])
def test_weights_have_their_bits(bits: float, levels: int) -> None:
    torch.manual_seed(0)
    module = SynapticLinear(64, 128, bits, 8, quantised=True)
    with torch.no_grad():
        module.weight[:, 3] *= 20
    module.set_exponents()
    assert module.column_exponent[3] > 0
    synapses = module.synapses(torch.tensor(0.1))
    mantissas = (synapses.weight / torch.exp2(module.column_exponent)).detach()
    assert torch.equal(mantissas, mantissas.round())
    assert len(mantissas.unique()) == levels
    assert torch.autograd.grad(synapses.weight.sum(), module.weight)[0].gt(0).all()  # straight-through


@pytest.mark.parametrize("bits", [1, 1.58, 4])
def test_low_bit_step_loses_least(bits: float) -> None:
    """The step found is that of the tables for normal weights (Max 1960: 1.224 sigma for three levels; the mean of
    |W| for two)."""
    torch.manual_seed(0)
    module = SynapticLinear(512, 512, bits, 8, quantised=True)
    with torch.no_grad():
        module.weight.normal_()
        module.column_exponent.zero_()
    ratio_of_mean = {1: 1.0, 1.58: 1.224 / 0.798, 4: 0.352 / 0.798}[bits]
    module.set_exponents()
    assert float(module.step_ratio) == pytest.approx(ratio_of_mean, abs=0.08)


# -- the neurocore preset --------------------------------------------------------------------------------------------


def test_fade_begins_at_the_teacher_and_ends_at_the_preset() -> None:
    model, data = tiny_student(preset="neurocore"), inputs()
    deployed = model.equilibrium(*data)
    model.train()
    model.set_progress(0.0)
    somas = {stage.name for stage in model.stages(*data) if stage.soma is not None}
    assert somas == {
        n for n in model.gates() if n.endswith(("embedding", "score", "attention_output", "ffn_in", "ffn_out"))
    }
    model.set_progress(1.0)
    assert [stage.name for stage in model.stages(*data) if stage.soma is not None] == ["embedding"]
    model.eval()
    for name, n in model.equilibrium(*data).counts.items():
        assert torch.equal(n, deployed.counts[name]), "training mode left a trace"


def test_affine_is_the_least_squares_line() -> None:
    torch.manual_seed(0)
    x = torch.randn(4, 10, 3, dtype=torch.double)
    y = torch.randn(4, 10, 3, dtype=torch.double) + 2 * x
    mask = (torch.arange(10) < torch.tensor([10, 6, 3, 10])[:, None])[..., None].double()
    affine = FoldableAffine(3).double()
    affine.fit(x, y, mask)
    kept = mask[..., 0].bool()
    for c in range(3):
        slope, intercept = np.polyfit(x[kept][:, c], y[kept][:, c], 1)
        assert float(affine.gain[c].detach()) == pytest.approx(slope, rel=1e-4)
        assert float(affine.shift[c].detach()) == pytest.approx(intercept, rel=1e-3, abs=1e-4)


def test_score_neurons_start_near_softmax() -> None:
    torch.manual_seed(0)
    scores = torch.randn(4, 2, 12, 12) * 2
    p = scores.softmax(-1)
    affine = ScoreAffine(2, 16, 127, quantised=True)
    affine.fit(scores, p, torch.ones(4, 1, 12, 12))
    error = (affine(scores).clamp(0, 1) - p).square().mean()
    assert error < 0.35 * p.var(), "no better than a constant"


def test_score_integers_fit_the_chip() -> None:
    """A large bias takes resolution from the weights instead of leaving its 13 bits."""
    affine = ScoreAffine(2, 16, 127, quantised=True)
    with torch.no_grad():
        affine.alpha.copy_(torch.tensor([0.1, 0.05]))
        affine.beta.copy_(torch.tensor([0.2, -5.0]))
    unit = torch.tensor(0.02)
    weight, bias, out = affine.integers(unit)
    assert float(bias.detach().abs().max()) == 4095 and float(weight.detach().abs().max()) < 127
    torch.testing.assert_close(weight * out / unit, affine.alpha, atol=float(out / unit), rtol=0)
    torch.testing.assert_close(bias * out * 16, affine.beta, atol=float(out * 16), rtol=0)


def test_folded_affine_is_the_affine() -> None:
    """Gain and shift in weights, residual and bias give what they give after the sum, up to the rounding of each."""
    torch.manual_seed(0)
    module = SynapticLinear(16, 16, 8, 8, quantised=False)
    counts, skip = torch.randint(-8, 9, (5, 16)).float(), torch.randint(-8, 9, (5, 16)).float()
    gain, shift, value, skip_value = torch.rand(16) + 0.5, torch.randn(16), torch.tensor(0.1), torch.rand(16)
    u, unit = module.drive(counts, 8, module.synapses(value, skip_value), skip)
    folded, folded_unit = module.drive(counts, 8, module.synapses(value, skip_value, gain, shift), skip)
    torch.testing.assert_close(folded * folded_unit, u * unit * gain + shift, rtol=1e-4, atol=1e-4)


# -- Hugging Face ----------------------------------------------------------------------------------------------------


def test_save_and_load(tmp_path: Path) -> None:
    model = tiny_student()
    model.save_pretrained(tmp_path)
    assert isinstance(AutoConfig.from_pretrained(tmp_path), SpikingBertConfig)
    loaded = AutoModelForSequenceClassification.from_pretrained(tmp_path)
    assert isinstance(loaded, SpikingBertForSequenceClassification)
    torch.testing.assert_close(loaded.eval()(*inputs()).logits, model(*inputs()).logits, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"timesteps": 0}, "`timesteps` is 0"),
        ({"weight_bits": 9}, "`bits` is 9"),
        ({"hidden_size": 15}, "`hidden` is 15"),
        ({"preset": "other"}, "`preset` 'other'"),
        ({"max_tokens": 999}, "`max_tokens` is 999"),
    ],
)
def test_impossible_configurations(change: dict[str, object], words: str) -> None:
    with pytest.raises(UserError, match=words):
        SpikingBertConfig(**change)
