"""Does it fit: limits against published compiler output, partitions against brute force, and the command."""

from __future__ import annotations

import importlib.util
import json
import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer
from tokenizers.models import WordLevel

from spk2loihi.data import TaskSpec
from spk2loihi.errors import UserError
from spk2loihi.fit import BOARDS, check_fit, find_board, populations
from spk2loihi.fit.boards import LOIHI2, Board
from spk2loihi.fit.partition import partition, place
from spk2loihi.fit.population import Input, Population, resized, weight_width
from spk2loihi.fit.rules import RULES, Core, Tile, grid, list_words, synaptic_memory
from spk2loihi.fit.student_shape import StudentShape, shape_populations
from spk2loihi.network import write_network
from spk2loihi.network.network import Network
from spk2loihi.network.run_config import RunConfig
from spk2loihi.simulators.lava.importing import import_lava
from support.networks import tiny_network
from support.tiny_task import spk2loihi

KAPOHO = BOARDS["kapoho-point"]


def linear(d_in: int, d_out: int, tokens: int = 1, bits: int = 8, skip: int = 0, **changes: Any) -> Population:
    """A token-wise linear population, with ``skip`` residual channels beside its dense group."""
    inputs = [Input("source", d_in, False, bits, d_in * d_out)]
    if skip:
        inputs.append(Input("skip", skip, True, 8, skip))
    given: dict[str, Any] = {
        "name": "layer", "kind": "linear", "tokens": tokens, "max_tokens": tokens, "channels": d_out, "heads": 1,
        "inputs": tuple(inputs), "left": "", "right": "", "left_bits": 0, "right_bits": 0, "head_width": 0,
        "state_bits": 37, "soma": None, "fires": True, "pipelined": False,
    }  # fmt: skip
    return Population(**{**given, **changes})


def network_of(layer: Population) -> list[Population]:
    """The layer behind an input population."""
    width = layer.inputs[0].width
    return [linear(0, width, layer.tokens, name="source", kind="input", inputs=()), layer]


def board(chips: int = 1, **values: int) -> Board:
    """Loihi 2 with other limits."""
    changed = {name: replace(LOIHI2[name], value=value) for name, value in values.items()}
    return Board("test", chips, {**LOIHI2, **changed})


# --- against Intel's compiler, as its output is printed in lava-dl's tutorials ---------------------------------------

#: netx/mnist/run.ipynb (784-128-64-10, 8-bit weights, sparse lists): inputs, neurons on a core, share of 16,000 words.
MNIST = [(64, 10, 1.60), (128, 64, 16.80), (784, 50, 78.40)]

#: Per-core shares in per cent: axons in, neuron groups of 8, neurons, synapses, axon map, axon memory -> total.
TABLES = [
    # netx/mnist/run.ipynb
    (0.40, 12.50, 0.24, 1.60, 0.06, 0.00, 1.71),
    (0.80, 12.50, 1.56, 16.80, 0.40, 0.00, 14.72),
    (4.90, 12.50, 1.22, 78.40, 0.31, 0.00, 67.14),
    # netx/yolo_kp/run.ipynb
    (0.01, 25.00, 65.64, 19.20, 16.80, 0.00, 42.26),
    (0.01, 12.50, 87.52, 86.40, 0.35, 0.17, 87.47),
    (0.01, 12.50, 87.52, 67.20, 0.09, 0.35, 72.04),
    (0.01, 12.50, 87.52, 72.00, 0.35, 2.80, 78.05),
    (0.01, 12.50, 87.52, 79.20, 0.17, 0.17, 81.57),
    (0.01, 12.50, 87.52, 39.60, 0.17, 0.35, 50.03),
    (0.01, 12.50, 87.52, 10.80, 0.35, 0.17, 26.99),
    (0.01, 12.50, 87.52, 3.60, 0.70, 0.35, 21.65),
    (0.01, 12.50, 87.52, 0.34, 1.40, 0.70, 19.88),
]


@pytest.mark.parametrize("row", TABLES)
def test_core_totals_of_the_published_tables(row: tuple[float, ...]) -> None:
    """Every column is a number of words of one memory: shares times our limits add up to the printed total."""
    axons_in, groups, neurons, synapses, axons_out, routes, total = row
    names = ("axons_in", "neuron_memory", "synaptic_memory", "axons_out", "routes")
    shares = (axons_in, neurons, synapses, axons_out, routes)
    words = sum(share / 100 * LOIHI2[name].value for share, name in zip(shares, names, strict=True)) + groups / 100 * 8
    assert 100 * words / LOIHI2["core_memory"].value == pytest.approx(total, abs=0.02)  # each share has two decimals


