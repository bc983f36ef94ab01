"""Files as snnTorch, Norse, sinabs, Rockpool and SpikingJelly write them, and a network that snnTorch trained."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest
import torch

from spk2loihi.netx.network_file import NetworkFile
from spk2loihi.netx.nir_comparison import compare, generated_input
from spk2loihi.netx.nir_model import as_nir, run_equations
from spk2loihi.netx.reading import Reading
from spk2loihi.simulators.verify_file import verify_file
from support.nir_graphs import affine, linear, written

pytestmark = pytest.mark.filterwarnings("ignore")
STEPS = 32


def snntorch_file(folder: Path, *modules: Any, sample: torch.Tensor) -> Path:
    pytest.importorskip("nirtorch", reason="uv sync --group nir-tools")
    export = pytest.importorskip("snntorch.export_nir", reason="uv sync --group nir-tools")
    net = torch.nn.Sequential(*modules)
    nir.write(str(folder / "network.nir"), export.export_to_nir(net, sample, ignore_dims=[0]))
    return folder / "network.nir"


def rates_agree(path: Path, **reading: Any) -> None:
    file = NetworkFile.of(path, reading=Reading(**reading))
    assert file.conversion is not None
    network = file.network()
    for each in compare(file.conversion, network, generated_input(network)):
        assert each.spikes and each.mean_rate_error < 1 / 64


def test_snntorch(tmp_path: Path) -> None:
    import snntorch as snn

    torch.manual_seed(0)
    beta, alpha = torch.full((20,), 0.9), torch.full((20,), 0.7)
    threshold = torch.full((20,), 0.3)
    modules = [
        torch.nn.Linear(30, 20), snn.Leaky(beta=beta, threshold=threshold, init_hidden=True),
        torch.nn.Linear(20, 20), snn.Synaptic(alpha=alpha, beta=beta, threshold=threshold, init_hidden=True),
        torch.nn.Linear(20, 20), snn.RLeaky(beta=0.8, linear_features=20, threshold=0.3, init_hidden=True),
    ]  # fmt: skip
    rates_agree(snntorch_file(tmp_path, *modules, sample=torch.zeros(1, 30)))


def test_norse(tmp_path: Path) -> None:
    norse = pytest.importorskip("norse.torch", reason="uv sync --group nir-tools")
    torch.manual_seed(0)
    each = torch.ones(20)
    parameters = norse.LIFBoxParameters(tau_mem_inv=100 * each, v_leak=0 * each, v_th=0.1 * each)
    made = norse.to_nir(norse.SequentialState(torch.nn.Linear(30, 20), norse.LIFBoxCell(parameters)), torch.zeros(30))
    nir.write(str(tmp_path / "network.nir"), made)
    rates_agree(tmp_path / "network.nir", dt=1e-6)  # Norse divides its step by what it multiplies by in a step


def pooled(kind: Any) -> Any:
    return kind(kernel_size=np.array([2, 2]), stride=np.array([2, 2]), padding=np.array([0, 0]))


def conv2d(out: int, into: int, seed: int) -> nir.Conv2d:
    weight = np.random.default_rng(seed).normal(0.1, 0.3, (out, into, 3, 3)).astype(np.float32)
    return nir.Conv2d((8, 8), weight, stride=(1, 1), padding=(1, 1), dilation=(1, 1), groups=1, bias=np.zeros(out))


def sinabs_like() -> list[Any]:
    """Time in steps; IAF with r = 1, LIF with one number for all neurons."""
    single = np.float32(20.0), np.float32(1.0), np.float32(0.0), np.float32(0.15)
    leaky = nir.LIF(*(np.array([each]) for each in single))
    return [
        conv2d(4, 2, 0), nir.IF(np.ones((4, 8, 8)), np.full((4, 8, 8), 1.5)), pooled(nir.SumPool2d),
        nir.Flatten({"input": np.array([4, 4, 4])}, 0, -1), affine(10, 64, 1), leaky,
    ]  # fmt: skip


def rockpool_like(dt: float = 1e-3) -> list[Any]:
    """Exponential decay folded into r, no w_in, no v_reset."""
    tau = np.linspace(0.005, 0.02, 10)
    r = tau * np.exp(-dt / tau) / dt
    cuba = nir.CubaLIF(tau_syn=np.full(10, 0.002), tau_mem=tau, r=r, v_leak=0 * tau, v_threshold=np.ones(10))
    lif = nir.LIF(tau=tau, r=r, v_leak=0 * tau, v_threshold=np.ones(10))
    return [linear(10, 128), cuba, linear(10, 10, 1), lif]


def spikingjelly_like() -> list[Any]:
    """Time constants in steps of 1e-4 s; inputs that decay with the potential (r = 1), v_leak = v_reset."""
    shape = (3, 8, 8)
    values = {"tau": 2e-4, "r": 1.0, "v_leak": -0.1, "v_threshold": 0.4, "v_reset": -0.1}
    leaky = nir.LIF(**{name: np.full(shape, value) for name, value in values.items()})
    fire = nir.IF(np.full(10, 1e4), v_threshold=np.ones(10), v_reset=np.zeros(10))
    return [
        conv2d(3, 2, 2),
        leaky,
        pooled(nir.AvgPool2d),
        nir.Flatten({"input": np.array([3, 4, 4])}, 0, -1),
        linear(10, 48),
        fire,
    ]


@pytest.mark.parametrize(
    ("made", "dt", "shape"),
    [(sinabs_like, 1.0, (2, 8, 8)), (rockpool_like, 1e-3, (128,)), (spikingjelly_like, 1e-4, (2, 8, 8))],
)
@pytest.mark.parametrize("scales", ["layer", "channel"])
def test_as_they_write_it(tmp_path: Path, made: Any, dt: float, shape: tuple[int, ...], scales: Any) -> None:
    rates_agree(written(tmp_path, nir.Input({"input": np.array(shape)}), *made()), dt=dt, scales=scales)


@pytest.mark.slow
def test_digits_that_snntorch_learned(tmp_path: Path) -> None:
    """Accuracy of floats, emulator and stock Lava; the last two spike for spike (`SPK2LOIHI_DIGITS` images, or 8)."""
    import snntorch as snn
    from sklearn.datasets import load_digits

    torch.manual_seed(0)
    torch.set_num_threads(1)
    images, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(images))
    images, labels = images[order] / 16, labels[order]
    rng = np.random.default_rng(1)
    spikes = (rng.random((len(images), STEPS, 64)) < images[:, None]).astype(np.int8)
    x, y = torch.from_numpy(spikes[:1400]).float(), torch.from_numpy(labels[:1400])
    held, answers = spikes[1400:], labels[1400:]

    def leaky(size: int) -> Any:
        return snn.Leaky(beta=torch.full((size,), 0.9), threshold=torch.ones(size))

    first, one, second, two = torch.nn.Linear(64, 64), leaky(64), torch.nn.Linear(64, 10), leaky(10)
    optimiser = torch.optim.Adam([*first.parameters(), *second.parameters()], 5e-3)
    for _ in range(12):
        for batch in torch.randperm(len(x)).split(100):
            u, v, total = torch.zeros(len(batch), 64), torch.zeros(len(batch), 10), 0
            for step in range(STEPS):
                s, u = one(first(x[batch, step]), u)
                s, v = two(second(s), v)
                total = total + s
            loss = torch.nn.functional.cross_entropy(total / 4, y[batch])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    for each in (one, two):
        each.init_hidden = True
    path = snntorch_file(tmp_path, first, one, second, two, sample=torch.zeros(1, 64))
    file = NetworkFile.of(path)
    assert file.conversion is not None
    plan = file.conversion.plan
    floats = list(run_equations(plan, held, file.conversion.reading.dt).values())[-1].sum(1).argmax(1)
    late = np.pad(np.moveaxis(held, 1, -1), ((0, 0), (0, 0), (0, plan.depth)))  # so many steps later than in NIR
    integers = as_nir(file.network().run(late).output, (10,)).sum(1).argmax(1)
    accuracy = float((floats == answers).mean()), float((integers == answers).mean())
    print("floats, integers:", accuracy)
    assert accuracy[0] > 0.9 and accuracy[1] > accuracy[0] - 0.01
    pytest.importorskip("lava", reason="lava-nc and lava-dl need Python 3.10")
    outcome = verify_file(file, late[: int(os.environ.get("SPK2LOIHI_DIGITS", "8"))])
    print("images in Lava, mismatches, compared:", outcome.samples, outcome.mismatches, outcome.compared)
    assert outcome.equal and outcome.messages > 1000
