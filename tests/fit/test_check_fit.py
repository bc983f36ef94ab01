"""What a check says beside cores: operations of the host, and remedies that fit."""

from __future__ import annotations

from dataclasses import replace

from spk2loihi.fit import check_fit, populations
from spk2loihi.fit.population import resized
from spk2loihi.fit.student_shape import StudentShape, shape_populations
from spk2loihi.network.network import Network
from support.fit_layers import KAPOHO, board


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
    assert hidden % 32 == 0  # 4 heads of a multiple of 8
    narrower = shape_populations(replace(shape, hidden=hidden))
    assert check_fit(narrower, small)["cores"] == found["hidden"]["cores"] <= 11
    assert not check_fit(shape_populations(replace(shape, hidden=hidden + 32)), small)["fits"]
    assert found["board"]["to"] == "oheo-gulch"


def test_bits_and_length_together_where_neither_helps_alone() -> None:
    given = shape_populations(StudentShape(layers=1, hidden=64, heads=4, tokens=64))
    small = board(cores=11, synaptic_memory=1400)  # 8-bit feed-forward weights need two cores, 64 tokens as well
    result = check_fit(given, small)
    found = {r["change"]: r for r in result["remedies"]}
    assert found["seq_len"]["to"] is None and found["bits"]["to"] is None
    bits, tokens = found["bits+seq_len"]["to"]
    # 256 x ceil((8 + 64 x 4) / 64) + 64 = 1,344 words; 32 x 64 = 2,048 neurons, and more tokens take the room of 64
    assert (bits, tokens) == (4, 32)
    assert check_fit(resized(given, tokens=tokens, bits=bits), small)["fits"]
    assert not check_fit(resized(given, tokens=tokens + 1, bits=bits), small)["fits"]
