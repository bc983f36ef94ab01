"""Time of the streamed schedule: when a stage sends the payload of a token, and how sentences follow one another.

One token a step enters the network. Every synapse takes one step, so each stage has a delay of its own: the payloads of
the token that entered at step ``t`` leave stage ``s`` at step ``t + delay[s]``. A stage takes three steps from its
sources: synapses to drive, drive to requantised value, value and outlier to payload. Keys and values move through
registers of ``2 slots - 1`` places, one place a step, and the query of a token waits until the key of every token that
a sentence of ``slots`` tokens can have after it is there. So all keys within ``slots - 1`` tokens on either side meet a
query, and sentences apart by that many silent steps do not see each other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

Tokens = TypeVar("Tokens", int, NDArray[np.int64])

if TYPE_CHECKING:
    from spk2loihi.network.network import Network, Stage

#: Steps from a source's payload to a stage's own: into the drive, requantised, through the range gate.
STAGE_STEPS = 3
#: One more where two payloads are multiplied first.
PRODUCT_STEPS = STAGE_STEPS + 1


def stream_delays(network: Network, slots: int) -> dict[str, int]:
    """Steps from the entry of a token to its payload, by stage; of the readout to its drive.

    Args:
        slots: tokens of the longest sentence the run has room for.
    """
    delays: dict[str, int] = {}
    queries = {stage.attention.left for stage in network.stages if stage.is_scores and stage.attention is not None}
    for stage in network.stages:
        if not stage.sources:
            delays[stage.name] = 1
        elif stage.attention is not None:
            delays[stage.name] = delays[stage.attention.left] + PRODUCT_STEPS
        else:
            source = delays[stage.synapses[0].source]  # a residual is held back until this source has come
            wait = slots if stage.name in queries else 0
            delays[stage.name] = source + wait + (STAGE_STEPS if stage.fires else 1)
    return delays


def presence_places(network: Network, slots: int) -> int:
    """Places of the line that says at every delay whether there is a token.

    The last to ask are the bias of the readout and, for keys ``slots - 1`` tokens ahead of a query, the last scores.
    """
    delays = stream_delays(network, slots)
    queries = [delays[stage.sources[0]] for stage in network.stages if stage.is_scores]
    return max(delays[network.readout.name] - 1, *(delay + slots - 1 for delay in queries))


def residual_places(network: Network, slots: int, stage: Stage, source: str) -> int:
    """Places of the line in which a residual waits for the other drive of ``stage``.

    The input of a layer has waited for the keys before.
    """
    delays = stream_delays(network, slots)
    queries = {score.sources[0] for score in network.stages if score.is_scores}
    waited = any(network[query].sources[0] == source for query in queries)
    drive = delays[stage.name] - (STAGE_STEPS - 1)
    return drive - 1 - delays[source] - (slots if waited else 0)


def stream_period(tokens: Tokens, slots: int) -> Tokens:
    """Steps from the first token of a sentence of ``tokens`` tokens to that of the next; or of several."""
    return tokens + slots - 1
