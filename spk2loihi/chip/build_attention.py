"""Attention of stock processes: keys and values move past the queries, and products are formed where they meet.

When the query of token t is there, place p of the key register holds the key of token ``t + slots - 1 - p``. Four steps
later, when the scores of that query are there, place ``p + 4`` of the value register holds the value of that token.
Products of tokens that do not exist are 0, since their payloads are.
"""

from __future__ import annotations

import numpy as np

from spk2loihi.chip.graph_builder import GraphBuilder
from spk2loihi.chip.process_graph import SparseWeight
from spk2loihi.chip.synapse_patterns import DIGITS, into_first, one_to_one, sparse
from spk2loihi.network.network import Stage
from spk2loihi.network.stream import PRODUCT_STEPS


def build_scores(builder: GraphBuilder, stage: Stage) -> None:
    """``U[h, p] = sum_c q[h, c] k[p, h, c] + bias[h]``; neuron ``p * heads + h``.

    A place of the products has a neuron for each channel, and three in which the presence of the query token, in
    digits, meets that of the key token: the bias of a pair.
    """
    query, key = stage.sources
    channels, places, delay = builder.network[key].channels, _places(builder), builder.delays[query] + 1
    register = _register(builder, key, places)
    products, width = f"{stage.name}.product", channels + len(DIGITS)
    size = places * width
    builder.population(products, "ProdNeuron", size, delay)
    at = np.arange(places)[:, None] * width  # of each place
    c, digit = np.arange(channels), np.arange(len(DIGITS))
    builder.connect(query, products, sparse(at + c, c, 1, (size, channels)), port="a_in1")
    presence = builder.presence
    first = stage.tokens == "first"
    queries = sparse(at + channels + digit, presence.channel(delay - 1, first) + digit, 1, (size, presence.size))
    builder.connect(presence.name, products, queries, port="a_in1")
    held = sparse(at + c, np.arange(places)[:, None] * channels + c, 1, (size, places * channels))
    builder.connect(register, products, held, port="a_in2")
    ahead = [presence.channel(delay - builder.slots + p, first=False) for p in range(places)]
    keys = sparse(at + channels + digit, np.array(ahead)[:, None], 1, (size, presence.size))
    builder.connect(presence.name, products, keys, port="a_in2")

    heads = stage.heads
    drive = builder.drive(stage, places * heads, delay + 1)
    row = np.arange(places)[:, None] * heads
    ones = sparse(row + c // (channels // heads), at + c, 1, (places * heads, size))
    builder.connect(products, drive, ones)
    weight = builder.bias_digits(stage)  # (heads, 3)
    if weight.any():
        rows, columns = row[:, :, None] + np.arange(heads)[:, None], at[:, :, None] + channels + digit
        biases = sparse(rows, columns, weight, (places * heads, size))
        builder.connect(products, drive, biases, "MIXED", what="bias")
    builder.requantise(stage, drive, places)


def build_context(builder: GraphBuilder, stage: Stage) -> None:
    """``U[h, c] = sum_p P[p, h] v[p, h, c]``."""
    score, value = stage.sources
    channels, places, delay = stage.channels, _places(builder), builder.delays[score] + 1
    register = _register(builder, value, places + PRODUCT_STEPS)
    products, size = f"{stage.name}.product", places * channels
    builder.population(products, "ProdNeuron", size, delay)
    at, c = np.arange(places)[:, None], np.arange(channels)
    spread = sparse(
        at * channels + c, at * stage.heads + c // (channels // stage.heads), 1, (size, places * stage.heads)
    )
    builder.connect(score, products, spread, port="a_in1")
    held = one_to_one(np.ones(channels), places, first=PRODUCT_STEPS, of=places + PRODUCT_STEPS)
    builder.connect(register, products, held, port="a_in2")
    drive = builder.drive(stage, channels, delay + 1)
    builder.connect(products, drive, _summed(channels, places))
    builder.bias(stage, drive, delay + 1)
    builder.requantise(stage, drive)


def _places(builder: GraphBuilder) -> int:
    """Of keys that a query can meet: as far ahead as behind."""
    return 2 * builder.slots - 1


def _register(builder: GraphBuilder, source: str, places: int) -> str:
    """A line whose every place is read."""
    name, width = f"{source}.register", builder.network[source].channels
    builder.line(name, width, places, builder.delays[source] + 1)
    builder.connect(source, name, into_first(width, places))
    return name


def _summed(width: int, places: int) -> SparseWeight:
    """All places of a population to one."""
    i = np.arange(places * width)
    return sparse(i % width, i, 1, (width, places * width))
