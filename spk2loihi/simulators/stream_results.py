"""What the sentences of a streamed run did, from what the populations of its graph sent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spk2loihi.chip import SentenceStream
from spk2loihi.network.run_config import Timeline
from spk2loihi.simulators.backend import Run


def stream_run(
    timeline: Timeline, stream: SentenceStream, sent: Mapping[str, NDArray[Any]], record: bool, every: bool = True
) -> Run:
    """
    Args:
        sent: messages of the stages' populations at least, (steps, neurons) each.
        record: they are part of the result, population by population and as trains.
        every: all populations are there.
    """
    network = timeline.network
    counts = {stage.name: stream.stage(stage, sent[stage.name]) for stage in network.stages if stage.fires}
    return Run(
        logits=stream.logits(sent[network.readout.name]),
        counts=counts,
        events={name: (n != 0).astype(np.int64) for name, n in counts.items()},
        trains={name: n.astype(np.int8)[None] for name, n in counts.items()} if record else None,
        steps=timeline.steps,
        latency_steps=timeline.latency_steps,
        populations=dict(sent) if record and every else None,
    )
