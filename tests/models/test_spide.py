"""SPIDE's second phase: the neurons, step by step, and the gradient they converge to."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from spk2loihi.errors import UserError
from spk2loihi.models import SpikingBertConfig
from spk2loihi.models.implicit import Solving, fixed_point
from spk2loihi.models.spide import HEADROOM, spiking_adjoint
from support.networks import random_batch, tiny_student

double = torch.double
STEPS = [16, 64, 256, 1024]


def turned(n: int, norm: float) -> torch.Tensor:
    """Feedback V (n, n) of that spectral norm, as far from its transpose as can be: a rotation and a bit of noise."""
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(n, n, dtype=double, generator=generator)
    weight = torch.linalg.qr(noise)[0] + 0.1 * noise
    return norm * weight / torch.linalg.matrix_norm(weight, 2)


def gradients(rows: int, n: int) -> torch.Tensor:
    """Rows of very different sizes."""
    generator = torch.Generator().manual_seed(1)
    sizes = 10.0 ** -torch.arange(rows, dtype=double)
    return torch.randn(rows, n, dtype=double, generator=generator) * sizes[:, None]


def exact(weight: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
    """lambda of ``lambda = gradient + V^T lambda``, row by row."""
    return torch.linalg.solve(torch.eye(len(weight), dtype=double) - weight.T, gradient.T).T


# -- the neurons -----------------------------------------------------------------------------------------------------


def test_a_neuron_by_hand() -> None:
    """dL/dx 0.5: a spike is worth 0.75, theta 0.375; membranes 0.5*, 0.25, 0.75*, 0.5*, ... with * where it fires."""
    assert HEADROOM == 1.5
    gradient = torch.tensor([[0.5], [-0.5]], dtype=double)
    for steps, spikes in ((1, 1), (2, 1), (3, 2), (4, 3)):
        rate, stat = spiking_adjoint(torch.zeros_like, gradient, steps)
        assert torch.equal(rate, 0.75 * spikes / steps * gradient.sign())
        assert stat.converged and stat.iterations == steps
    # a spike is worth 1.5 in this row: the second neuron reaches 0.75 in the third step, and fires where it is reached
    gradient = torch.tensor([[1.0, 0.25], [-1.0, -0.25]], dtype=double)
    assert not spiking_adjoint(torch.zeros_like, gradient, 2)[0][:, 1].any()
    assert torch.equal(spiking_adjoint(torch.zeros_like, gradient, 3)[0][:, 1], torch.tensor([0.5, -0.5], dtype=double))


def test_neurons_step_by_step() -> None:
    """Against the three rules written out, neuron by neuron, with numbers that floats hold exactly."""
    weight = np.array([[-0.25, 0.5, -0.25], [-0.5, 0.0, 0.25], [0.125, 0.25, 0.5]])
    gradient = np.array([0.5, -0.5, 0.25])
    worth = HEADROOM * 0.5
    u, spikes, counts = np.zeros(3), np.zeros(3), np.zeros(3)
    for _ in range(64):
        arriving = [sum(weight[j][i] * worth * spikes[j] for j in range(3)) for i in range(3)]
        for i in range(3):
            u[i] += gradient[i] + arriving[i]
        for i in range(3):
            spikes[i] = 1 if u[i] >= worth / 2 else -1 if u[i] <= -worth / 2 else 0
            u[i] -= worth * spikes[i]
        counts += spikes
    assert {-1.0, 1.0} <= set(np.sign(counts)) and counts.max() < 64
    v = torch.from_numpy(weight)
    rate, stat = spiking_adjoint(lambda y: y @ v, torch.from_numpy(gradient)[None], 64)
    assert torch.equal(rate[0], torch.from_numpy(worth * counts / 64))
    last = worth * torch.from_numpy(spikes)
    lacking = (torch.from_numpy(u) + last @ v) / 64  # what lambda lacks to solve its equation
    torch.testing.assert_close(rate[0] @ v + torch.from_numpy(gradient) - rate[0], lacking)
    assert stat.residuals[-1] == pytest.approx(float(lacking.norm() / (rate[0] + lacking).norm()))
    assert stat.evaluations == [1, 2, 4, 8, 16, 32, 64]


def test_rows_are_on_their_own_and_no_size_of_the_gradient_matters() -> None:
    """All numbers are sums of few powers of two, so that equal means equal."""
    v = torch.tensor([[0.25, 0.5], [-0.5, 0.125]], dtype=double)
    rows = torch.tensor([[0.5, -0.25], [0.0, 0.0], [-4.0, 64.0], [2.0**-40, 2.0**-41]], dtype=double)
    together, _ = spiking_adjoint(lambda y: y @ v, rows, 32)
    for row, rate in zip(rows, together, strict=True):
        assert torch.equal(spiking_adjoint(lambda y: y @ v, row[None], 32)[0][0], rate)
    assert torch.equal(together[1], torch.zeros(2, dtype=double))
    scaled, _ = spiking_adjoint(lambda y: y @ v, rows * 2.0**-90, 32)
    assert torch.equal(scaled, together * 2.0**-90)


# -- convergence -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "norm"), [(8, 0.5), (40, 0.5), (40, 0.9)])
def test_the_error_falls_as_one_over_steps(n: int, norm: float) -> None:
    """|rate - lambda| <= sqrt(n) (1/2 + norm) worth / (steps (1 - norm)): half a spike is left in each membrane, and
    the last spikes have not come back yet."""
    weight, gradient = turned(n, norm), gradients(6, n)
    assert torch.linalg.matrix_norm(weight - weight.T, 2) > norm
    wanted = exact(weight, gradient)
    worth = 2 * HEADROOM * gradient.abs().amax(-1)  # twice: a row that was late
    errors = []
    for steps in STEPS:
        rate, stat = spiking_adjoint(lambda y: y @ weight, gradient, steps)
        error = (rate - wanted).norm(dim=-1)
        assert (error <= n**0.5 * (0.5 + norm) * worth / (steps * (1 - norm))).all()
        errors.append(float((error / wanted.norm(dim=-1)).mean()))
        assert stat.residuals[-1] < 8 / steps
    assert -1.15 < np.polyfit(np.log(STEPS), np.log(errors), 1)[0] < -0.85
    assert errors[-1] < 3e-3
    turned_round = (exact(weight.T, gradient) - wanted).norm(dim=-1) / wanted.norm(dim=-1)
    assert turned_round.min() > 30 * errors[-1], "J in place of its transpose would pass"


def test_a_row_that_cannot_keep_up_gets_larger_spikes() -> None:
    """All neurons in step: lambda is ten times dL/dx, beyond what a spike a step was worth."""
    weight = torch.full((8, 8), 0.9 / 8, dtype=double)
    gradient = torch.tensor([[1.0] * 8, [1.0, -1.0] * 4], dtype=double)
    rate, stat = spiking_adjoint(lambda y: y @ weight, gradient, 512)
    torch.testing.assert_close(rate, exact(weight, gradient), rtol=0.05, atol=0.0)
    assert stat.converged and rate[0].max() > 6 * HEADROOM
    assert (rate[1].abs() - 1).abs().max() <= HEADROOM / 512, "the other row keeps its small spikes"


def test_gradients_that_are_no_numbers_are_refused() -> None:
    bias = torch.ones(2, requires_grad=True)
    point, _ = fixed_point(lambda x: 0.5 * x + bias, torch.zeros(1, 2), Solving(gradient="spide"), "it")
    with pytest.raises(UserError, match="the gradient of it did not converge: spide left a residual of nan"):
        (point * torch.tensor([1.0, float("nan")])).sum().backward()


# -- of a student ----------------------------------------------------------------------------------------------------

NAMES = ("layers.0.feedback.free", "layers.0.value.weight", "embeddings.gate.log_threshold")


def gradient_of(**options: object) -> list[torch.Tensor]:
    model = tiny_student(quantised=False, feedback=0.8, **options).double()
    batch = random_batch(0, (5, 3))
    logits = model.equilibrium(torch.from_numpy(batch.input_ids), torch.from_numpy(batch.mask).long()).logits
    parameters = dict(model.named_parameters())
    return list(torch.autograd.grad(logits.square().sum(), [parameters[name] for name in NAMES]))


def test_gradients_of_a_student_converge_to_those_of_the_solver() -> None:
    wanted = gradient_of()
    errors = []
    for steps in (16, 128, 1024):
        found = gradient_of(gradient="spide", gradient_steps=steps)
        errors.append([float((a - b).norm() / b.norm()) for a, b in zip(found, wanted, strict=True)])
        if steps == 128:
            for a, b in zip(found, wanted, strict=True):
                assert torch.cosine_similarity(a.flatten(), b.flatten(), dim=0) > 0.99
    for at_16, at_128, at_1024 in zip(*errors, strict=True):
        assert at_16 > at_128 > at_1024
    assert max(errors[-1]) < 0.01 < max(errors[0])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"gradient": "spide"}, "without `feedback` a network has none: give a `feedback` above 0"),
        ({"feedback": 0.5, "gradient": "adjoint"}, "`gradient` is 'adjoint': choose one of solver, spide"),
        ({"feedback": 0.5, "gradient": "spide", "gradient_steps": 0}, "`gradient_steps` is 0, .* from 1 to 10,000"),
        ({"feedback": 0.5, "gradient_steps": 128}, "`gradient_steps` is 128, but `gradient` solver takes no steps"),
    ],
)
def test_impossible_configurations(change: dict[str, object], words: str) -> None:
    with pytest.raises(UserError, match=words):
        SpikingBertConfig(**change)


def test_a_configuration_says_spide_where_it_is_not_the_default() -> None:
    assert not {"gradient", "gradient_steps"} & set(SpikingBertConfig(feedback=0.5).to_dict())
    record = SpikingBertConfig(feedback=0.5, gradient="spide", gradient_steps=32).to_dict()
    assert (record["gradient"], record["gradient_steps"]) == ("spide", 32)
    assert SpikingBertConfig(**record).solving == Solving("anderson", "spide", 32)
