"""The optimisation loop shared by fine-tuning a teacher and distilling a student."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from numpy.typing import NDArray
from torch import Tensor, nn

from spk2loihi.child_processes import deferred_signals
from spk2loihi.choices import SPIKING_PRESETS
from spk2loihi.data import collate, length_sorted_batches
from spk2loihi.errors import UserError
from spk2loihi.models.solve_record import Solves
from spk2loihi.progress import progress_bar
from spk2loihi.training.averaging import WeightAverage
from spk2loihi.training.evaluation import LabelledData, model_inputs
from spk2loihi.training.losses import Distillation
from spk2loihi.training.processes import Batch, process_mean, process_sum, share
from spk2loihi.training.run_state import Interval, RunState
from spk2loihi.training.settings import TrainSettings
from spk2loihi.training.watching import Callback, threshold_means

_WARM_UP = 0.1  # share of the steps over which the learning rate rises
_MAX_GRADIENT_NORM = 1.0
_WEIGHT_DECAY = 0.01
_NEXT_PROCESS = 1_000_003  # between the dropout seeds of two processes


@dataclass
class LoopSettings:
    """How long and how fast.

    Attributes:
        batch_size: sentences a step, over all processes.
        accumulate: parts that a batch is computed in, one after the other.
        threshold_learning_rate: of the logarithms of thresholds.
        affine_learning_rate: of affines that stand for the functions of a teacher.
        evaluate_every: steps between evaluations within an epoch; None: at the end of an epoch only.
        early_stop: evaluations in a row without a better score after which training ends; None: never.
        checkpoint: how often the state is written within an epoch; it is at the end of each, and at a signal.
        steps: how many, in place of whole epochs.
        average: decay of the average that is evaluated and kept in place of the weights; None: none is.
        progress: shares of the whole training at which this loop starts and ends, for models that change as it goes on.
    """

    epochs: int
    batch_size: int
    learning_rate: float
    threshold_learning_rate: float
    affine_learning_rate: float
    seed: int
    pad_id: int
    accumulate: int = 1
    evaluate_every: int | None = None
    early_stop: int | None = None
    checkpoint: Interval = field(default_factory=Interval)
    progress: tuple[float, float] = (0.0, 1.0)
    steps: int | None = None
    average: float | None = None

    @classmethod
    def of(
        cls, settings: TrainSettings, pad_id: int, epochs: int, learning_rate: float, **changes: Any
    ) -> LoopSettings:
        """What ``settings`` say of every loop."""
        return cls(
            epochs=epochs,
            batch_size=settings.batch_size,
            accumulate=settings.accumulate,
            learning_rate=learning_rate,
            threshold_learning_rate=settings.threshold_learning_rate,
            affine_learning_rate=settings.affine_learning_rate,
            seed=settings.seed,
            pad_id=pad_id,
            evaluate_every=settings.evaluate_every,
            early_stop=settings.early_stop,
            checkpoint=Interval.parse(settings.checkpoint_every),
            **changes,
        )


@dataclass(frozen=True)
class Criterion:
    """What an evaluation measures, main score first, how that reads, and whether more of it is better."""

    measure: Callable[[], dict[str, float]]
    show: Callable[[float], str]
    higher_is_better: bool = True


@dataclass
class Result:
    """What a loop did.

    Attributes:
        epochs: one record each: epoch, loss, score, seconds.
        evaluations: one record each: step, epoch and every score.
        best: the evaluation the model was left at.
        solves: of each stage with feedback, in steps and evaluations of this process (`Solves.to_dict`).
    """

    epochs: list[dict[str, Any]] = field(default_factory=list)
    evaluations: list[dict[str, Any]] = field(default_factory=list)
    best: dict[str, Any] | None = None
    solves: dict[str, dict[str, Any]] = field(default_factory=dict)


class Loop:
    """Trains ``objective.model`` in place with AdamW and leaves it at its best evaluation.

    Args:
        objective: module with a ``model``; called with model inputs and labels it returns the loss of a batch. What
            else it has to learn is trained along.
        what: name in messages, and of the phase in ``state``.
        state: where checkpoints go and where the loop continues from.
        watch: called after every step and evaluation.
    """

    def __init__(
        self,
        objective: nn.Module,
        train: LabelledData,
        criterion: Criterion,
        settings: LoopSettings,
        accelerator: Accelerator,
        state: RunState,
        what: str,
        report: Callable[[str], None],
        watch: Callback | None = None,
    ) -> None:
        self.watch, self.distillation = watch, objective if isinstance(objective, Distillation) else None
        if self.distillation is not None and watch is not None:
            self.distillation.watched = self.distillation.model.config.preset in SPIKING_PRESETS
        self.train, self.criterion, self.settings = train, criterion, settings
        self.accelerator, self.state, self.what, self.report = accelerator, state, what, report
        self.model = cast(nn.Module, objective.model).to(accelerator.device)
        trained = [(n, p) for n, p in self.model.named_parameters() if p.requires_grad]
        thresholds = [p for n, p in trained if n.endswith("log_threshold")]
        affines = [p for n, p in trained if "_affine." in n]
        weights = [p for n, p in trained if not n.endswith("log_threshold") and "_affine." not in n]
        objective.to(accelerator.device)
        self.helpers = {n: p for n, p in objective.named_parameters() if not n.startswith("model.")}
        helpers = list(self.helpers.values())
        self.clipped = weights + affines + helpers
        groups: list[dict[str, Any]] = [
            {"params": weights, "lr": settings.learning_rate, "weight_decay": _WEIGHT_DECAY}
        ]
        if thresholds:
            groups.append({"params": thresholds, "lr": settings.threshold_learning_rate, "weight_decay": 0.0})
        if affines:
            groups.append({"params": affines, "lr": settings.affine_learning_rate, "weight_decay": 0.0})
        if helpers:
            groups.append({"params": helpers, "lr": settings.affine_learning_rate, "weight_decay": 0.0})
        optimiser = torch.optim.AdamW(groups, fused=True)
        self.steps_an_epoch = -(-len(train.encoded) // settings.batch_size)
        self.total = total = settings.steps or self.steps_an_epoch * settings.epochs
        self.schedule = torch.optim.lr_scheduler.LambdaLR(
            optimiser, lambda step: min((step + 1) / max(1.0, _WARM_UP * total), max(0.0, (total - step) / total))
        )
        self.objective, self.optimiser = accelerator.prepare(objective, optimiser)
        self.average = None if settings.average is None else WeightAverage(self.model, settings.average)
        self.result = Result()
        self.solves: dict[str, Solves] = getattr(self.model, "solves", {})  # none of a teacher
        for solves in self.solves.values():
            solves.restart()
        self.step = 0  # finished ones
        self.losses: list[float] = []  # of the epoch
        self.densities: list[Tensor] = []  # T x density of the last step's parts, where it is watched
        self.seconds = 0.0  # of the epoch, before the process that runs it now
        self.worse = 0  # evaluations since the best one
        self.best: dict[str, Tensor] = {}
        self.rng: dict[str, Tensor] | None = None
        self.resumable = False  # between two steps of an epoch, nothing else to be done

    def run(self) -> Result:
        saved = self.state.of(self.what)
        if saved is not None:
            self._restore(saved)
        self.saved_at = time.monotonic()
        with progress_bar() as bar:
            bar.disable = bar.disable or not self.accelerator.is_main_process
            task = bar.add_task(self.what, total=self.total, completed=self.step)
            while self.step < self.total and not self._stopped():
                self._epoch(lambda: bar.update(task, advance=1, note=f"loss {np.mean(self.losses[-20:]):.4f}"))
        self.model.load_state_dict(self.best)
        self._set_progress(self.total)
        self.model.eval()
        self.result.solves = self._solves()
        self.accelerator.free_memory()
        return self.result

    def _epoch(self, advance: Callable[[], None]) -> None:
        epoch, done = divmod(self.step, self.steps_an_epoch)
        started = time.perf_counter() - self.seconds
        # dropout of the epoch, the same after a resume
        torch.manual_seed(self.settings.seed * 1000 + epoch + _NEXT_PROCESS * self.accelerator.process_index)
        if self.rng is not None:
            _set_rng(self.rng)
            self.rng = None
        with self._saved_at_a_signal(started):
            for inputs, labels in self._batches(epoch, done):
                self.model.train()
                self._set_progress(self.step)
                with deferred_signals():  # a step is taken whole, or not at all
                    self.losses.append(self._optimise(inputs, labels))
                    self.step += 1
                    within = self.step % self.steps_an_epoch != 0 and self.step < self.total
                    evaluate = self.settings.evaluate_every and self.step % self.settings.evaluate_every == 0
                    self.resumable = within and not evaluate
                advance()
                self._watch_step()
                if within and evaluate:
                    self._evaluate(epoch)
                    self.resumable = True
                    if self._stopped():
                        break
                if within and self._due():
                    self.seconds = time.perf_counter() - started
                    self._save()
                if self.step == self.total:
                    break
            self.resumable = False
        if self.step % self.steps_an_epoch == 0 or self.step == self.total:
            self._evaluate(epoch)
        seconds = time.perf_counter() - started
        loss, score = float(np.mean(self.losses)), _main(self.result.evaluations[-1])
        self.result.epochs.append({"epoch": epoch + 1, "loss": loss, "score": score, "seconds": seconds})
        self.report(
            f"{self.what}: epoch {epoch + 1}/{-(-self.total // self.steps_an_epoch)}, loss {loss:.4f}, "
            f"{self.criterion.show(score)}, {seconds:.0f} s"
        )
        self.losses, self.seconds = [], 0.0
        self._save()
        if self._stopped() and self.step < self.total:
            self.report(f"{self.what}: stopped early, {self.worse} evaluations without a better score")

    @contextmanager
    def _saved_at_a_signal(self, started: float) -> Iterator[None]:
        """Save the state where a signal ends a run of one process; several would have to agree on the step."""
        try:
            yield
        except Exception:
            raise
        except BaseException:
            if self.resumable and self.accelerator.num_processes == 1:
                self.seconds = time.perf_counter() - started
                self._save()
            raise

    def _watch_step(self) -> None:
        if self.watch is None:
            return
        values = {"loss": self.losses[-1], "learning_rate": float(self.schedule.get_last_lr()[0])}
        if self.densities:
            values["t_times_density"] = process_mean(torch.stack(self.densities).mean()).item()
        if self.accelerator.is_main_process:
            self.watch(self.what, self.step, values)

    def _optimise(self, inputs: dict[str, Tensor], labels: Tensor) -> float:
        self.optimiser.zero_grad(set_to_none=True)
        parts = self.settings.accumulate
        batch, size = Batch(inputs["attention_mask"], labels, parts), len(labels) // parts
        loss, self.densities = torch.zeros((), device=labels.device), []
        for part in range(parts):
            rows = slice(part * size, (part + 1) * size)
            last = part == parts - 1
            with nullcontext() if last else self.accelerator.no_sync(self.objective):
                own = self.objective({name: x[rows] for name, x in inputs.items()}, labels[rows], batch) / parts
                self.accelerator.backward(own)
            loss += own.detach()
            if self.distillation is not None and self.distillation.density is not None:
                self.densities.append(self.distillation.density)
        self.accelerator.clip_grad_norm_(self.clipped, _MAX_GRADIENT_NORM)
        self.optimiser.step()
        self.schedule.step()
        if self.average is not None:
            self.average.update()
        value = process_mean(loss).item()
        if not math.isfinite(value):
            raise UserError(
                f"the loss of the {self.what} is {value} at step {self.step + 1}, from which no training recovers: "
                "lower `learning_rate`, or use `precision` no or bf16"
            )
        return float(value)

    def _batches(self, epoch: int, done: int) -> Iterator[tuple[dict[str, Tensor], Tensor]]:
        rng = np.random.default_rng([self.settings.seed, epoch])
        on = self.accelerator.device
        for index in length_sorted_batches(self.train.lengths, self.settings.batch_size, rng)[done:]:
            mine = self._share(index)
            batch = collate([self.train.encoded[i] for i in mine], self.settings.pad_id)
            labels = self.train.batch_labels(mine, batch.input_ids.shape[1])
            yield model_inputs(batch, on), torch.from_numpy(labels).to(on)

    def _share(self, index: NDArray[np.int64]) -> NDArray[np.int64]:
        """The rows of a batch that this process takes, part by part."""
        here, parts = self.accelerator, self.settings.accumulate
        first, every = here.process_index, here.num_processes
        return np.concatenate([share(index, first + every * part, every * parts) for part in range(parts)])

    def _set_progress(self, step: int) -> None:
        """Tell a model that changes as training goes on how far it is; evaluated and kept as it will be at the end."""
        if hasattr(self.model, "set_progress"):
            start, end = self.settings.progress
            cast(Any, self.model).set_progress(start + (end - start) * step / self.total)

    def _evaluate(self, epoch: int) -> None:
        with nullcontext() if self.average is None else self.average.in_place():
            self._measure(epoch)

    def _measure(self, epoch: int) -> None:
        self._set_progress(self.total)
        scores = self.criterion.measure()
        record = {"step": self.step, "epoch": epoch + 1, **scores}
        self.result.evaluations.append(record)
        if self.watch is not None and self.accelerator.is_main_process:
            self.watch(self.what, self.step, {**scores, **threshold_means(self.model)})
        sign = 1 if self.criterion.higher_is_better else -1
        if self.result.best is None or sign * _main(record) > sign * _main(self.result.best):
            self.result.best, self.worse = record, 0
            self.best = {k: v.detach().cpu().clone() for k, v in self.model.state_dict().items()}
        else:
            self.worse += 1

    def _stopped(self) -> bool:
        return self.settings.early_stop is not None and self.worse >= self.settings.early_stop

    def _solves(self) -> dict[str, dict[str, Any]]:
        return {stage: solves.to_dict() for stage, solves in self.solves.items()}

    def _due(self) -> bool:
        due = self.settings.checkpoint.due(self.step, self.saved_at)
        if self.accelerator.num_processes == 1 or self.settings.checkpoint.seconds is None:
            return due
        clock = due and self.accelerator.is_main_process  # one process's clock decides for all
        return bool(process_sum(torch.tensor(int(clock), device=self.accelerator.device)))

    def _save(self) -> None:
        states = gather_object([_rng()]) if self.accelerator.num_processes > 1 else [_rng()]
        scaler = self.accelerator.scaler
        if self.accelerator.is_main_process:
            self.state.save(
                self.what,
                {
                    "step": self.step,
                    "losses": self.losses,
                    "seconds": self.seconds,
                    "worse": self.worse,
                    "epochs": self.result.epochs,
                    "evaluations": self.result.evaluations,
                    "best": self.result.best,
                    "solves": self._solves(),
                    "best_model": self.best,
                    "model": self.model.state_dict(),
                    "average": None if self.average is None else self.average.state(),
                    "helpers": {name: parameter.detach() for name, parameter in self.helpers.items()},
                    "optimiser": self.optimiser.state_dict(),
                    "schedule": self.schedule.state_dict(),  # holds None for each function
                    "scaler": scaler.state_dict() if scaler is not None else None,
                    "rng": states,
                },
            )
        self.saved_at = time.monotonic()

    def _restore(self, saved: dict[str, Any]) -> None:
        self.step, self.losses, self.seconds, self.worse = (
            saved[key] for key in ("step", "losses", "seconds", "worse")
        )
        self.result = Result(saved["epochs"], saved["evaluations"], saved["best"])
        for stage, solves in self.solves.items():
            solves.restart(saved["solves"][stage])
        self.best = saved["best_model"]
        self.model.load_state_dict(saved["model"])
        if self.average is not None:
            self.average.restore(**saved["average"])
        with torch.no_grad():
            for name, parameter in self.helpers.items():
                parameter.copy_(saved["helpers"][name])
        self.optimiser.load_state_dict(saved["optimiser"])
        self.schedule.load_state_dict(saved["schedule"])
        if self.accelerator.scaler is not None:
            self.accelerator.scaler.load_state_dict(saved["scaler"])
        epoch, done = divmod(self.step, self.steps_an_epoch)
        self.rng = saved["rng"][self.accelerator.process_index] if done else None
        self.report(
            f"{self.what}: resumed after epoch {epoch}"
            + (f" and {done} of {self.steps_an_epoch} steps" if done else "")
        )


def _main(record: dict[str, Any]) -> float:
    return float(next(value for key, value in record.items() if key not in ("step", "epoch")))


def _rng() -> dict[str, Tensor]:
    state = {"cpu": torch.get_rng_state()}
    return state | ({"cuda": torch.cuda.get_rng_state()} if torch.cuda.is_available() else {})


def _set_rng(state: dict[str, Tensor]) -> None:
    torch.set_rng_state(state["cpu"])
    if "cuda" in state:
        torch.cuda.set_rng_state(state["cuda"])
