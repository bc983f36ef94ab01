"""Recorded spikes of a few sentences, as a notebook wants them: arrays by population, rates, a raster plot."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from spk2loihi.choices import Encoding, Schedule
from spk2loihi.data import Encoded, collate
from spk2loihi.errors import UserError
from spk2loihi.network.network import Network
from spk2loihi.ranges import check_number
from spk2loihi.ranges import shown as as_text
from spk2loihi.simulators.backend import Backend
from spk2loihi.simulators.simulate import Prediction, pad_id, predict

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class SpikeRun:
    """What every neuron did.

    Attributes:
        texts, tokens: the sentences, and how the network's tokenizer cuts them.
        spikes: -1, 0 or 1 (payloads when graded) by population: (samples, steps, tokens, channels), or (samples, steps,
            heads, tokens, tokens) for attention scores. Populations of the [CLS] token alone have one token; padding
            is 0. Steps are the population's own: its window, or its part of a pipelined run.
        predictions: what the readout says of each sentence.
        timesteps: T; a rate is the sum of a neuron's spikes over T (over ``steps`` when pipelined).
        latency_steps: time steps of the whole run.
    """

    texts: list[str]
    tokens: list[list[str]]
    spikes: dict[str, NDArray[np.int8]]
    predictions: list[Prediction]
    backend: str
    schedule: Schedule
    encoding: Encoding
    timesteps: int
    steps: int
    latency_steps: int

    @property
    def window(self) -> int:
        """Steps a rate is taken over."""
        return self.steps if self.schedule == "pipelined" else self.timesteps

    def rates(self, population: str) -> NDArray[np.float64]:
        """Average spiking rates (ASR), shaped as the spikes without their steps."""
        return self._of(population).sum(1, dtype=np.int64) / self.window

    def plot_raster(self, population: str, sample: int = 0, neurons: int = 128) -> Figure:
        """Spikes of one sentence over time: a row a neuron, token by token, at most ``neurons`` of each token.

        Raises:
            UserError: there is no such population, or no such sample.
        """
        train = self._of(population)
        check_number("neurons", neurons)
        if isinstance(sample, bool) or not isinstance(sample, int) or not 0 <= sample < len(train):
            last = len(train) - 1
            raise UserError(f"`sample` is {as_text(sample)}, but the run has samples 0 to {last}: choose one of them")
        one = train[sample]  # (steps, tokens, channels), or (steps, heads, tokens, keys)
        if one.ndim == 4:
            one = one.transpose(0, 2, 1, 3).reshape(one.shape[0], one.shape[2], -1)
        tokens = self.tokens[sample][: one.shape[1]]
        shown = one[:, : len(tokens), :neurons]
        figure = _figure(figsize=(7, 1.2 + min(8.0, 0.35 * len(tokens) + 1)), layout="constrained")
        axes = figure.add_subplot()
        for value, colour in ((1, "#1f5fa8"), (-1, "#c0392b")):
            step, token, neuron = np.nonzero(np.sign(shown) == value)
            if len(step):
                axes.scatter(
                    step + 1, token + neuron / shown.shape[2], s=4, marker="|", color=colour, label=f"{value:+d}"
                )
        axes.set_yticks(np.arange(len(tokens)) + 0.5, tokens, parse_math=False)
        axes.set_ylim(len(tokens), 0)
        axes.set_xlim(0.5, len(shown) + 0.5)
        axes.set_xlabel(f"time step of {population} ({self.schedule})")
        for edge in range(1, len(tokens)):
            axes.axhline(edge, color="#dddddd", linewidth=0.6, zorder=0)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(loc="upper right", frameon=False, markerscale=2)
        return figure

    def _of(self, population: str) -> NDArray[np.int8]:
        if population not in self.spikes:
            raise UserError(f"population {population!r} is not in the run: choose one of {', '.join(self.spikes)}")
        return self.spikes[population]

    def to_dict(self) -> dict[str, Any]:
        """Everything but the spikes themselves: their number and mean rate by population."""
        counts = {name: int(np.abs(train.astype(np.int64)).sum()) for name, train in self.spikes.items()}
        return {
            "backend": self.backend,
            "schedule": self.schedule,
            "encoding": self.encoding,
            "timesteps": self.timesteps,
            "steps": self.steps,
            "latency_steps": self.latency_steps,
            "predictions": [prediction.to_dict() for prediction in self.predictions],
            "spikes": counts,
        }

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{html.escape(p.text)}</td><td><b>{html.escape(p.label)}</b></td></tr>" for p in self.predictions
        )
        spikes = sum(self.to_dict()["spikes"].values())
        return (
            f"<table>{rows}</table><p>{self.backend}, {self.schedule}, {self.encoding}: {spikes:,} spikes of "
            f"{len(self.spikes)} populations in {self.latency_steps:,} steps</p>"
        )


def _figure(**options: Any) -> Figure:
    """A figure that a notebook shows as it is, with or without ``%matplotlib inline``."""
    import io

    from matplotlib.figure import Figure

    class Shown(Figure):
        def _repr_png_(self) -> bytes:
            memory = io.BytesIO()
            self.savefig(memory, format="png", dpi=100)
            return memory.getvalue()

    return Shown(**options)


def record_spikes(backend: Backend, texts: Sequence[str], encoded: list[Encoded]) -> SpikeRun:
    """Run ``encoded`` sentences on ``backend`` in one batch and keep every spike."""
    network: Network = backend.network
    run = backend.run(collate(encoded, pad_id(network)), record=True)
    assert run.trains is not None
    tokenizer = Tokenizer.from_str(network.tokenizer)
    return SpikeRun(
        texts=list(texts),
        tokens=[[str(tokenizer.id_to_token(int(i))) for i in one.input_ids] for one in encoded],
        spikes={name: np.moveaxis(train, 0, 1) for name, train in run.trains.items()},
        predictions=predict(network, texts, run.logits, encoded),
        backend=backend.name,
        schedule=backend.timeline.schedule,
        encoding=backend.timeline.encoding,
        timesteps=network.timesteps,
        steps=run.steps,
        latency_steps=run.latency_steps,
    )
