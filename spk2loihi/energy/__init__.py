"""Energy and time estimates: counts times published prices, always beside the ANN and the teacher, like with like."""

from spk2loihi.energy.ann_memory import BATCHES, AnnWork, Traffic, traffic
from spk2loihi.energy.coefficient_registry import (
    BUILTIN_SETS,
    HOROWITZ_FP32,
    HOROWITZ_INT8,
    HOROWITZ_MEMORY,
    LOIHI1,
    LOIHI2_BOUND,
    coefficient_path,
    load_coefficients,
)
from spk2loihi.energy.coefficients import Coefficient, CoefficientSet
from spk2loihi.energy.comparison import Priced, price_network, ratio
from spk2loihi.energy.energy_report import build_report
from spk2loihi.energy.estimate import (
    Energy,
    ann_energy_pj,
    network_energy,
    not_included,
    stage_energy,
    t_times_density,
)
from spk2loihi.energy.pilotnet_bound import Derivation, derive_pilotnet_bound
from spk2loihi.energy.step_time import Steps, estimate_time
from spk2loihi.energy.telling import pointer

__all__ = [
    "BATCHES",
    "BUILTIN_SETS",
    "HOROWITZ_FP32",
    "HOROWITZ_INT8",
    "HOROWITZ_MEMORY",
    "LOIHI1",
    "LOIHI2_BOUND",
    "AnnWork",
    "Coefficient",
    "CoefficientSet",
    "Derivation",
    "Energy",
    "Priced",
    "Steps",
    "Traffic",
    "ann_energy_pj",
    "build_report",
    "coefficient_path",
    "derive_pilotnet_bound",
    "estimate_time",
    "load_coefficients",
    "network_energy",
    "not_included",
    "pointer",
    "price_network",
    "ratio",
    "stage_energy",
    "t_times_density",
    "traffic",
]
