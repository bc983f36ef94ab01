"""A neuron process that is not Lava's own, for a test that it is found. Imported by that test alone: it needs Lava."""

from __future__ import annotations

import numpy as np
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.py.ports import PyInPort, PyOutPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol
from lava.proc.graded.models import AbstractGradedVecModel
from lava.proc.graded.process import GradedVec


class ForeignVec(GradedVec):
    """Lava's GradedVec under another name."""


@implements(proc=ForeignVec, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class ForeignVecModel(AbstractGradedVecModel):
    a_in = LavaPyType(PyInPort.VEC_DENSE, np.int32, precision=24)
    s_out = LavaPyType(PyOutPort.VEC_DENSE, np.int32, precision=24)
    vth: np.ndarray = LavaPyType(np.ndarray, np.int32, precision=24)
    v: np.ndarray = LavaPyType(np.ndarray, np.int32, precision=24)
    exp: np.ndarray = LavaPyType(np.ndarray, np.int32, precision=24)
