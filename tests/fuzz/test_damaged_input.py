"""Damaged files and options: exit code 0 or 2, one sentence, no traceback, no hang over 10 s, no more than 1 GB.

SPK2LOIHI_FUZZ says how many mutations to try in all; a failure names the seed that makes it again.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest

from support import mutations
from support.fuzzing import Ending, Worker
from support.netx_files import FLATTEN, conv, dense, dense_rec, inputs, resonator, sdnn, write_netx
from support.tiny_task import TinyTask

MUTATIONS = int(os.environ.get("SPK2LOIHI_FUZZ", "2200"))
SHARES = {
    "net-bytes": 16, "net-structure": 24, "netx-bytes": 8, "netx-structure": 14, "nir-bytes": 4, "nir-structure": 8,
    "model-bytes": 4, "model-structure": 12, "table": 8, "price": 8, "board": 8, "npy": 8, "options": 14,
}  # fmt: skip
PRICE = (
    '{"name": "mine", "kind": "chip", "scope": "a test", "coefficients": {"synop": {"value": 1.5, "unit": "pJ", '
    '"source": "made up"}}}'
)
BOARD = '{"name": "mine", "chips": 2, "limits": {"synaptic_memory": {"value": 12000, "source": "made up"}}}'

Case = Callable[[np.random.Generator, Path], list[list[object]]]


@pytest.fixture(scope="module")
def good(network_file: Path, model_file: Path, tiny_task: TinyTask, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one good file of each kind."""
    folder = tmp_path_factory.mktemp("good")
    for source, name in ((network_file, "model.net"), (model_file, "model.pt"), (tiny_task.dev_file, "dev.csv")):
        (folder / name).write_bytes(source.read_bytes())
    rng = np.random.default_rng(0)
    layers = [
        inputs(6, 5, 2), conv(rng.integers(-9, 9, (3, 2, 3, 3)), (4, 3, 3)), FLATTEN,
        dense(rng.integers(-9, 9, (7, 36)), delay=np.arange(7)),
        dense_rec(rng.integers(-9, 9, (5, 7)), np.eye(5, dtype=int)),
        dense(rng.integers(-9, 9, (4, 5)), bias=np.arange(4)),
    ]  # fmt: skip
    write_netx(folder / "chain.net", *layers)
    write_netx(folder / "sdnn.net", inputs(4), dense(rng.integers(-9, 9, (3, 4)), neuron=sdnn()))
    parts = {"real": rng.integers(-9, 9, (3, 4)), "imag": rng.integers(-9, 9, (3, 4))}
    write_netx(folder / "rf.net", inputs(4), dense(parts["real"]) | {"weight": parts, "neuron": resonator(100, 4000)})
    np.save(folder / "chain.npy", rng.integers(0, 2, (6, 5, 2, 8)).astype(np.int8))
    np.save(folder / "row.npy", rng.integers(0, 2, (4, 8)).astype(np.int8))
    one = [
        nir.Input(input_type={"input": np.array([4])}),
        nir.Affine(weight=rng.integers(-9, 9, (3, 4)).astype(float), bias=np.ones(3)),
        nir.IF(r=np.full(3, 1e4), v_threshold=np.full(3, 9.0)),
        nir.Output(output_type={"output": np.array([3])}),
    ]
    nir.write(str(folder / "good.nir"), nir.NIRGraph.from_list(*one))
    (folder / "price.json").write_text(PRICE)
    (folder / "board.json").write_text(BOARD)
    return folder


