"""Energy estimates: counts times published coefficients, always beside the ANN and the teacher."""

from spk2loihi.energy.coefficient_registry import (
    BUILTIN_SETS,
    HOROWITZ_FP32,
    HOROWITZ_INT8,
    LOIHI1,
    coefficient_path,
    load_coefficients,
)
from spk2loihi.energy.coefficients import Coefficient, CoefficientSet
from spk2loihi.energy.energy_report import build_report
from spk2loihi.energy.estimate import (
    Energy,
    ann_energy_pj,
    break_even_t_times_density,
    network_energy,
    not_included,
    stage_energy,
    t_times_density,
)

__all__ = [
    "BUILTIN_SETS",
    "HOROWITZ_FP32",
    "HOROWITZ_INT8",
    "LOIHI1",
    "Coefficient",
    "CoefficientSet",
    "Energy",
    "ann_energy_pj",
    "break_even_t_times_density",
    "build_report",
    "coefficient_path",
    "load_coefficients",
    "network_energy",
    "not_included",
    "stage_energy",
    "t_times_density",
]