@pytest.mark.parametrize(("inputs", "neurons", "share"), MNIST)
def test_synaptic_memory_of_the_published_mnist_layers(inputs: int, neurons: int, share: float) -> None:
    core = Core(linear(inputs, neurons), Tile(1, 1, neurons), "unrolled")
    assert round(100 * synaptic_memory(core) / LOIHI2["synaptic_memory"].value, 2) == share


#: netx/pilotnet_snn/benchmark.ipynb: layer of the file, neurons (or channels) on a core, words a core.
PILOTNET_DENSE = [(7, 100, 61_440), (7, 17, 12_800), (8, 50, 1300), (9, 10, 150)]
PILOTNET_CONV = [(4, 64, 2160), (5, 64, 2880)]  # those that move one pixel at a time along the axis that is cut


def pilotnet(layer: int) -> np.ndarray:
    spec = importlib.util.find_spec("lava.lib.dl")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("lava-dl needs Python 3.10")
    wheel = Path(next(iter(spec.submodule_search_locations))).parents[2]
    with h5py.File(wheel / "tests/lava/lib/dl/netx/gts/pilotnet_lif/network.net") as file:
        return np.asarray(file[f"layer/{layer}/weight"]).astype(np.int64)


@pytest.mark.parametrize(("layer", "neurons", "words"), PILOTNET_DENSE)
def test_synaptic_memory_of_pilotnet_dense_layers(layer: int, neurons: int, words: int) -> None:
    weight = pilotnet(layer)
    assert weight.shape[1] * list_words(neurons, weight_width(weight), sparse=True) == words


@pytest.mark.parametrize(("layer", "channels", "words"), PILOTNET_CONV)
def test_synaptic_memory_of_pilotnet_convolutions(layer: int, channels: int, words: int) -> None:
    """One shared list an input channel and kernel position."""
    weight = pilotnet(layer)
    assert math.prod(weight.shape[1:]) * list_words(channels, weight_width(weight)) == words


def test_pilotnet_layer_over_twelve_cores() -> None:
    """2,560 inputs, 100 neurons: eleven cores of nine and one of one, 7,253 words on average."""
    weight = pilotnet(7)
    words = [list_words(n, weight_width(weight), sparse=True) for n in [9] * 11 + [1]]
    assert int(2560 * sum(words) / 12) == 7253


@given(st.integers(0, 2**32 - 1), st.integers(1, 127), st.integers(0, 6))
@settings(max_examples=30, deadline=None)
def test_weight_width_is_lavas(seed: int, largest: int, shift: int) -> None:
    pytest.importorskip("lava", reason="lava-nc and lava-dl need Python 3.10")
    import_lava()
    from lava.lib.dl.netx.utils import optimize_weight_bits

    weight = np.random.default_rng(seed).integers(-largest, largest, (5, 7), endpoint=True)
    weight[0, :2] = -largest, 1
    weight = np.clip(weight << shift, -128, 126) if largest << shift > 127 else weight << shift
    assert weight_width(weight) == optimize_weight_bits(weight)[1]


def test_weight_width_of_one_sign_and_of_nothing() -> None:
    assert weight_width(np.array([[0, 255]])) == 8
    assert weight_width(np.array([[0, 254]])) == 7
    assert weight_width(np.array([[-4, -8]])) == 2
    assert weight_width(np.zeros((2, 2), np.int64)) == 1
    assert weight_width(np.array([[-1, 0, 1]])) == 2  # ternary


# --- one layer by hand, and the edge of a limit ----------------------------------------------------------------------


