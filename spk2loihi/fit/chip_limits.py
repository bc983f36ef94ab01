"""Limits of a Loihi 2 neurocore, chip and board: each named once, with unit, source and how sure it is.

Intel publishes no complete table. Three kinds of knowledge are kept apart:

* ``documented``: stated by Intel in a publication.
* ``inferred``: not stated, but recovered from output of Intel's compiler published in lava-dl's tutorials
  (tutorials/lava/lib/dl/netx: mnist/run.ipynb, yolo_kp/run.ipynb, pilotnet_*/benchmark.ipynb, oxford/run.ipynb). The
  tables there give the share of every memory each core uses; the constants below reproduce them (tests/fit/).
* ``assumed``: an upper bound of this project where nothing is known.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Certainty = Literal["documented", "inferred", "assumed"]

_BRIEF = "Intel, Taking Neuromorphic Computing to the Next Level with Loihi 2, technology brief, 2021"
_TABLES = "compiler tables of lava-dl's netx tutorials mnist and yolo_kp"
_OHEO_LOG = "compiler log of lava-dl's netx tutorial pilotnet_sdnn on partition oheogulch (SynMem register limit)"
_HALA_POINT = "Intel, Hala Point announcement, April 2024: 1,152 chips and 140,544 neurocores"


@dataclass(frozen=True)
class Limit:
    """One limit of the chip. ``value`` is the largest allowed, in ``unit``."""

    name: str
    value: int
    unit: str
    source: str
    certainty: Certainty


#: Bits of a word of neurocore memory. Inferred: synaptic memory of every dense layer in the published tables is a whole
#: number of 64-bit words a synapse list.
WORD_BITS = 64
#: Bits of a synapse list that hold no synapse. Inferred: the published tables leave 2 to 8; the upper end is taken.
LIST_HEADER_BITS = 8
#: Bits of the target index of a synapse in the sparse encoding. Inferred from the same tables (Lava's Dense process).
SPARSE_INDEX_BITS = 12

NEURONS = Limit("neurons", 8192, "neurons a core", f"{_BRIEF}: 1 million neurons over 128 cores", "documented")
NEURON_MEMORY = Limit("neuron_memory", 4095, "64-bit words a core", _TABLES, "inferred")
WEIGHT_WIDTH = Limit(
    "weight_width", 8, "bits a weight", "lava.lib.dl.netx.utils.optimize_weight_bits, for Loihi's synapse", "documented"
)
SYNAPTIC_MEMORY = Limit("synaptic_memory", 16_000, "64-bit words a core", _TABLES, "inferred")
SYNAPTIC_MEMORY_OHEO_GULCH = Limit("synaptic_memory", 12_000, "64-bit words a core", _OHEO_LOG, "inferred")
FAN_IN = Limit(
    "fan_in", 16_000, "synapses onto a neuron", f"{_TABLES}: every synapse of a neuron lies in its own core", "inferred"
)
FAN_IN_OHEO_GULCH = Limit("fan_in", 12_000, "synapses onto a neuron", _OHEO_LOG, "inferred")
AXONS_IN = Limit("axons_in", 16_000, "64-bit words a core", _TABLES, "inferred")
AXONS_OUT = Limit("axons_out", 16_000, "64-bit words a core", _TABLES, "inferred")
#: Routes a source keeps, one word for each of its addresses and each core that address reaches: never less than the
#: published tables show.
ROUTES = Limit("routes", 16_000, "64-bit words a core", f"{_TABLES}; one word a route is assumed", "assumed")
#: Everything above shares one memory. The brief names 192 KB a core; the tables' totals are shares of 20,000 words.
CORE_MEMORY = Limit("core_memory", 20_000, "64-bit words a core", _TABLES, "inferred")

CORES = Limit("cores", 128, "neurocores a chip", _BRIEF, "documented")
CORES_HALA_POINT = Limit("cores", 122, "neurocores a chip", _HALA_POINT, "documented")
