"""The library: what the commands do, as typed functions.

    import spk2loihi as s2l

    net = s2l.export("model.pt")
    net.classify(["a film of rare warmth"])

Every function raises `UserError` for anything a user can fix, and draws a progress bar on standard error where that is
a terminal. Nothing heavy is imported before it is used.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast, overload

from spk2loihi.analysis.spiking_network import SpikingNetwork, StrPath
from spk2loihi.choices import BackendName, Encoding, Schedule
from spk2loihi.errors import UserError
from spk2loihi.netx_api import (
    as_array,
    energy_of_file,
    fit_of_file,
    inspect_of_file,
    only_of_files,
    only_of_own,
    verify_of_file,
)
from spk2loihi.ranges import check_numbers, shown
from spk2loihi.versions import made

logger = logging.getLogger(__name__)

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from typing_extensions import Unpack

    from spk2loihi.data import DataOptions, Examples, TaskSpec
    from spk2loihi.energy import CoefficientSet, Derivation
    from spk2loihi.fit import Board, FitReport
    from spk2loihi.network.run_config import RunOptions
    from spk2loihi.netx.network_file import NetworkFile
    from spk2loihi.netx.reading import ReadingOptions
    from spk2loihi.reporting.energy_page import EnergyReport
    from spk2loihi.reporting.sweep_page import SweepReport
    from spk2loihi.simulators import Simulation, Verification
    from spk2loihi.simulators.convert_file import Conversion
    from spk2loihi.simulators.file_input import FileOptions
    from spk2loihi.simulators.run_file import FileRun
    from spk2loihi.simulators.verify_file import FileVerification
    from spk2loihi.training.checkpoint import Checkpoint
    from spk2loihi.training.train import TrainingResult
    from spk2loihi.training.watching import Callback

    class SimulationOptions(RunOptions, DataOptions, total=False):
        """How to run, and on which sentences."""

    class EnergyOptions(DataOptions, FileOptions, total=False):
        """On which sentences; or, of another netx or NIR file, how it runs its input."""

    Array = NDArray[Any]


_LAVA_SAMPLES = 8  # Lava needs tens of milliseconds a step: a few sentences by default
_BUNDLE_SAMPLES = 4
VERIFIED_SAMPLES = 8


def load(path: StrPath) -> SpikingNetwork:
    """The network in a file of `export`. For other netx and NIR files: `run`, `inspect`, `fit`, `verify`.

    Raises:
        UserError: missing, damaged, or not such a file.
    """
    from spk2loihi.network import read_network

    return _told(SpikingNetwork(read_network(Path(path)), Path(path)))


def read(network: SpikingNetwork | NetworkFile | StrPath) -> SpikingNetwork | NetworkFile:
    """A network of any kind, for `inspect`, `fit` and `verify`: of `export`, or any other netx or NIR file.

    Raises:
        UserError: missing, damaged, or no network.
    """
    from spk2loihi.netx.network_file import NetworkFile, is_own, read_tree

    if isinstance(network, SpikingNetwork | NetworkFile):
        return network
    path = Path(network)
    tree = read_tree(path)
    if not is_own(tree):
        logger.info("read %s", path)
        return NetworkFile.of(path, tree)
    from spk2loihi.network import read_network

    return _told(SpikingNetwork(read_network(path, tree), path))


def inspect(
    network: SpikingNetwork | NetworkFile | StrPath,
    *,
    num_layers: int | None = None,
    **reading: Unpack[ReadingOptions],
) -> dict[str, Any]:
    """What is in a network file of any kind, as the numbers of the command's ``--json``.

    Of a file of `export` the stages, as `SpikingNetwork.to_dict`. Of any other netx or NIR file the layers
    (`spk2loihi.analysis.inspect_file`), and under ``preflight`` what a Loihi 2 would not take as it is
    (`spk2loihi.fit.preflight`).

    Args:
        num_layers: only the first layers of a netx or NIR file.
        reading: ``dt``, ``bits``, ``exact`` and ``scales`` of a NIR file, as of `convert`.

    Raises:
        UserError: missing, damaged, no network, or one that stock netx cannot load.
    """
    net = read(network)
    check_numbers({"num_layers": num_layers})
    if isinstance(net, SpikingNetwork):
        only_of_own(net, {"num_layers": num_layers, **reading})
        return net.to_dict()
    return inspect_of_file(net, num_layers, reading)


def train(
    *,
    out: StrPath | None = "model.pt",
    teacher: Any = None,
    tokenizer: Any = None,
    student: StrPath | None = None,
    metric: str | None = None,
    layers: str | Sequence[int] | None = None,
    temperature: float | None = None,
    rate_penalty: float | None = None,
    seeds: int = 1,
    resume: bool = False,
    force: bool = False,
    report: Callable[[str], None] = lambda line: None,
    callbacks: Sequence[Callback] = (),
    log_with: str | None = None,
    **options: Any,
) -> TrainingResult:
    """Train a spiking student from a teacher.

    Args:
        out: where `model.pt` goes, with `metrics.json` beside it; None keeps the student in memory.
        teacher: directory or id of an encoder of a known family, or its sentence classifier in memory (such as a
            `BertForSequenceClassification`); None: the packaged MiniLM, fine-tuned first.
        tokenizer: fast tokenizer of a teacher in memory.
        student: a `model.pt`, a folder of `save_pretrained` or a repository of the hub to go on from.
        metric: of your own data; a correlation makes it a regression, ``micro_f1`` or ``macro_f1`` sentences of several
            labels, ``entity_f1`` tagged words.
        layers: teacher layers to start and learn from: numbers, or ``uniform:M``, ``last:M``, ``first:M``.
        temperature: that the predictions of teacher and student are divided by before they are compared.
        rate_penalty: weight of T x density in the loss.
        seeds: more than one: as many trainings, with seeds from ``seed`` on and one teacher. The result is the student
            that validation chooses, and ``metrics["seeds"]`` has mean, spread and every run
            (`spk2loihi.training.seeds.summary`).
        resume: continue an interrupted run.
        force: replace files in the way that this program has not written.
        report: called with a line about each epoch.
        callbacks: called after every step and evaluation with figures by name
            (`spk2loihi.training.watching.Callback`).
        log_with: tensorboard, wandb or mlflow; files go to the folder `model.pt.logs` beside `model.pt`.
        options: of the data (`spk2loihi.data.DataOptions`, e.g. ``train_file``; or ``train`` and ``dev``, a
            `datasets.Dataset`, a DataFrame, or a list of tuples or dicts; the embedded reviews by default), and
            of the training (fields of `spk2loihi.training.settings.TrainSettings`, e.g. ``timesteps``, ``epochs``).

    Raises:
        UserError: wrong options, data or teacher, or a place that cannot be written.
    """
    from spk2loihi.data import DataOptions, load_train, task_spec
    from spk2loihi.outputs import claim, named_inputs
    from spk2loihi.training.settings import train_settings

    data: Any = {name: options.pop(name) for name in list(options) if name in DataOptions.__annotations__}
    place = None if out is None else Path(out)
    reads = named_inputs({**data, **options, "teacher": teacher, "student": student})
    spec = task_spec(**data, metric=metric)
    in_memory = teacher is not None and not isinstance(teacher, str | Path)
    settings = train_settings(
        teacher=None if in_memory else teacher,
        student=student,
        layers=list(layers) if layers is not None and not isinstance(layers, str) else layers,
        temperature=temperature,
        rate_penalty=rate_penalty,
        **options,
    )
    from spk2loihi.training.seeds import seed_outputs, train_seeds
    from spk2loihi.training.teacher import teacher_in_memory
    from spk2loihi.training.train import outputs
    from spk2loihi.training.train import train as train_once

    check_numbers({"seeds": seeds, "seed": settings.seed})
    written = [] if place is None else outputs(place) if seeds == 1 else seed_outputs(place, settings.seed, seeds)
    with claim(written, reads, force=force):
        held = None
        if in_memory:
            held = teacher_in_memory(teacher, tokenizer, load_train(spec)[0].labels, spec.answer)
        given: Any = {
            "teacher": held, "resume": resume, "force": force, "report": report, "callbacks": callbacks,
            "log_with": log_with,
        }  # fmt: skip
        if seeds > 1:
            return train_seeds(spec, settings, place, seeds, **given)
        return train_once(spec, settings, place, **given)


def export(
    source: StrPath | TrainingResult | Checkpoint,
    out: StrPath | None = None,
    *,
    schedule: Schedule | None = None,
    encoding: Encoding | None = None,
    stagger: int | None = None,
    bundle: StrPath | None = None,
    force: bool = False,
) -> SpikingNetwork:
    """Fold a student into an integer network.

    Args:
        source: a `model.pt`, a folder of `TrainingResult.save_pretrained`, a repository of the hub (``owner/name``), or
            what `train` returned.
        out: the network file to write; None keeps the network in memory.
        schedule: of its runs unless told otherwise (`RunConfig`): windowed by default.
        encoding: of its runs: rate by default.
        stagger: of its runs in the settling schedule: T // 4 by default.
        bundle: folder to write for a machine with a board and without this package: the arrays of a streamed
            network, `run.py`, which needs Lava alone, and a few held-out sentences with their logits.
        force: replace a file that is no network of this program.

    Raises:
        UserError: the source cannot be read, the student exceeds a limit of the chip, or a bundle is asked for of a
            network that is not of the `stock` preset.
    """
    from spk2loihi.export.convert import export_model
    from spk2loihi.outputs import Output, claim

    place = None if out is None else Path(out)
    student: Any = getattr(source, "checkpoint", source)
    if isinstance(student, str) or hasattr(student, "__fspath__"):
        student = Path(student)
    outputs = [] if place is None else [Output(place, "network file", "network")]
    if bundle is not None:
        from spk2loihi.chip.bundle import bundle_output

        outputs.append(bundle_output(Path(bundle)))
    with claim(outputs, [student] if isinstance(student, Path) else [], force=force):
        if bundle is None:
            return SpikingNetwork(export_model(student, place, schedule, encoding, stagger), place)
        net = SpikingNetwork(export_model(student, None, schedule, encoding, stagger))
        _write_bundle(net, Path(bundle), force)
        return net if place is None else net.save(place)


def convert(
    source: NetworkFile | StrPath,
    out: StrPath,
    *,
    inputs: StrPath | Array | None = None,
    force: bool = False,
    **reading: Unpack[ReadingOptions],
) -> Conversion:
    """A NIR file as netx, quantised, or a netx file as NIR.

    Args:
        source: what is in it says which of the two it is.
        out: file to write.
        inputs: array, or .npy file, as of `run`, on which the integers of a NIR file are compared with its equations;
            independent spikes if not given.
        force: replace a file that `convert` has not written.
        reading: ``dt``, seconds a step: 0.0001 if not given. Of a NIR file also ``bits`` of a weight, 2 to 8: 8 if not
            given; ``scales``, one a layer or one a channel; ``exact``, refuse numbers that are not whole as they are.

    Raises:
        UserError: the source cannot be read, or has what the other format or Loihi's neurons do not have.
    """
    from spk2loihi.netx.reading import reading_of
    from spk2loihi.outputs import Output, claim
    from spk2loihi.simulators.convert_file import convert_file

    file = read(source)
    if isinstance(file, SpikingNetwork):
        raise UserError(
            f"{_path(file) or 'this'} is a network of spk2loihi export, whose neurons subtract the threshold, and NIR "
            "has no such reset: name a NIR file or another netx file"
        )
    place = Path(out)
    with claim([Output(place, "converted network", "converted")], [file.path], force=force):
        return convert_file(
            file, place, inputs=as_array(inputs) if inputs is not None else None, reading=reading_of(**reading)
        )


def simulate(
    network: SpikingNetwork | StrPath,
    texts: Sequence[str] = (),
    *,
    backend: BackendName = "emulator",
    samples: int | None = None,
    workers: int | None = None,
    scheduler: str | None = None,
    kept: StrPath | None = None,
    report: Callable[[str], None] = lambda line: None,
    **options: Unpack[SimulationOptions],
) -> Simulation:
    """Run a network over held-out sentences, or over ``texts``, and count what that costs.

    Args:
        texts: sentences without labels; one beyond the network's limit is refused.
        backend: ``emulator`` counts spikes, ``stepped`` steps every neuron through time, ``cpu`` is Lava's CPU
            simulator, ``loihi2`` a board.
        samples: how many sentences; all, or 8 where Lava runs.
        workers: processes of this machine that share the held-out sentences (Dask); ``scheduler`` is the address of a
            Dask scheduler, whose workers do.
        kept: with either, folder for finished shards, which the same call takes up again; it is yours to remove.
        report: called with a line about shards that are there already, and about workers that are not.
        options: how the network runs, if not as its file says (`RunOptions`: schedule, encoding, timesteps, stagger,
            arithmetic), and other sentences than those of the task it remembers (`DataOptions`, e.g. ``dev_file``, or
            ``dev`` in memory).
    """
    from spk2loihi.cluster import cluster_of
    from spk2loihi.simulators import simulate_examples, simulate_texts

    check_numbers({"samples": samples})
    cluster = cluster_of(workers, scheduler)
    if cluster is not None and texts:
        raise UserError(
            f"`{cluster.option}` is for held-out data, but {len(texts)} texts are given: leave one of the two out"
        )
    net, (how, data) = _network(network), _parted(options)
    if samples is None and backend in ("cpu", "loihi2"):
        samples = _LAVA_SAMPLES
    spec, examples = (None, None) if texts else _held_out(net, data, samples)
    with net.backend(backend, **how) as made:
        if spec is None or examples is None:
            return simulate_texts(made, texts)
        if cluster is None:
            return simulate_examples(made, examples, spec)
        from spk2loihi.simulators.shards import Spread

        spread = Spread(cluster, net.path, None if kept is None else Path(kept), report)
        return simulate_examples(made, examples, spec, spread)


def run(
    path: StrPath,
    inputs: StrPath | NDArray[Any],
    *,
    backend: Literal["emulator", "cpu"] = "emulator",
    **options: Any,
) -> FileRun:
    """Arrays through any netx or NIR network, bit for bit as stock Lava computes them.

    The options are those of `spk2loihi.simulators.run_file.run_file`.
    """
    from spk2loihi.simulators.run_file import run_file

    return run_file(Path(path), as_array(inputs), backend=backend, **options)


@overload
def verify(
    network: SpikingNetwork | StrPath,
    backends: Sequence[str] = ...,
    *,
    samples: int = ...,
    inputs: None = ...,
    **options: Unpack[SimulationOptions],
) -> Verification: ...


@overload
def verify(
    network: SpikingNetwork | NetworkFile | StrPath,
    backends: Sequence[str] = ...,
    *,
    inputs: StrPath | Array | None,
    **options: Any,
) -> Verification | FileVerification: ...


def verify(
    network: SpikingNetwork | NetworkFile | StrPath,
    backends: Sequence[str] = (),
    *,
    samples: int = VERIFIED_SAMPLES,
    inputs: StrPath | Array | None = None,
    **options: Any,
) -> Verification | FileVerification:
    """Run one network on two backends and compare every neuron of every layer at every step.

    Args:
        network: of `export`, which runs sentences; or any other netx or NIR file, which runs ``inputs`` on the emulator
            and in stock Lava.
        backends: two of them; emulator and cpu by default, stepped and cpu for a pipelined or streamed run. Of a
            streamed one these two compare every population of the graph, registers and all.
        samples: sentences.
        inputs: array, or .npy file, as of `run`.
        options: those of `simulate`; with ``inputs``, those of
            `spk2loihi.simulators.verify_file.verify_file`.
    """
    net = read(network)
    if not isinstance(net, SpikingNetwork):
        return verify_of_file(net, inputs, backends, options)
    from spk2loihi.simulators.file_input import FileOptions

    of_files = ("state_steps", *FileOptions.__annotations__)
    only_of_own(net, {"inputs": inputs, **{name: options.pop(name) for name in of_files if name in options}})
    from spk2loihi.simulators import verify_examples

    how, data = _parted(cast("SimulationOptions", options))
    steps = (how.get("schedule") or net.network.defaults.schedule) in ("pipelined", "streamed")
    names = tuple(backends) or ("stepped" if steps else "emulator", "cpu")
    if len(names) != 2:
        raise UserError(f"verify compares 2 backends, but {len(names)} were given: give two `backends`")
    _, examples = _held_out(net, data, samples)
    if net.network.streamed:  # which gives the same results with less room, and takes fewer steps
        net = _shortened(net, examples)
    with net.backend(names[0], **how) as first, net.backend(names[1], **how) as second:
        return replace(verify_examples(first, second, examples), backends=list(names))


def energy(
    network: SpikingNetwork | NetworkFile | StrPath,
    *,
    inputs: StrPath | Array | None = None,
    frame_steps: int | None = None,
    coefficients: Sequence[str | Path | CoefficientSet] = (),
    text: str | None = None,
    samples: int | None = None,
    schedule: Literal["windowed", "settling", "streamed"] | None = None,
    encoding: Encoding | None = None,
    stagger: int | None = None,
    board: str | Board = "kapoho-point",
    step_us: float | None = None,
    verification: Verification | None = None,
    command: str | None = None,
    **options: Unpack[EnergyOptions],
) -> EnergyReport:
    """Count the operations of a network, price and time them, and compare with ANNs, like with like.

    Args:
        network: of `export`, which runs held-out sentences; or any other netx or NIR file, which runs ``inputs``.
        inputs: array, or .npy file, as of `run`.
        frame_steps: of ``inputs``: steps to one answer (`spk2loihi.simulators.file_counters.count_file`).
        coefficients: price tables of your own: names, files or sets. The built-in ones are always reported.
        text: the sentence to record spike by spike; None: a held-out one. Streamed networks send no spikes.
        schedule: if not given, streamed for a network of the `stock` preset, pipelined for one with leak or feedback,
            and windowed for any other.
        board: as of `fit`; its partition gives the time of a step.
        step_us: microseconds of every step, if you know better than the estimate.
        verification: of `verify`, for the report to say.
        command: for the report's provenance.
        options: the sentences (`spk2loihi.data.DataOptions`); with ``inputs``, options of `run`.
    """
    from spk2loihi.energy import CoefficientSet, coefficient_path, load_coefficients
    from spk2loihi.energy.measure_energy import measure_energy
    from spk2loihi.fit import Board, find_board
    from spk2loihi.reporting.energy_page import EnergyReport
    from spk2loihi.simulators.file_input import FileOptions

    check_numbers({"step_us": step_us})
    place = board if isinstance(board, Board) else find_board(board)
    sets = [c if isinstance(c, CoefficientSet) else load_coefficients(c) for c in coefficients]
    files = [coefficient_path(c) for c in coefficients if not isinstance(c, CoefficientSet)]
    of_file: Any = {name: value for name, value in options.items() if name in FileOptions.__annotations__}
    data: Any = {name: value for name, value in options.items() if name not in of_file}
    net = read(network)
    if not isinstance(net, SpikingNetwork):
        own = {
            **data, "text": text, "samples": samples, "schedule": schedule, "encoding": encoding, "stagger": stagger,
            "verification": verification,
        }  # fmt: skip
        only_of_files(net, own, {})
        given: Any = {name: value for name, value in of_file.items() if value is not None}
        return energy_of_file(net, inputs, files, command, frame_steps, sets, place, step_us, given)
    only_of_own(net, {"inputs": inputs, "frame_steps": frame_steps, **of_file})
    usual: Schedule = net.network.only_schedule or "windowed"
    config = net.network.run_config(schedule or usual, encoding, stagger=stagger)
    spec, examples = _held_out(net, data, samples)
    training = net.network.provenance.get("training", {})
    # the teacher was scored on the whole held-out set of training, and is comparable on that only
    same_data = samples is None and all(value is None for value in data.values())
    provenance = {
        "network": None if net.path is None else net.path.name,
        "network_sha256": net.sha256,
        "task": spec.name,
        "seed": training.get("settings", {}).get("seed"),
        **({"feedback": training["feedback"]} if "feedback" in training else {}),
        **made(command),
    }
    return EnergyReport(
        measure_energy(
            net.network,
            config,
            spec,
            examples,
            text=text,
            coefficient_sets=sets,
            board=place,
            step_us=step_us,
            verification=None if verification is None else verification.to_dict(),
            teacher_score=training.get("teacher_score") if same_data else None,
            provenance=provenance,
        ),
        [*_inputs_of(net, data), *files],
    )


def derive_price(name: str = "loihi2-pilotnet-bound") -> Derivation:
    """Recompute the built-in price that comes from a measured run: emulator counts, and the power that Intel printed.

    Raises:
        UserError: no such price, or lava-dl, whose wheel has the network, is not installed.
    """
    from spk2loihi.energy import derive_pilotnet_bound
    from spk2loihi.energy.pilotnet_bound import NAME

    if name != NAME:
        raise UserError(f"{shown(name)} is not a price that can be derived again: choose {NAME}")
    return derive_pilotnet_bound()


def fit(
    network: SpikingNetwork | NetworkFile | StrPath | None = None,
    board: str | Board = "kapoho-point",
    *,
    inputs: StrPath | Array | None = None,
    num_layers: int | None = None,
    **shape: Any,
) -> FitReport:
    """Partition a network over the neurocores of a board.

    Args:
        network: to be placed: of `export`, or any other netx or NIR file; None: a student of the sizes ``shape``,
            before it is trained.
        board: oheo-gulch, kapoho-point, hala-point, a JSON file, or a `Board`.
        inputs: array, or .npy file, as of `run`: for other netx and NIR files alone, to look for inputs that a chip
            would not take.
        num_layers: only the first layers of a netx or NIR file.
        shape: fields of `spk2loihi.fit.student_shape.StudentShape`, e.g. ``layers``, ``hidden``, ``tokens``; with
            ``inputs``, options of `run`.
    """
    from spk2loihi.fit import Board, FitReport, check_fit, check_stream_fit, find_board, populations
    from spk2loihi.netx.reading import ReadingOptions

    of_nir = {name: shape[name] for name in ReadingOptions.__annotations__ if name in shape and name != "bits"}
    place = board if isinstance(board, Board) else find_board(board)
    if network is None:
        from spk2loihi.fit.student_shape import StudentShape, shape_network, shape_populations

        if inputs is not None or num_layers is not None:
            raise UserError(
                f"`{'num_layers' if inputs is None else 'inputs'}` is for a netx or NIR file, but none is given: name "
                "the file, or leave it out"
            )
        if of_nir:
            raise UserError(f"`{min(of_nir)}` is for a NIR file, but none is given: name the file, or leave it out")
        if shape.get("preset") == "stock":
            return FitReport({"network": None, **check_stream_fit(shape_network(StudentShape(**shape)), place)})
        return FitReport({"network": None, **check_fit(shape_populations(StudentShape(**shape)), place)})
    net = read(network)
    if not isinstance(net, SpikingNetwork):
        return fit_of_file(net, place, inputs, {"num_layers": num_layers, **shape})
    only_of_own(net, {"inputs": inputs, "num_layers": num_layers, **of_nir})
    if net.network.streamed and set(shape) == {"tokens"}:
        return _stream_fit(net, place, shape["tokens"])
    if shape:
        raise UserError(
            f"{', '.join(f'`{name}`' for name in shape)} size a student before training, but {network} has sizes: "
            "leave one of them out"
        )
    if net.network.streamed:
        return _stream_fit(net, place, None)
    return FitReport({"network": _path(net), **check_fit(populations(net.network), place)})


def sweep(
    networks: Sequence[StrPath] = (),
    *,
    timesteps: Sequence[int] = (4, 8, 16),
    bits: Sequence[float] = (8, 4),
    rate_penalties: Sequence[float] = (0.0,),
    seeds: int = 1,
    encodings: Sequence[str] = ("rate", "graded"),
    schedules: Sequence[str] = ("windowed",),
    samples: int | None = None,
    coefficients: Sequence[str | Path] = (),
    jobs: int = 1,
    workers: int | None = None,
    scheduler: str | None = None,
    out: StrPath = "sweep",
    metric: str | None = None,
    training: dict[str, Any] | None = None,
    force: bool = False,
    report: Callable[[str], None] = lambda line: None,
    warn: Callable[[str], None] | None = None,
    command: str | None = None,
    **data: Unpack[DataOptions],
) -> SweepReport:
    """Score against cost over many networks, each run in several ways, and the Pareto front among them.

    Args:
        networks: files to run; none: a network is trained for every T, number of bits and rate penalty.
        seeds: of each of these, from the ``seed`` of ``training`` on, with one teacher: a point is their mean.
        encodings: to run each network in.
        schedules: to run each network in.
        jobs: networks at a time, each in its own process.
        workers: processes of this machine that share the networks, where another one takes over when one is killed
            (Dask); ``scheduler`` is the address of a Dask scheduler, whose workers do, in folders that all machines
            share.
        out: folder of the networks, their records, `sweep.json` and `sweep.html`; run again, it goes on where it was
            interrupted.
        training: options of `train` for all networks.
        force: replace files in the folder that this program has not written.
        report: called with a line about each network; ``warn`` with one about each that is left out.
    """
    from spk2loihi.cluster import cluster_of
    from spk2loihi.data import held_out_task, task_spec
    from spk2loihi.energy import coefficient_path, load_coefficients
    from spk2loihi.outputs import check_outputs, claim, named_inputs
    from spk2loihi.reporting.sweep_page import SweepReport, report_outputs
    from spk2loihi.sweep.axes import grid, ways_of
    from spk2loihi.sweep.plan import plan_networks, plan_training, point_outputs, record_outputs
    from spk2loihi.sweep.run_sweep import run_sweep
    from spk2loihi.training.settings import train_settings

    first = (training or {}).get("seed") or 0
    check_numbers({"samples": samples, "jobs": jobs, "seeds": seeds, "seed": first})
    cluster = cluster_of(workers, scheduler)
    if cluster is not None and jobs != 1:
        raise UserError(
            f"`jobs` is {jobs}, but a cluster has as many networks at a time as workers: leave `jobs` out, or "
            f"`{cluster.option}`"
        )
    if data.get("train") is not None or data.get("dev") is not None:
        raise UserError(
            "a sweep starts processes of its own, which cannot see data in memory: write it to a `train_file`"
        )
    folder, files = Path(out), [Path(network) for network in networks]
    ways = ways_of(encodings, schedules)
    sets = [load_coefficients(name) for name in coefficients]
    reads = [*files, *named_inputs({**data, **(training or {})}), *(coefficient_path(name) for name in coefficients)]
    several = range(first, first + seeds) if seeds > 1 else ()
    points = [] if files else grid(timesteps, bits, rate_penalties, several)
    with claim(report_outputs(folder), reads, force=force, folder=folder) as claimed:
        if files:
            own, read = any(value is not None for value in data.values()), [load(file) for file in files]
            claimed.reads(path for net in read for path in named_inputs(net.network.task))
            specs = [held_out_task(net.network.task, data) if own else None for net in read]
            todo = plan_networks(files, specs, ways, samples, folder)
        else:
            spec, base = task_spec(**data, metric=metric), train_settings(**(training or {}))
            check_outputs(point_outputs(points, ways, folder), reads, force=force)
            todo = plan_training(spec, base, points, ways, samples, folder, report, force)
            report(f"{len(todo)} networks, {sum(job.settings is None for job in todo)} of them there already")
        check_outputs(record_outputs(todo), reads, force=force)
        swept = SweepReport(run_sweep(todo, jobs, sets, command, report, warn or report, cluster))
        swept.save(folder, force)
    return swept


def _inputs_of(network: SpikingNetwork, data: Mapping[str, Any]) -> list[Path]:
    """Files that are read when a network runs: its own, and the data that ``data`` names or that it remembers."""
    from spk2loihi.outputs import named_inputs

    own = [] if network.path is None else [network.path]
    return [*own, *named_inputs(data), *named_inputs(network.network.task)]


def _write_bundle(net: SpikingNetwork, folder: Path, force: bool) -> None:
    from spk2loihi.chip.bundle import write_bundle
    from spk2loihi.data import collate
    from spk2loihi.simulators import encode
    from spk2loihi.simulators.simulate import pad_id

    if not net.network.streamed:
        raise UserError(
            f"`bundle` {folder} is for networks of the stock preset, but this one is of "
            f"{net.network.config.get('preset')}: train with the `preset` stock, or leave `bundle` out"
        )
    _, examples = _held_out(net, {}, _BUNDLE_SAMPLES)
    encoded, _ = encode(net.network, examples)
    write_bundle(net.network, folder, collate(encoded, pad_id(net.network)), examples.text_a, force=force)


def _stream_fit(net: SpikingNetwork, board: Board, tokens: int | None) -> FitReport:
    from spk2loihi.fit import FitReport, check_stream_fit

    check_numbers({"max_tokens": tokens})
    if tokens is not None and tokens > net.network.max_tokens:
        raise UserError(
            f"`tokens` is {tokens}, but the network takes at most {net.network.max_tokens}: choose at most that many"
        )
    return FitReport({"network": _path(net), **check_stream_fit(net.network, board, tokens)})


def _told(net: SpikingNetwork) -> SpikingNetwork:
    made = net.network
    logger.info(
        "read %s: %d stages, T = %d, %s schedule", net.path, len(made.stages), made.timesteps, made.defaults.schedule
    )
    return net


def _path(net: SpikingNetwork) -> str | None:
    return None if net.path is None else str(net.path)


def _shortened(net: SpikingNetwork, examples: Examples) -> SpikingNetwork:
    """With room for no more tokens than the longest of ``examples`` has."""
    from spk2loihi.simulators import encode

    encoded, _ = encode(net.network, examples)
    longest = max((len(sentence) for sentence in encoded), default=net.network.max_tokens)
    return type(net)(replace(net.network, max_tokens=longest), net.path)


def _network(network: SpikingNetwork | StrPath) -> SpikingNetwork:
    return network if isinstance(network, SpikingNetwork) else load(network)


def _parted(options: SimulationOptions) -> tuple[RunOptions, DataOptions]:
    """What says how to run, and what says where the sentences are."""
    from spk2loihi.data import DataOptions

    given: dict[str, Any] = {**options}
    data: Any = {name: given.pop(name) for name in list(given) if name in DataOptions.__annotations__}
    return cast("RunOptions", given), data


def _held_out(net: SpikingNetwork, data: DataOptions, samples: int | None) -> tuple[TaskSpec, Examples]:
    from spk2loihi.data import held_out_task, load_held_out

    check_numbers({"samples": samples})
    spec = held_out_task(net.network.task, data)
    examples = load_held_out(spec)
    taken = examples if samples is None else examples.take(samples)
    logger.info("held-out data: %d of %d sentences of %s", len(taken), len(examples), spec.name)
    return spec, taken