def test_one_layer_by_hand() -> None:
    """384 -> 384, 64 tokens, 8 bits.

    24,576 neurons at 4,095 a core are 7 cores at least. All 384 channels do not fit one core: 384 lists of
    ceil((8 + 384 x 8) / 64) = 49 words are 18,816, over 16,000. Seven tiles of 55 channels and all 64 tokens do:
    64 x 55 = 3,520 neurons, 384 x ceil((8 + 55 x 8) / 64) = 384 x 7 = 2,688 words, one axon in, 64 addresses out, each
    to 3 cores. In total 1 + 3,520 + 2,688 + 1 + 64 + 192 = 6,466 words.
    """
    placement = place(linear(384, 384, 64), KAPOHO, destinations=3)
    assert placement.core is not None and placement.binding is not None
    assert (placement.cores, placement.column_tiles, placement.core.tile) == (7, 7, Tile(64, 1, 55))
    assert {name: rule(placement.core) for name, rule in RULES.items()} == {
        "weight_width": 8, "fan_in": 384, "neurons": 3520, "neuron_memory": 3520, "synaptic_memory": 2688,
        "axons_in": 1, "axons_out": 64, "routes": 192, "core_memory": 6466,
    }  # fmt: skip
    assert placement.binding.limit == "neuron_memory"


def test_unrolled_copies_by_hand() -> None:
    """The same layer without sharing: every token its own 384 lists, of 20-bit synapses.

    192 channels: 384 x ceil((8 + 192 x 20) / 64) = 384 x 61 = 23,424 words, too many; 128 channels: 384 x 41 = 15,744
    words for a single token, so 3 cores a token.
    """
    placement = place(linear(384, 384, 64), KAPOHO, "unrolled")
    assert placement.core is not None and placement.binding is not None
    assert (placement.cores, placement.core.tile) == (192, Tile(1, 1, 128))
    assert synaptic_memory(placement.core) == 15_744
    assert placement.binding.limit == "synaptic_memory"


def test_one_synapse_over_a_limit_is_refused_by_name_and_value() -> None:
    assert check_fit(network_of(linear(16_000, 1)), KAPOHO)["fits"]
    result = check_fit(network_of(linear(16_001, 1)), KAPOHO)
    assert not result["fits"]
    assert result["refused"] == [{"layer": "layer", "limit": "fan_in", "value": 16_001, "allowed": 16_000}]
    assert result["layers"][1]["binding_limit"] == "fan_in"
    assert result["layers"][1]["cores"] == 0


def test_one_word_over_synaptic_memory_takes_another_core() -> None:
    layer = linear(10, 20)  # 10 lists of ceil((8 + 20 x 8) / 64) = 3 words
    assert place(layer, board(synaptic_memory=30)).cores == 1
    over = place(layer, board(synaptic_memory=29))
    assert over.cores == 2
    assert over.binding is not None
    assert (over.binding.limit, over.binding.value, over.binding.allowed) == ("synaptic_memory", 30, 29)
    assert check_fit(network_of(layer), board(cores=2, synaptic_memory=30))["fits"]
    assert not check_fit(network_of(layer), board(cores=2, synaptic_memory=29))["fits"]


@pytest.mark.parametrize(
    ("limit", "value"),
    [("neurons", 19), ("neuron_memory", 19), ("synaptic_memory", 29), ("core_memory", 1 + 20 + 30 + 1 + 1 - 1)],
)
def test_each_limit_binds(limit: str, value: int) -> None:
    layer = linear(10, 20)
    assert place(layer, board(**{limit: value + 1})).cores == 1
    placement = place(layer, board(**{limit: value}))
    assert placement.cores == 2
    assert placement.binding is not None and placement.binding.limit == limit


def test_axons_bind_where_weights_are_unrolled() -> None:
    layer = linear(10, 20, tokens=4)
    assert place(layer, board(axons_in=40), "unrolled").cores == 1
    assert place(layer, board(axons_in=39), "unrolled").binding.limit == "axons_in"  # type: ignore[union-attr]
    assert place(layer, board(axons_out=79), "unrolled").binding.limit == "axons_out"  # type: ignore[union-attr]
    assert place(layer, board(axons_out=3)).binding.limit == "axons_out"  # type: ignore[union-attr]
    assert place(layer, board(routes=19), destinations=5).binding.limit == "routes"  # type: ignore[union-attr]


def test_too_wide_weights_are_refused() -> None:
    refused = place(linear(4, 4, bits=9), KAPOHO).refused
    assert refused is not None
    assert (refused.limit, refused.value, refused.allowed) == ("weight_width", 9, 8)


# --- partitions ------------------------------------------------------------------------------------------------------