@pytest.fixture(scope="module")
def worker(good: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    """A worker that has run every good file once, so that what is compiled then does not count."""
    folder = tmp_path_factory.mktemp("worker")
    data = ["--dev-file", good / "dev.csv", "--samples", 2]
    with Worker(folder) as made:
        for arguments in (
            ["export", good / "model.pt", "-o", folder / "made.net"],
            ["simulate", good / "model.net", "--backend", "stepped", *data],
            ["energy", good / "model.net", *data, "-o", folder / "energy.html"],
            ["run", good / "chain.net", "--input", good / "chain.npy", "-o", folder / "out.npz"],
            *(
                ["run", good / name, "--input", good / "row.npy", "-o", folder / "out.npz"]
                for name in ("sdnn.net", "rf.net", "good.nir")
            ),
        ):
            ending = made.run(arguments)
            assert ending.code == 0, (arguments, ending)
        yield made


def commands(kind: str, good: Path, rng: np.random.Generator, out: Path) -> list[list[object]]:
    """Make one damaged file of a kind; what to do with it, as long as it is accepted."""
    net, half = good / "model.net", rng.random() < 0.5
    how = kind.rpartition("-")[2]
    hdf5 = mutations.damage_bytes if how == "bytes" else mutations.damage_hdf5
    if kind.startswith("net-"):
        hdf5(net, out / "bad.net", rng)
        data = ["--dev-file", good / "dev.csv", "--samples", 2]
        return [
            ["inspect", out / "bad.net"], ["fit", out / "bad.net"],
            ["simulate", out / "bad.net", "--text", "a good film"],
            ["energy", out / "bad.net", *data, "-o", out / "energy.html"],
            ["simulate", out / "bad.net", "--backend", "stepped", *data],
        ]  # fmt: skip
    if kind.startswith("netx-"):
        name = ("chain", "sdnn", "rf")[rng.integers(3)]
        hdf5(good / f"{name}.net", out / "bad.net", rng)
        array = good / ("chain.npy" if name == "chain" else "row.npy")
        return [["run", out / "bad.net", "--input", array, "-o", out / "out.npz"]]
    if kind.startswith("nir-"):
        hdf5(good / "good.nir", out / "bad.nir", rng)
        return [["run", out / "bad.nir", "--input", good / "row.npy", "-o", out / "out.npz"]]
    if kind.startswith("model-"):
        damage = mutations.damage_bytes if how == "bytes" else mutations.damage_model
        damage(good / "model.pt", out / "bad.pt", rng)
        return [["export", out / "bad.pt", "-o", out / "made.net"], ["inspect", out / "made.net"]]
    if kind == "table":
        mutations.damage_table(good / "dev.csv", out / "bad.csv", rng)
        return [["simulate", net, "--dev-file", out / "bad.csv", "--samples", 2]]
    if kind in ("price", "board"):
        damage = mutations.damage_bytes if rng.random() < 0.3 else mutations.damage_json_file
        damage(good / f"{kind}.json", out / "bad.json", rng)
        if kind == "board":
            return [["fit", net, "--board", out / "bad.json"]]
        data = ["--dev-file", good / "dev.csv", "--samples", 1, "-o", out / "energy.html"]
        return [["energy", net, "--coefficients", out / "bad.json", *data]]
    if kind == "npy":
        mutations.damage_npy(good / "row.npy", out / "bad.npy", rng)
        extra: list[object] = ["--transform"] if half else []
        return [["run", good / "sdnn.net", "--input", out / "bad.npy", "-o", out / "out.npz", *extra]]
    return [options(good, rng, out)]


NUMBERS = (
    "nan", "inf", "-inf", "-1", "0", "1", "2", "1e20", "100000000000000000000", "1" + "0" * 400, "1e400", "0.5", "x",
    "", "[/x]", "\x1b[31m", "999999999999", "18446744073709551616", "-9223372036854775808", "1e-320", "0x10", "７",
)  # fmt: skip


def options(good: Path, rng: np.random.Generator, out: Path) -> list[object]:
    """One command with up to three odd values of its options."""
    import click

    from spk2loihi.cli.main import cli

    starts: dict[str, list[object]] = {
        "train": ["--train-file", out / "absent.csv", "-o", out / "made.pt"],
        "export": [good / "model.pt", "-o", out / "made.net"],
        "simulate": [good / "model.net", "--text", "a good film"],
        "run": [good / "chain.net", "--input", good / "chain.npy", "-o", out / "out.npz"],
        "verify": [good / "model.net", "--backend", "emulator", "--backend", "stepped", "--dev-file", good / "dev.csv"],
        "energy": [good / "model.net", "--dev-file", good / "dev.csv", "--samples", 1, "-o", out / "energy.html"],
        "inspect": [good / "model.net"],
        "fit": [] if rng.random() < 0.6 else [good / "model.net"],
        "sweep": ["--from-networks", out / "absent.net", "-o", out / "sweep"],
    }
    name = list(starts)[rng.integers(len(starts))]
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    skipped = {"out", "json_file", "backend", "backends", "dataset", "jobs", "processes", "help"}
    given = [p for p in command.params if isinstance(p, click.Option) and not p.is_flag and p.name not in skipped]
    words: list[object] = [name, *starts[name]]
    for index in rng.choice(len(given), min(len(given), int(rng.integers(1, 4))), replace=False) if given else ():
        words += [max(given[index].opts, key=len), NUMBERS[rng.integers(len(NUMBERS))]]
    return words


@pytest.mark.slow
@pytest.mark.parametrize("kind", SHARES)
def test_damage_is_refused_in_a_sentence(kind: str, good: Path, tmp_path: Path, worker: Worker) -> None:
    count = max(1, MUTATIONS * SHARES[kind] // sum(SHARES.values()))
    refused, problems, endings = 0, list[str](), list[Ending]()
    for seed in range(count):
        folder = tmp_path / "one"
        folder.mkdir()
        try:
            ending = once(worker, commands(kind, good, np.random.default_rng([seed, list(SHARES).index(kind)]), folder))
            endings.append(ending)
            refused += ending.refused
            if ending.problem:
                problems.append(f"{kind} {seed}: {ending.problem[-1500:]}")
        finally:
            for file in sorted(folder.rglob("*"), reverse=True):
                file.rmdir() if file.is_dir() else file.unlink()
            folder.rmdir()
    print(
        f"{kind}: {count} mutations, {refused} refused, slowest {max(e.seconds for e in endings):.1f} s, "
        f"most memory {max(e.mib for e in endings)} MiB, {len(problems)} problems"
    )
    assert not problems, f"{len(problems)} of {count}\n" + "\n".join(problems[:20])
    assert refused >= count // 5, f"only {refused} of {count} were refused: the damage is too mild to tell"


def once(worker: Worker, todo: list[list[Any]]) -> Ending:
    for arguments in todo:
        ending = worker.run(arguments)
        if ending.code != 0 or ending.problem:
            return ending
    return ending
