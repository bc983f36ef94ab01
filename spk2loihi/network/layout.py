"""How a network lies in `model.net`: names, format version, and the JSON that netx has no words for.

Stock netx keeps its own names under ``/layer/<i>``; everything else lies in sub-groups called ``spk2loihi``, which
stock loaders ignore. See docs/file-format.md.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np

from spk2loihi.network.network import Stage
from spk2loihi.network.soma import Gelu, HeadAffine, LayerNorm, Multiplier, Scale, Softmax, Soma

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


def soma_to_dict(soma: Soma | None) -> dict[str, Any] | None:
    if soma is None:
        return None
    if isinstance(soma, LayerNorm):
        return {"kind": soma.kind, "gamma": soma.gamma.tolist(), "beta": soma.beta.tolist()}
    if isinstance(soma, HeadAffine):
        return {"kind": soma.kind, "weight": soma.weight.tolist(), "bias": soma.bias.tolist()}
    if isinstance(soma, Gelu):
        return {
            "kind": soma.kind,
            "scale": asdict(soma.scale),
            "gain": asdict(soma.gain),
            "exponent": soma.exponent.tolist(),
        }
    return {"kind": soma.kind, **asdict(soma)}


def soma_from_dict(record: dict[str, Any] | None) -> Soma | None:
    """Raises KeyError, TypeError or ValueError for anything `soma_to_dict` does not write."""
    if record is None:
        return None
    kind = record["kind"]
    if kind == LayerNorm.kind:
        return LayerNorm(np.array(record["gamma"], dtype=np.int64), np.array(record["beta"], dtype=np.int64))
    if kind == HeadAffine.kind:
        return HeadAffine(np.array(record["weight"], dtype=np.int64), np.array(record["bias"], dtype=np.int64))
    if kind == Scale.kind:
        return Scale(int(record["exponent"]))
    if kind not in (Softmax.kind, Gelu.kind):
        raise ValueError(f"unknown soma function {kind!r}")
    scale, gain = Multiplier(**record["scale"]), Multiplier(**record["gain"])
    return Softmax(scale, gain) if kind == Softmax.kind else Gelu(scale, gain, np.array(record["exponent"], np.int64))


def stage_to_dict(stage: Stage) -> dict[str, Any]:
    """Everything of a stage but its arrays."""
    return {
        "name": stage.name,
        "depth": stage.depth,
        "channels": stage.channels,
        "threshold": stage.threshold,
        "heads": stage.heads,
        "signed": stage.signed,
        "tokens": stage.tokens,
        "fires": stage.fires,
        "unit": stage.unit,
        "unit_exponent": None if stage.unit_exponent is None else stage.unit_exponent.tolist(),
        "soma": soma_to_dict(stage.soma),
        "attention": None if stage.attention is None else asdict(stage.attention),
        "groups": [
            {"source": g.source, "exponent": g.exponent.tolist(), "delay": g.delay, "one_to_one": g.one_to_one}
            for g in stage.synapses
        ],
    }