@given(
    d_in=st.integers(1, 40), d_out=st.integers(1, 40), tokens=st.integers(1, 12), bits=st.integers(1, 8),
    neurons=st.integers(1, 100), words=st.integers(40, 200), skip=st.booleans(),
)  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_no_cut_needs_fewer_cores(
    d_in: int, d_out: int, tokens: int, bits: int, neurons: int, words: int, skip: bool
) -> None:
    """Against every possible rectangle."""
    layer = linear(d_in, d_out, tokens, bits, d_out if skip else 0)
    small = board(neurons=neurons, synaptic_memory=words, core_memory=words + 60)

    def fits(tile: Tile) -> bool:
        return all(rule(Core(layer, tile, "shared", 2)) <= small.limits[name].value for name, rule in RULES.items())

    tiles = [Tile(r, 1, w) for r in range(1, tokens + 1) for w in range(1, d_out + 1)]
    counts = [math.ceil(tokens / t.rows) * math.ceil(d_out / t.width) for t in tiles if fits(t)]
    placement = place(layer, small, destinations=2)
    if placement.refused:
        assert not counts
    else:
        assert placement.cores == min(counts)
        assert placement.core is not None and fits(placement.core.tile)


@pytest.mark.parametrize("schedule", ["windowed", "pipelined", "settling"])
@pytest.mark.parametrize("sharing", ["shared", "unrolled"])
def test_every_core_of_a_network_is_within_every_limit(network: Network, schedule: Any, sharing: Any) -> None:
    given = populations(replace(network, defaults=RunConfig(schedule)))
    small = board(neuron_memory=100, synaptic_memory=150, core_memory=260)
    for placement in partition(given, small, sharing):
        assert placement.refused is None and placement.core is not None
        whole, tile = grid(placement.population), placement.core.tile
        for name, rule in RULES.items():
            assert rule(placement.core) <= small.limits[name].value, (placement.population.name, name)
        assert placement.cores * tile.rows * tile.columns >= whole.rows * whole.columns
        assert placement.population.neurons == whole.rows * whole.columns


def test_populations_of_a_network(network: Network) -> None:
    """Neurons and synapses as the network's own arrays have them; attention by its definition."""
    sizes = {p.name: p for p in populations(network)}
    tokens, heads, d_h = 16, 2, 8
    assert sizes["embedding"].neurons == tokens * 16
    assert sizes["layer.0.score"].neurons == heads * tokens * tokens
    assert sizes["layer.1.score"].neurons == heads * tokens  # [CLS] only
    assert sizes["layer.0.score"].fan_in == 2 * d_h
    assert sizes["layer.0.context"].fan_in == tokens
    for stage in network.stages:
        own = sizes[stage.name]
        if stage.synapses:
            nonzero = sum(int(np.count_nonzero(g.weight)) for g in stage.synapses)
            assert own.synapses == nonzero * own.tokens
    assert sizes["layer.0.score"].left_bits == 5  # counts in [-8, 8]
    assert sizes["layer.0.context"].left_bits == 4  # scores in [0, 8]


def test_host_operations_and_their_reasons(network: Network) -> None:
    result = check_fit(populations(network), KAPOHO)
    host = {(h["layer"], h["operation"]) for h in result["host"]}
    assert ("embedding", "embedding") in host
    if network.config["preset"] == "neurocore":
        assert host == {("embedding", "embedding"), ("embedding", "layernorm")}
    else:
        assert {("layer.0.score", "softmax"), ("layer.0.ffn_in", "gelu")} <= host
        assert ("layer.0.attention_output", "layernorm") in host
    assert not any(name == "layer.0.context" for name, _ in host)  # a shift, in the neuron
    assert all(h["reason"] for h in result["host"])


# --- before training, and what if ------------------------------------------------------------------------------------


def test_a_shape_has_the_sizes_of_the_real_network() -> None:
    real = populations(tiny_network())
    shape = StudentShape(layers=2, hidden=16, intermediate=32, heads=2, tokens=16, bits=8, timesteps=8)

    def sizes(p: Population) -> Population:  # weights apart
        return replace(p, inputs=tuple(replace(i, bits=8, existing=0) for i in p.inputs))

    assert [sizes(p) for p in shape_populations(shape)] == [sizes(p) for p in real]


