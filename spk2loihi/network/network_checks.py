"""Whether a network in memory is one that `read_network` takes: what is exported must be readable."""

from __future__ import annotations

from pathlib import Path

from spk2loihi.errors import UserError, first_line
from spk2loihi.network.file_meta import FileMeta, Provenance, StageMeta, checked
from spk2loihi.network.network import Network
from spk2loihi.network.reader import _check_values, _check_wiring


def check_network(network: Network, what: str) -> Network:
    """The network, if its file could be read.

    Args:
        what: it comes from, for the error.

    Raises:
        UserError: it could not; says why.
    """
    head = {
        "timesteps": network.timesteps,
        "max_tokens": network.max_tokens,
        "schedule": network.defaults.schedule,
        "encoding": network.defaults.encoding,
        "stagger": network.defaults.stagger,
        "weight_bits": network.weight_bits,
        "task": network.task,
        "config": network.config,
        "provenance": network.provenance,
    }
    try:
        checked(network.provenance, Provenance, "provenance")
        checked(head, FileMeta, "metadata")
        for stage in network.stages:
            checked(stage.to_dict(), StageMeta, stage.name)
        _check_wiring(network, Path(what))
        _check_values(network)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError) as error:
        raise UserError(f"{what} makes a network that cannot be run ({first_line(error)}): train it again") from None
    return network
