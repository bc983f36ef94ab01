"""What a run was made of, for `metrics.json`: enough to tell two runs apart, and to repeat one."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from typing import Any

import torch
from accelerate import Accelerator

from spk2loihi.data import TaskSpec
from spk2loihi.training.settings import TrainSettings
from spk2loihi.training.teacher import Teacher

#: Settings that name files whose content is compared instead, or that do not decide the weights.
_NOT_COMPARED = ("teacher", "student", "corpus", "checkpoint_every")


def teacher_digest(teacher: Teacher, fine_tuned: bool) -> str:
    """SHA-256 over a teacher's weights and tokenizer, without the classifier it has yet to learn."""
    model = teacher.model if fine_tuned else teacher.model.base_model
    digest = hashlib.sha256(teacher.tokenizer.encode())
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def run_manifest(
    spec: TaskSpec, data: dict[str, Any], teacher_sha256: str, student_sha256: str | None, accelerator: Accelerator
) -> dict[str, Any]:
    """Data, teacher and machine of a run; settings and versions stand beside it."""
    return {
        "task": spec.to_dict(),
        "data": data,
        "teacher_sha256": teacher_sha256,
        "student_sha256": student_sha256,
        "processes": accelerator.num_processes,
        "device": str(accelerator.device.type),
        "threads": torch.get_num_threads(),
    }


def fingerprint(settings: TrainSettings, manifest: dict[str, Any]) -> dict[str, str]:
    """What the weights depend on, by name: a resumed run must not differ in any of it."""
    parts = {name: value for name, value in asdict(settings).items() if name not in _NOT_COMPARED}
    parts |= {name: value for name, value in manifest.items() if name not in ("device", "threads")}
    return {name: json.dumps(value, sort_keys=True) for name, value in parts.items()}
