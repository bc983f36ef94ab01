"""How a network is laid out in `model.net`: names, format version, checksums.

Stock netx keeps its own names under ``/layer/<i>``; everything else lies in sub-groups called ``spk2loihi``, which
stock loaders ignore. See docs/file-format.md.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from spk2loihi.network.network import Network

FORMAT = "spk2loihi-netx"
VERSION = 3
EXTENSION = "spk2loihi"  # name of the sub-group stock loaders ignore
#: Type of a convolution with feedback. netx has none: of its types only `dense_rec` has `weight_rec`, and a loader that
#: took this layer for a `conv` would drop the feedback without a word.
RECURRENT = "conv_rec"
CHECKSUM = "sha256"  # attribute of every dataset, and of the extension group for the list of them

#: The neuron every firing stage of a streamed network implements (`spk2loihi.network.requantise`).
STREAMED_RULES = {
    "reset": "forgets every step",
    "comparison": "sends weight * U >> shift, if it is within the limit",
    "initial_membrane": "0",
    "leak": "none",
}
#: The neuron every firing stage of any other network implements; simulators refuse a file that says anything else.
NEURON_RULES = {
    "reset": "subtract threshold",
    "comparison": "+1 if u >= threshold, -1 if u < 0 and signed",
    "initial_membrane": "threshold // 2",
    "leak": "none",
}


#: What of them is another in a leaky network (`spk2loihi.network.leak`); the decay is in the file.
LEAKY_RULE = (
    "before the drive of a step, what the membrane is above or below threshold // 2, and every sum over time, is "
    "multiplied by (4096 - decay) / 4096 and rounded towards 0"
)


def neuron_rules(streamed: bool, decay: int) -> dict[str, str]:
    """What a file says of its neurons."""
    if streamed:
        return STREAMED_RULES
    return {**NEURON_RULES, "leak": LEAKY_RULE} if decay else NEURON_RULES


def file_record(network: Network) -> dict[str, Any]:
    """Contents of ``/spk2loihi/meta``."""
    only = {"decay": network.decay} if network.decay else {}
    if network.defaults.steps is not None:
        only["steps"] = network.defaults.steps
    return {
        "format": FORMAT,
        "version": VERSION,
        "timesteps": network.timesteps,
        "max_tokens": network.max_tokens,
        "schedule": network.defaults.schedule,
        "encoding": network.defaults.encoding,
        "stagger": network.defaults.stagger,
        "weight_bits": network.weight_bits,
        "neuron": neuron_rules(network.streamed, network.decay),
        **only,
        "task": network.task,
        "config": network.config,
        "provenance": network.provenance,
    }


def array_digest(array: NDArray[Any]) -> str:
    """SHA-256 of an array's type, shape and values."""
    array = np.ascontiguousarray(array)
    digest = hashlib.sha256(f"{array.dtype.str}{array.shape}".encode())
    digest.update(array.data if array.size else b"")
    return digest.hexdigest()


def list_digest(digests: dict[str, str]) -> str:
    """SHA-256 over all dataset names and their digests: a missing or added dataset changes it."""
    return hashlib.sha256(json.dumps(digests, sort_keys=True).encode()).hexdigest()


def seal(file: h5py.File) -> str:
    """Put a checksum on every dataset; returns the digest of the list of them.

    Of fixed length: strings of variable length lie in a global heap, which libhdf5 walks without a limit.
    """
    digests: dict[str, str] = {}

    def visit(name: str, item: h5py.Dataset | h5py.Group) -> None:
        if isinstance(item, h5py.Dataset):
            digests[name] = array_digest(np.asarray(item[()]))
            item.attrs[CHECKSUM] = np.bytes_(digests[name])

    file.visititems(visit)
    return list_digest(digests)