def test_a_resized_network_is_the_network_of_that_size() -> None:
    small = StudentShape(layers=2, hidden=24, intermediate=96, heads=4, tokens=12)
    large = replace(small, hidden=48, intermediate=192, tokens=20, bits=5)
    assert resized(shape_populations(small), {24: 48, 96: 192}, 20, 5) == shape_populations(large)


def test_remedies_fit_and_the_next_larger_value_does_not() -> None:
    shape = StudentShape(layers=1, hidden=64, heads=4, tokens=64)
    given, small = shape_populations(shape), board(cores=11)
    result = check_fit(given, small)
    assert not result["fits"]
    found = {r["change"]: r for r in result["remedies"]}
    assert set(found) >= {"seq_len", "hidden", "bits", "board"}
    length = found["seq_len"]["to"]
    assert check_fit(resized(given, tokens=length), small)["fits"]
    assert not check_fit(resized(given, tokens=length + 1), small)["fits"]
    hidden = found["hidden"]["to"]
    assert hidden % 4 == 0
    narrower = shape_populations(replace(shape, hidden=hidden))
    assert check_fit(narrower, small)["cores"] == found["hidden"]["cores"] <= 11
    assert not check_fit(shape_populations(replace(shape, hidden=hidden + 4)), small)["fits"]
    assert found["board"]["to"] == "oheo-gulch"


def test_bits_and_length_together_where_neither_helps_alone() -> None:
    given = shape_populations(StudentShape(layers=1, hidden=64, heads=4, tokens=64))
    small = board(cores=11, synaptic_memory=1400)  # 8-bit feed-forward weights need two cores, 64 tokens as well
    result = check_fit(given, small)
    found = {r["change"]: r for r in result["remedies"]}
    assert found["seq_len"]["to"] is None and found["bits"]["to"] is None
    bits, tokens = found["bits+seq_len"]["to"]
    assert (bits, tokens) == (4, 63)  # 256 x ceil((8 + 64 x 4) / 64) + 64 = 1,344 words; 63 x 64 = 4,032 neurons
    assert check_fit(resized(given, tokens=tokens, bits=bits), small)["fits"]
    assert not check_fit(resized(given, tokens=tokens + 1, bits=bits), small)["fits"]


def test_shapes_of_the_guide() -> None:
    """The default student, and SpikingBERT as published: the figures of docs/guide/fit.md."""
    default = shape_populations(StudentShape())
    assert sum(p.cores for p in partition(default, KAPOHO)) == 440
    assert sum(p.cores for p in partition(default, KAPOHO, "unrolled")) == 13_538
    assert sum(p.cores for p in partition(default, BOARDS["oheo-gulch"])) == 444
    published = shape_populations(StudentShape(layers=4, hidden=768, tokens=128))
    cores = {name: sum(p.cores for p in partition(published, BOARDS[name])) for name in ("kapoho-point", "hala-point")}
    assert cores == {"kapoho-point": 1086, "hala-point": 1086}
    assert math.ceil(1086 / BOARDS["hala-point"].cores_per_chip) == 9
    first = {p.population.name: p for p in partition(published, KAPOHO)}
    expected = {
        "query": 25, "key": 25, "value": 25, "score": 52, "context": 26, "attention_output": 25, "ffn_in": 98,
        "ffn_out": 50,
    }  # fmt: skip
    assert {name: first[f"layer.0.{name}"].cores for name in expected} == expected
    binding = {name: first[f"layer.0.{name}"].binding for name in expected}
    assert {name for name, b in binding.items() if b is not None and b.limit == "core_memory"} == {"ffn_out"}
    assert all(b is not None and b.limit in ("neuron_memory", "core_memory") for b in binding.values())


# --- boards and the command ------------------------------------------------------------------------------------------


