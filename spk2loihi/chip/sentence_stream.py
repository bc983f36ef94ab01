"""Sentences on the way through a graph: how they enter, one after another, and where their payloads are found.

The host computes the payloads of the embedding; the graph takes them, one token a step.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spk2loihi.chip.process_graph import PRESENCE, TOKENS, Graph
from spk2loihi.chip.synapse_patterns import DIGITS
from spk2loihi.data import TokenBatch
from spk2loihi.errors import UserError
from spk2loihi.network.network import Network, Stage
from spk2loihi.network.stream import stream_period


def host_payloads(network: Network, batch: TokenBatch) -> list[NDArray[np.int64]]:
    """Payloads of the embedding for each sentence, (tokens, channels) each."""
    tables, stage = network.embedding, network.input
    payloads = []
    for ids, types, length in zip(batch.input_ids, batch.token_type_ids, batch.lengths, strict=True):
        u = tables.word[ids[:length]] + tables.position[:length] + tables.token_type[types[:length]]  # (length, d)
        z = u if stage.soma is None else stage.soma(u)
        n = (z + stage.threshold // 2) // stage.threshold
        payloads.append(n.clip(-network.timesteps if stage.signed else 0, network.timesteps))
    return payloads


@dataclass(frozen=True)
class SentenceStream:
    """Sentences in the order they enter.

    Attributes:
        starts: step at which the first token of each enters, counted from 0, (B,).
        lengths: tokens of each, (B,).
        steps: until nothing of them is left in the graph, which then is as it was.
        sources: messages of the graph's sources, (steps, size) each.
    """

    graph: Graph
    starts: NDArray[np.int64]
    lengths: NDArray[np.int64]
    steps: int
    sources: dict[str, NDArray[np.int64]]

    @classmethod
    def of(cls, graph: Graph, payloads: list[NDArray[np.int64]]) -> SentenceStream:
        """
        Args:
            payloads: of the embedding, (tokens, channels) for each sentence.

        Raises:
            UserError: a sentence is longer than the graph has room for.
        """
        lengths = np.array([len(each) for each in payloads], dtype=np.int64)
        if lengths.max() > graph.slots:
            raise UserError(
                f"a sentence has {lengths.max()} tokens, but this network takes at most {graph.slots}: shorten it, or "
                "train with more `max_tokens`"
            )
        periods = [stream_period(int(n), graph.slots) for n in lengths]
        starts = np.cumsum([0, *periods[:-1]])
        steps = int(starts[-1] + lengths[-1] - 1) + graph.lasting
        tokens = np.zeros((steps, graph[TOKENS].size), np.int64)
        presence = np.zeros((steps, graph[PRESENCE].size), np.int64)
        for start, payload in zip(starts, payloads, strict=True):
            here = slice(start, start + len(payload))
            tokens[here] = payload
            presence[here, : len(DIGITS)] = DIGITS
            presence[start, len(DIGITS) :] = DIGITS
        return cls(graph, starts, lengths, steps, {TOKENS: tokens, PRESENCE: presence})

    def stage(self, stage: Stage, messages: NDArray[Any]) -> NDArray[np.int64]:
        """What a stage's population sent of each sentence, as a batch, padding 0.

        Args:
            messages: of the population, (steps, neurons).

        Returns:
            (B, L, channels), or (B, heads, L, L) for scores, query before key; L is 1 for first tokens.
        """
        width, delay = int(self.lengths.max()), self.graph[stage.name].delay
        rows = 1 if stage.tokens == "first" else width
        shape = (stage.channels, rows, width) if stage.is_scores else (rows, stage.channels)
        result: NDArray[np.int64] = np.zeros((len(self.starts), *shape), np.int64)
        for sentence, (start, length) in enumerate(zip(self.starts.tolist(), self.lengths.tolist(), strict=True)):
            there = 1 if stage.tokens == "first" else length
            sent = messages[start + delay : start + delay + there]  # (there, neurons)
            if not stage.is_scores:
                result[sentence, :there] = sent
                continue
            by_place = sent.reshape(there, -1, stage.channels)
            for query in range(there):
                keys = self.graph.slots - 1 + query - np.arange(length)  # place of each key
                result[sentence, :, query, :length] = by_place[query, keys].T
        return result

    def logits(self, messages: NDArray[Any]) -> NDArray[np.int64]:
        """What the readout sent of each sentence, (B, labels), from all its messages, (steps, labels)."""
        read: NDArray[np.int64] = messages[self.starts + self.graph[self.graph.readout].delay].astype(np.int64)
        return read
