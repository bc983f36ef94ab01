"""How a network is laid out in `model.net`: names, format version, checksums.

Stock netx keeps its own names under ``/layer/<i>``; everything else lies in sub-groups called ``spk2loihi``, which
stock loaders ignore. See docs/file-format.md.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

FORMAT = "spk2loihi-netx"
VERSION = 3
EXTENSION = "spk2loihi"  # name of the sub-group stock loaders ignore
CHECKSUM = "sha256"  # attribute of every dataset, and of the extension group for the list of them

#: The neuron every firing stage implements; simulators refuse a file that says anything else.
NEURON_RULES = {
    "reset": "subtract threshold",
    "comparison": "+1 if u >= threshold, -1 if u < 0 and signed",
    "initial_membrane": "threshold // 2",
    "leak": "none",
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