def test_built_in_boards_name_a_source_for_every_limit() -> None:
    assert {name: b.chips for name, b in BOARDS.items()} == {"oheo-gulch": 1, "kapoho-point": 8, "hala-point": 1152}
    assert BOARDS["hala-point"].cores == 140_544  # as Intel announced it
    for built_in in BOARDS.values():
        assert set(built_in.limits) == set(RULES) | {"cores"}
        assert all(x.source and x.unit and x.certainty for x in built_in.limits.values())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "not JSON"),
        ("[]", "must be a JSON object"),
        ({"name": "b", "chips": 1, "cores": 3}, "must be a JSON object"),
        ({"name": "oheo-gulch", "chips": 1}, "'oheo-gulch'"),
        ({"name": "b"}, "chips.*None"),
        ({"name": "b", "chips": 0}, "chips.*0"),
        ({"name": "b", "chips": 1, "limits": {"synapses": {}}}, "limits.*synaptic_memory"),
        ({"name": "b", "chips": 1, "limits": {"neurons": 5}}, "value and source"),
        ({"name": "b", "chips": 1, "limits": {"neurons": {"value": 5}}}, "value and source"),
        ({"name": "b", "chips": 1, "limits": {"neurons": {"value": 5.5, "source": "x"}}}, "neurons.*5.5"),
    ],
)
def test_a_bad_board_file_is_refused_in_one_sentence(tmp_path: Path, content: Any, message: str) -> None:
    path = tmp_path / "board.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(UserError, match=message) as error:
        find_board(str(path))
    assert "\n" not in str(error.value)


def test_an_unknown_board_is_refused() -> None:
    with pytest.raises(UserError, match="'nahuku' is not known: choose oheo-gulch"):
        find_board("nahuku")


@pytest.fixture
def folder(network: Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    task = TaskSpec(kind="files", name="tiny", train_file="/data/train.csv", labels=["no", "yes"])
    whole = replace(network, task=task.to_dict(), tokenizer=Tokenizer(WordLevel()).to_str())
    write_network(whole, tmp_path / "model.net")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_command_on_a_file(folder: Path) -> None:
    outcome = spk2loihi("fit", "--json", "fit.json")
    assert outcome.code == 0, outcome.err
    assert outcome.err == ""
    numbers = json.loads((folder / "fit.json").read_text())
    assert {"board", "fits", "chips", "cores", "layers", "remedies"} <= set(numbers)
    for layer in numbers["layers"]:
        assert {"name", "neurons", "synapses", "cores", "binding_limit", "utilisation"} <= set(layer)
        assert layer["name"] in outcome.out
    assert numbers["fits"] and numbers["remedies"] == []
    assert numbers["cores"] == sum(layer["cores"] for layer in numbers["layers"]) == len(numbers["layers"])
    assert "model.net fits on kapoho-point: 19 of 1,024 cores, 1 of 8 chips" in outcome.out


def test_a_users_board_and_strict(folder: Path) -> None:
    limits = {"cores": {"value": 18, "source": "a thought"}}
    (folder / "mine.json").write_text(json.dumps({"name": "mine", "chips": 1, "limits": limits}))
    outcome = spk2loihi("fit", "--board", "mine.json", "--json", "fit.json")
    assert outcome.code == 0  # a result, not an error
    assert "does not fit on mine: 19 of 18 cores" in outcome.out
    numbers = json.loads((folder / "fit.json").read_text())
    assert not numbers["fits"]
    assert [limit["source"] for limit in numbers["limits"] if limit["name"] == "cores"] == ["a thought"]
    assert spk2loihi("fit", "--board", "mine.json", "--strict").code == 1
    assert spk2loihi("fit", "--strict").code == 0


def test_the_command_before_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    arguments = ["--preset", "spikingbert", "--layers", 2, "--hidden", 48, "--heads", 4, "--seq-len", 16, "--bits", 4]
    outcome = spk2loihi("fit", *arguments, "--json", "fit.json")
    assert outcome.code == 0, outcome.err
    numbers = json.loads((tmp_path / "fit.json").read_text())
    assert numbers["network"] is None
    assert {layer["weight_bits"] for layer in numbers["layers"] if layer["name"] == "layer.0.query"} == {4}
    assert "this student fits on kapoho-point" in outcome.out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["model.net", "--layers", "2"], "--layers.*model.net"),
        (["--board", "nahuku"], "nahuku"),
        (["--preset", "bert"], "bert"),
        (["--hidden", "50"], "50.*12"),
        (["--layers", "0"], "--layers is 0"),
        (["--bits", "9"], "9"),
        (["missing.net"], "missing.net does not exist"),
    ],
)
def test_errors_of_the_command(folder: Path, arguments: list[str], words: str) -> None:
    outcome = spk2loihi("fit", *arguments)
    assert outcome.code == 2
    assert len(outcome.err.splitlines()) == 1
    assert re.search(words, outcome.err), outcome.err
