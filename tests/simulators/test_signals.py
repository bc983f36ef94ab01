"""Commands that run Lava, hit by signals at many moments: nothing is left and nothing hangs."""

from __future__ import annotations

import os
import random
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from support.lava_networks import needs_lava
from support.netx_files import binary, dense, write_netx
from support.signals import Command, Stable, assert_interrupted, assert_nothing_left

pytestmark = [
    pytest.mark.slow,
    pytest.mark.alone,
    needs_lava,
    pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="finds processes in /proc"),
]

INTERRUPTS = int(os.environ.get("SPK2LOIHI_INTERRUPTS", "3"))  # of each command

#: Processes there are, and seconds after that: Lava starts its first, is starting them, runs. Stock networks have an OS
#: process for each layer; the models of a student take turns in one.
MOMENTS = {
    "run": {"first process": (2, 0.0), "starting": (6, 0.0), "running": (12, 2.0)},
    "student": {"first process": (2, 0.0), "starting": (2, 0.1), "running": (2, 1.0)},
}
LONG = ["--schedule", "pipelined", "--timesteps", 2000]  # so that a tiny student runs for a while


@pytest.fixture(scope="module")
def stock(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A network of 12 processes, and an input that takes Lava minutes."""
    folder, rng = tmp_path_factory.mktemp("stock"), np.random.default_rng(0)
    layers = [dense(rng.integers(-9, 10, (8, 8))) for _ in range(4)]
    inputs = folder / "inputs.npy"
    np.save(inputs, binary(rng, 8, 100_000))
    return write_netx(folder / "stock.net", *layers), inputs


@pytest.fixture(scope="module")
def stable() -> Iterator[Stable]:
    stable = Stable()
    yield stable
    stable.close()


def stock_options(stock: tuple[Path, Path]) -> list[object]:
    network, inputs = stock
    return [network, "--input", inputs, "-o", "out.npz", "--backend", "cpu"]


def start(stable: Stable, name: str, network: Path, stock: tuple[Path, Path], folder: Path) -> Command:
    if name == "run":
        return stable.spk2loihi(folder, "run", *stock_options(stock))
    backend = ["--backend", "cpu"] if name == "simulate" else []
    return stable.spk2loihi(folder, name, network, "--samples", 10_000, *LONG, *backend)


def at(command: Command, name: str, moment: str) -> None:
    processes, seconds = MOMENTS["run" if name == "run" else "student"][moment]
    command.wait_until(lambda c: len(c.alive()) >= processes)
    time.sleep(seconds)


@pytest.mark.parametrize("moment", MOMENTS["run"])
@pytest.mark.parametrize(
    ("name", "number"),
    [
        *((name, number) for name in ("simulate", "run") for number in (signal.SIGTERM, signal.SIGKILL)),
        ("verify", signal.SIGHUP),
    ],
)
def test_nothing_is_left(
    name: str,
    number: int,
    moment: str,
    stable: Stable,
    network_file: Path,
    stock: tuple[Path, Path],
    tmp_path: Path,
) -> None:
    command = start(stable, name, network_file, stock, tmp_path)
    at(command, name, moment)
    outcome = command.hit(number)
    if number == signal.SIGKILL:
        assert outcome.code == -signal.SIGKILL
        assert_nothing_left(outcome)
    else:
        assert_interrupted(outcome)


@pytest.mark.parametrize("name", ["simulate", "run", "verify"])
def test_ctrl_c_at_any_moment(
    name: str, stable: Stable, network_file: Path, stock: tuple[Path, Path], tmp_path: Path
) -> None:
    """A terminal sends it to all processes; users press it twice."""
    moments = random.Random(name)
    for _ in range(INTERRUPTS):
        command = start(stable, name, network_file, stock, tmp_path)
        later = [(8, 0.5), (12, 1.0)] if name == "run" else [(2, 1.0), (2, 1.5)]
        processes, seconds = moments.choice([(1, 4.0), (2, 0.5), *later])
        command.wait_until(lambda c, n=processes: len(c.alive()) >= n)  # type: ignore[misc]
        time.sleep(moments.uniform(0.15, seconds))
        assert_interrupted(command.hit(signal.SIGINT, all_processes=True, times=moments.choice((1, 2))))


def test_too_few_processes_are_one_sentence(stable: Stable, stock: tuple[Path, Path], tmp_path: Path) -> None:
    command = stable.spk2loihi(tmp_path, "run", *stock_options(stock))
    resource.prlimit(command.process.pid, resource.RLIMIT_NOFILE, (50, 50))
    assert command.wait(60) == 2, command.stderr
    assert "in a process of its own, and only" in command.stderr and "Too many open files" in command.stderr
    assert not command.alive()


@pytest.mark.parametrize("size", ["400k", "4k"])
def test_lava_needs_no_named_shared_memory(size: str, network_file: Path, tmp_path: Path) -> None:
    """Docker gives /dev/shm 64 MB, and some systems give it nothing."""
    mount = f"mount -t tmpfs -o size={size} tmpfs /dev/shm"
    if subprocess.run(["unshare", "-m", "sh", "-c", mount], capture_output=True, check=False).returncode:
        pytest.skip("may not mount a /dev/shm of its own")
    verify = f"{mount} && exec {sys.executable} -m spk2loihi verify {network_file} --samples 2"
    done = subprocess.run(["unshare", "-m", "sh", "-c", verify], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert ": 0 mismatches" in done.stdout
