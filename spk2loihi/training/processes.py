"""Many processes that train as one: devices, shares of a batch, averages. `accelerate launch` starts them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator, DistributedDataParallelKwargs, PartialState
from accelerate.state import AcceleratorState
from accelerate.utils import reduce
from numpy.typing import NDArray
from torch import Tensor

from spk2loihi.choices import PRECISIONS
from spk2loihi.errors import UserError
from spk2loihi.processor import has_bfloat16_products, has_byte_products


def chosen_precision(precision: str) -> str:
    """What ``auto`` is here: bf16 where that leaves every spike of the forward pass as it is, on processors with
    instructions for bytes and for bfloat16 (`spk2loihi.models.count_product`); else no."""
    if precision != "auto":
        return precision
    return "bf16" if not torch.cuda.is_available() and has_byte_products() and has_bfloat16_products() else "no"


def precision_notes(precision: str) -> list[str]:
    """What a user should know about a precision that was asked for, as lines."""
    if precision != "bf16" or torch.cuda.is_available() or has_bfloat16_products():
        return []
    return [
        "precision bf16: this processor has no instructions for it, so products take tens of times as long, and drives "
        "are rounded: choose auto or no"
    ]


@contextmanager
def accelerator(precision: str, log_with: str | None = None, logs: Path | None = None) -> Iterator[Accelerator]:
    """The user's GPUs where there are some, else the CPU, alone or in the process group of `accelerate launch`.

    Args:
        log_with, logs: a tracker, and the folder of one that writes files.

    Raises:
        UserError: the device has no arithmetic of that precision.
    """
    cuda, precision = torch.cuda.is_available(), chosen_precision(precision)
    if precision not in PRECISIONS:
        raise UserError(f"precision {precision!r} is not known: choose one of {', '.join(PRECISIONS)}")
    if precision == "fp16" and not cuda:
        raise UserError("precision is fp16, but there is no CUDA device, and a CPU trains in bf16 or fp32: use bf16")
    if precision == "bf16" and cuda and not torch.cuda.is_bf16_supported():
        raise UserError("precision is bf16, but this GPU has no bfloat16 arithmetic: use `precision` fp16")
    AcceleratorState._reset_state()  # it keeps the first precision a process asks for, and refuses another
    # A stage may leave parameters out (a frozen table, a replaced LayerNorm): they have no gradient to wait for.
    unused = DistributedDataParallelKwargs(find_unused_parameters=True)
    made = Accelerator(
        cpu=not cuda, mixed_precision=precision, kwargs_handlers=[unused], log_with=log_with, project_dir=logs
    )
    try:
        yield made
    finally:
        made.end_training()


def is_main_process() -> bool:
    """Whether this process is the one that writes and prints."""
    return bool(PartialState().is_main_process)


def share(index: NDArray[np.int64], process: int, processes: int) -> NDArray[np.int64]:
    """The rows of a batch that one of several processes takes, equally many each.

    Where they do not divide, every row is repeated until they do, so that means over the whole batch stay what they
    were.
    """
    copies = processes // math.gcd(len(index), processes)
    return np.tile(index, copies)[process::processes]


def process_sum(value: Tensor) -> Tensor:
    """Sum of ``value`` over all processes, without a gradient; in a single process ``value`` itself."""
    total: Tensor = reduce(value.detach(), "sum") if _several() else value
    return total


def process_mean(value: Tensor) -> Tensor:
    """Mean of ``value`` over all processes, without a gradient; in a single process ``value`` itself.

    A sum over a process's rows, divided by this mean of the processes' counts, averages over processes to the mean over
    the rows of all.
    """
    mean: Tensor = reduce(value.detach(), "mean") if _several() else value
    return mean


@dataclass(frozen=True)
class Batch:
    """What one process takes in a step: whole, or in parts of equally many rows, one after the other.

    Attributes:
        mask: 1 at tokens, 0 at padding, (B, L).
        labels: of its rows.
        parts: whose losses are averaged.
    """

    mask: Tensor
    labels: Tensor
    parts: int = 1

    def mean(self, count: Tensor) -> Tensor:
        """``count``, of the whole batch, as a mean over parts and processes: what a sum over a part divides by."""
        return process_mean(count) if self.parts == 1 else process_mean(count) / self.parts


def _several() -> bool:
    return torch.distributed.is_available() and torch.distributed.is_initialized()
