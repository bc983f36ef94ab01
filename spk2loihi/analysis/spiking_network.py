"""An exported network as a program or a notebook holds it: classify, run, look inside."""

from __future__ import annotations

import html
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spk2loihi.choices import BackendName

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from spk2loihi.analysis.spike_run import SpikeRun
    from spk2loihi.network import Network, RunConfig
    from spk2loihi.network.run_config import RunOptions
    from spk2loihi.simulators import Backend
    from spk2loihi.simulators.simulate import Prediction

StrPath = str | os.PathLike[str]


class SpikingNetwork:
    """An exported network, ready to run.

    Attributes:
        network: its integers (`spk2loihi.network.Network`).
        path: the file it is in; None if it was never written.
    """

    def __init__(self, network: Network, path: Path | None = None) -> None:
        self.network = network
        self.path = path
        self._emulators: dict[tuple[str, RunConfig], Backend] = {}

    @property
    def labels(self) -> list[str]:
        """Names of the classes, or of the value that is predicted."""
        return list(self.network.task["labels"])

    @property
    def populations(self) -> list[str]:
        """Names of the populations that fire, in pipeline order."""
        return [stage.name for stage in self.network.stages if stage.fires]

    @cached_property
    def sha256(self) -> str | None:
        """Checksum of the file."""
        from spk2loihi.files import sha256

        return None if self.path is None else sha256(self.path)

    def classify(
        self, texts: str | Sequence[str], *, backend: BackendName = "emulator", **how: Unpack[RunOptions]
    ) -> list[Prediction]:
        """Labels and logits of sentences; a text longer than the network's limit is refused.

        ``how`` changes the network's own way to run: schedule, encoding, timesteps, stagger, arithmetic.
        """
        from spk2loihi.simulators import simulate_texts

        with self.backend(backend, **how) as made:
            return simulate_texts(made, _each(texts)).predictions

    def run(
        self, texts: str | Sequence[str], *, backend: BackendName = "emulator", **how: Unpack[RunOptions]
    ) -> SpikeRun:
        """Run sentences in one batch and keep every spike of every population.

        ``how`` changes the network's own way to run: schedule, encoding, timesteps, stagger, arithmetic.
        """
        from spk2loihi.analysis.spike_run import record_spikes
        from spk2loihi.data import Examples
        from spk2loihi.simulators import encode

        sentences = _each(texts)
        encoded, _ = encode(self.network, Examples(sentences, None, [0] * len(sentences)), refuse_long=True)
        with self.backend(backend, **how) as made:
            return record_spikes(made, sentences, encoded)

    @contextmanager
    def backend(self, name: str, **how: Unpack[RunOptions]) -> Iterator[Backend]:
        """The backend called ``name``. Emulators are kept for the next call; Lava's processes end with the context."""
        from spk2loihi.simulators import create_backend

        config = self.network.run_config(**how)
        made = self._emulators.get((name, config)) or create_backend(name, self.network, config)
        if name in ("emulator", "stepped"):
            self._emulators[name, config] = made
        try:
            yield made
        finally:
            made.close()

    def save(self, path: StrPath) -> SpikingNetwork:
        """Write a network file; returns the network with its new path."""
        from spk2loihi.network import write_network

        write_network(self.network, Path(path))
        return SpikingNetwork(self.network, Path(path))

    def to_dict(self) -> dict[str, Any]:
        """Shapes, bits, thresholds and scales of every stage: the numbers of ``inspect --json``."""
        from spk2loihi.analysis.inspect_network import inspect_network

        return {"network": None if self.path is None else str(self.path), **inspect_network(self.network)}

    def __repr__(self) -> str:
        n = self.network
        return (
            f"<SpikingNetwork {self.path or 'in memory'}: {len(n.stages)} stages, {n.synapses:,} synapses per token, "
            f"T = {n.timesteps}, {n.weight_bits:g}-bit weights, {', '.join(self.labels)}>"
        )

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{html.escape(row['name'])}</td><td>{row['neurons']}</td><td>{row['synapses']:,}</td>"
            f"<td>{html.escape(row['soma'] or '')}</td></tr>"
            for row in self.to_dict()["layers"]
        )
        head = "<tr><th>stage</th><th>neurons</th><th>synapses</th><th>soma function</th></tr>"
        return f"<p>{html.escape(repr(self)[1:-1])}</p><table>{head}{rows}</table>"


def _each(texts: str | Sequence[str]) -> list[str]:
    return [texts] if isinstance(texts, str) else list(texts)
