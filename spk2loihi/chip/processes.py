"""What is known of the stock processes on a real Loihi 2: grades of evidence, with their sources.

Grades: ``A`` the output of a run on the chip is public; ``C`` a docstring or a paper says that it runs there; ``-``
nothing of the kind was found. The sources are tutorials of lava-nc (tutorials/lava_va), whose notebooks were committed
with the outputs of runs on Loihi 2.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any, Literal

from spk2loihi.chip.process_graph import Graph

Grade = Literal["A", "C", "-"]

_DOT = "lava_va/Tutorial01-Fixed_point_dot_product.ipynb"
_PRODUCT = "lava_va/Tutorial02-Fixed_point_elementwise_product.ipynb"


@dataclass(frozen=True)
class Evidence:
    """What says that a process runs on the chip, and how it computes there.

    Attributes:
        arithmetic: of Lava's CPU model, and where the chip is known to differ.
    """

    grade: Grade
    evidence: str
    source: str
    arithmetic: str


EVIDENCE: dict[str, Evidence] = {
    "Dense": Evidence(
        "A",
        "15 integers computed on a Loihi 2",
        _DOT,
        "CPU: sum, then shift, rounding down; chip: each product shifted, half away from zero; the same from exponent 0",
    ),
    "Sparse": Evidence(
        "A",
        "elementwise products on a Loihi 2, through one-to-one Sparse synapses",
        _PRODUCT,
        "as Dense",
    ),
    "GradedVec": Evidence("A", "15 integers computed on a Loihi 2", _DOT, "sends v = a_in where |v| > vth"),
    "ProdNeuron": Evidence(
        "A", "15 products computed on a Loihi 2, with exp = 0", _PRODUCT, "sends a_in1 * a_in2 where beyond vth"
    ),
    "GradedReluVec": Evidence(
        "-", "none found: lava-nc ships the process and a CPU model", "lava/proc/graded/process.py", "sends v where v > vth"
    ),
    "RingBuffer": Evidence(
        "A", "replaced on a board by Lava's adapters (InputVec, OutputVec), which ran there", _DOT, "sends given messages"
    ),
}  # fmt: skip


def evidence(graph: Graph) -> list[dict[str, Any]]:
    """Kinds of process of a graph: ``kind``, how many (``count``), and what is known of them (`Evidence`)."""
    kinds = Counter([*(p.kind for p in graph.populations), *(c.kind for c in graph.connections)])
    return [{"kind": kind, "count": count, **asdict(EVIDENCE[kind])} for kind, count in sorted(kinds.items())]
