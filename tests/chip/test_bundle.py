"""The bundle: what is in it, what it replaces, and that it runs where this package is not."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from spk2loihi.chip import build_graph
from spk2loihi.chip.bundle import PROGRAM, write_bundle
from spk2loihi.errors import UserError
from spk2loihi.network.network import Network
from support.lava_networks import needs_lava, sentences
from support.streamed_networks import reference, streamed_network

#: Nothing but lava-nc and what it needs: not this package, not even lava-dl.
BLOCKED = ("spk2loihi", "torch", "lava.lib", "h5py", "transformers", "tokenizers", "click", "rich", "numba")
RUN = f"""
import runpy, sys
for name in {BLOCKED}:
    sys.modules[name] = None
sys.argv = ["run.py"]
runpy.run_path("run.py", run_name="__main__")
"""


@pytest.fixture(scope="module")
def network() -> Network:
    return streamed_network(1, slots=3)


@pytest.fixture
def bundle(network: Network, tmp_path: Path) -> Path:
    write_bundle(network, tmp_path / "bundle", sentences(3, 2), ["a good film", "a bad film"])
    return tmp_path / "bundle"


def run(bundle: Path) -> subprocess.CompletedProcess[str]:
    """In a fresh interpreter that takes nothing from its surroundings."""
    return subprocess.run([sys.executable, "-I", "-c", RUN], cwd=bundle, capture_output=True, text=True, timeout=300)


def test_what_is_in_a_bundle(network: Network, bundle: Path) -> None:
    assert sorted(path.name for path in bundle.iterdir()) == ["graph.json", "run.py", "sentences.npz", "weights.npz"]
    assert (bundle / "run.py").read_bytes() == PROGRAM.read_bytes()
    record = json.loads((bundle / "graph.json").read_bytes())
    weights = np.load(bundle / "weights.npz", allow_pickle=False)
    for arithmetic in ("lava", "chip"):
        graph = build_graph(network, 3, arithmetic)
        held = {c["name"]: c for c in record["connections"] if c["arithmetic"] in (None, arithmetic)}
        assert list(held) and {c.name for c in graph.connections} == set(held)
        for c in graph.connections:
            values = c.weight if c.kind == "Dense" else c.weight.values
            assert np.array_equal(weights[f"{held[c.name]['weights']}.values"], values), c.name
        _, logits, _ = reference(network, sentences(3, 2), arithmetic)
        assert np.array_equal(np.load(bundle / "sentences.npz")[arithmetic], logits)
    own = [c["name"] for c in record["connections"] if c["arithmetic"] is not None]
    assert own and all("bias" in name for name in own)


def test_its_program_names_nothing_of_this_package() -> None:
    text = PROGRAM.read_text(encoding="utf-8")
    assert "import spk2loihi" not in text and "from spk2loihi" not in text and "lava.lib" not in text


def test_a_folder_of_the_users_is_never_replaced(network: Network, bundle: Path, tmp_path: Path) -> None:
    write_bundle(network, bundle, sentences(2))  # its own
    program = bundle / "run.py"
    program.write_text(program.read_text(encoding="utf-8") + "# mine\n", encoding="utf-8")
    own = tmp_path / "own"
    own.mkdir()
    (own / "thesis.tex").write_text("mine", encoding="utf-8")
    for folder in (bundle, own, own / "thesis.tex"):
        with pytest.raises(UserError, match="choose another `bundle`"):
            write_bundle(network, folder, sentences(2))
    assert program.read_text(encoding="utf-8").endswith("# mine\n") and (own / "thesis.tex").exists()
    write_bundle(network, bundle, sentences(2), force=True)
    assert program.read_bytes() == PROGRAM.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bundle", "own"]


@needs_lava
@pytest.mark.slow
def test_it_runs_where_this_package_is_not_and_says_what_the_network_says(network: Network, bundle: Path) -> None:
    done = run(bundle)
    assert done.returncode == 0, done.stderr
    _, logits, _ = reference(network, sentences(3, 2), "lava")
    lines = [line for line in done.stdout.splitlines() if line.startswith("[")]
    assert [line.split("]")[0] + "]" for line in lines] == [str(row) for row in logits.tolist()]
    answer = ["no", "yes"][int(logits[0].argmax())]
    assert lines[0].endswith(f"] {answer} a good film") and "all as expected" in done.stdout


@needs_lava
@pytest.mark.slow
def test_it_says_so_where_an_answer_is_another(bundle: Path) -> None:
    with np.load(bundle / "sentences.npz") as held:
        arrays = dict(held)
    arrays["lava"][1, 0] += 1
    np.savez_compressed(bundle / "sentences.npz", **arrays)
    done = run(bundle)
    assert done.returncode == 1 and "1 sentences differ" in done.stdout, done.stderr
