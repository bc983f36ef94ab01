"""What is known of each stock process on a real Loihi 2: grades of evidence, with their sources.

Nobody here has a chip. A grade says what others have shown in public; it is no promise.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Literal

from spk2loihi.chip.process_graph import Graph

Grade = Literal["A", "C", "-"]

GRADES: dict[Grade, str] = {
    "A": "an output or a test of a run on a Loihi 2 is public",
    "C": "a docstring or a paper says that it runs there",
    "-": "nothing found",
}


@dataclass(frozen=True)
class Evidence:
    """Of one kind of process.

    Attributes:
        process: class of lava-nc.
        shown: what has been shown, or said.
        source: where: files and tutorials of lava-nc.
        arithmetic: of Lava's CPU model, as read in lava-nc 0.10.
        differs: how the chip differs from it; empty where nothing is known to.
    """

    process: str
    grade: Grade
    shown: str
    source: str
    arithmetic: str
    differs: str = ""

    def to_dict(self) -> dict[str, str]:
        return {
            "process": self.process,
            "grade": self.grade,
            "shown": self.shown,
            "source": self.source,
            "arithmetic": self.arithmetic,
            "differs": self.differs,
        }


_DOT_PRODUCT = "tutorials/lava_va/Tutorial01-Fixed_point_dot_product.ipynb"
_PRODUCTS = "tutorials/lava_va/Tutorial02-Fixed_point_elementwise_product.ipynb"
_ROUNDING = (
    "products with a weight_exp below 0 are shifted one by one, half away from zero, before they are summed "
    "(arithmetic `chip`)"
)

#: By what a graph calls them; `input` and `output` are on the board alone.
EVIDENCE: dict[str, Evidence] = {
    "Dense": Evidence(
        "lava.proc.dense.process.Dense",
        "A",
        "graded messages of up to 24 bits: 15 integers of a Loihi 2",
        _DOT_PRODUCT,
        "weights truncated to 8 bits, even where signs are mixed; sum, then one shift that rounds down; one step",
        _ROUNDING,
    ),
    "Sparse": Evidence(
        "lava.proc.sparse.process.Sparse",
        "A",
        "one-to-one, with weight_exp -7, in an element-wise product: 5 integers of a Loihi 2",
        _PRODUCTS,
        "as Dense",
        _ROUNDING,
    ),
    "GradedVec": Evidence(
        "lava.proc.graded.process.GradedVec",
        "A",
        "sends what it gets: 15 integers of a Loihi 2",
        _DOT_PRODUCT,
        "v = a_in; sends v where |v| > vth; keeps nothing",
    ),
    "GradedReluVec": Evidence(
        "lava.proc.graded.process.GradedReluVec",
        "-",
        "its CPU model alone",
        "lava/proc/graded/models.py",
        "v = a_in; sends v where v > vth; keeps nothing",
    ),
    "ProdNeuron": Evidence(
        "lava.proc.prodneuron.process.ProdNeuron",
        "A",
        "products of two inputs of one step, with exp 0: 10 integers of a Loihi 2",
        _PRODUCTS,
        "v = a_in1 a_in2 >> exp; sends v where |v| > vth",
    ),
    "input": Evidence(
        "lava.proc.embedded_io.spike.PyToNxAdapter",
        "A",
        "messages of 16 to 32 bits from the host to the chip",
        "lava/networks/gradedvecnetwork.py, InputVec; " + _DOT_PRODUCT,
        "passes on; part of lava-loihi",
    ),
    "output": Evidence(
        "lava.proc.embedded_io.spike.NxToPyAdapter",
        "A",
        "messages of 16 to 32 bits from the chip to the host",
        "lava/networks/gradedvecnetwork.py, OutputVec; " + _DOT_PRODUCT,
        "passes on; part of lava-loihi",
    ),
}


def evidence_of(graph: Graph) -> list[tuple[Evidence, int]]:
    """The kinds of processes a graph is made of on a board, worst grade first, and how many of each."""
    kinds: list[str] = [population.kind for population in graph.populations if population.kind != "RingBuffer"]
    counts = Counter(kinds + [connection.kind for connection in graph.connections])
    counts["input"], counts["output"] = len(graph.sources), 1
    worst = list(GRADES)[::-1]
    found = [(EVIDENCE[kind], count) for kind, count in counts.items()]
    return sorted(found, key=lambda each: (worst.index(each[0].grade), each[0].process))


def graded_processes() -> str:
    """One line: the processes of a streamed network by grade."""
    parts = []
    for grade, meaning in GRADES.items():
        named = [each.process.rsplit(".", 1)[-1] for each in EVIDENCE.values() if each.grade == grade]
        if named:
            parts.append(f"{grade} ({meaning}): {', '.join(named)}")
    return "; ".join(parts)
