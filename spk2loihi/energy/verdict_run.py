"""What the verdict says of the run itself: is it right, how long it takes, which encoding, does it fit, convergence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from spk2loihi import formatting as fmt
from spk2loihi.energy.telling import Sentence, Telling


def run_sentences(report: Mapping[str, Any]) -> tuple[list[Sentence], list[Sentence]]:
    """Those that come before the comparisons, and those after."""
    before = [_accuracy(report), *_verified(report)]
    after = [*_time(report), *_encodings(report), *_fit(report), *_convergence(report)]
    return before, after


def _accuracy(report: Mapping[str, Any]) -> Sentence:
    tell, accuracy = Telling(report), report["accuracy"]
    if accuracy is None:
        tell("accuracy")
        return tell.sentence(
            "Accuracy was not measured in this run, so the savings below may cost accuracy that this report does not "
            "show."
        )
    metric = tell("accuracy", "metric")
    student, teacher = accuracy["student"], accuracy.get("teacher")
    if student is None:
        tell("accuracy", "student")
        return tell.sentence(
            f"The student's score ({metric}) is undefined, so the savings below may cost quality that this report "
            "does not show."
        )

    def score(which: str) -> str:
        return tell("accuracy", which, form=lambda value: fmt.score(value, metric))

    over = f" over {tell('accuracy', 'samples', form=fmt.count)} sentences" if accuracy.get("samples") else ""
    text = f"The student scores {score('student')} ({metric}){over}"
    if teacher is None:
        return tell.sentence(f"{text}; the teacher's score was not given.")
    points = accuracy["points_above_teacher"]
    if abs(points) < 0.05:
        return tell.sentence(f"{text}, level with the teacher.")
    apart = tell("accuracy", "points_above_teacher", form=lambda value: f"{abs(value):.1f}")
    side = "above" if points > 0 else "below"
    return tell.sentence(f"{text}, {apart} points {side} the teacher's {score('teacher')}.")


def _verified(report: Mapping[str, Any]) -> list[Sentence]:
    tell, verification = Telling(report), report["verification"]
    if verification is None:
        return []
    samples = tell("verification", "samples", form=fmt.count)
    if verification["mismatches"]:
        tell("verification", "mismatches")
        return [tell.sentence(f"The emulator and Lava differ on the {samples} sentences compared: trust no figure.")]
    compared = tell("verification", "spikes_compared", form=fmt.count)
    return [
        tell.sentence(f"The emulator and Lava agree on {samples} sentences: no mismatch in {compared} neuron-steps.")
    ]


def _time(report: Mapping[str, Any]) -> list[Sentence]:
    tell, time, unit = Telling(report), report["time"], report["network"]["unit"]
    if time is None:
        return []

    def seconds(key: str) -> str:
        return tell("time", key, form=fmt.duration)

    if time["step_us_given"] is not None:
        step = tell("time", "step_us_given", form=lambda us: f"{us:g}")
        return [
            tell.sentence(
                f"At {step} µs a step, as given, an answer takes {seconds('seconds')}: "
                f"{tell('time', 'samples_per_second', form=fmt.significant)} {unit}s a second."
            )
        ]
    text = (
        f"An answer takes {seconds('seconds')} if the SynOps of the busiest core ({tell('time', 'busiest', 'stage')}) "
        f"fill each step at {tell('time', 'synop_ns', form=lambda ns: f'{ns:.2f}')} ns each, as in one measured run: "
        f"{tell('time', 'samples_per_second', form=fmt.significant)} {unit}s a second"
    )
    if seconds("seconds") != seconds("seconds_high"):
        text += (
            f". It takes {seconds('seconds_high')} if each step takes at least the "
            f"{tell('time', 'measured_step_us', form=fmt.significant)} µs of that run: "
            f"{tell('time', 'samples_per_second_low', form=fmt.significant)} a second"
        )
    first = tell.sentence(f"{text}.")
    if time["within"]:
        return [first]
    tell = Telling(report)
    return [
        first,
        tell.sentence(
            f"The busiest core makes {tell('time', 'busiest', 'synops_per_step', form=fmt.count)} SynOps a step, "
            f"outside the {tell('time', 'trusted', 0, form=fmt.count)} to "
            f"{tell('time', 'trusted', 1, form=fmt.count)} for which the measured run says how long they "
            "take: treat the two times as ends of a range."
        ),
    ]


def _encodings(report: Mapping[str, Any]) -> list[Sentence]:
    tell, encodings = Telling(report), report["encodings"]
    if encodings is None:
        if report["network"]["schedule"] != "streamed":
            return []
        tell("network", "schedule")
        return [tell.sentence("A streamed network sends graded messages only, so no other encoding is compared.")]

    def row(i: int) -> str:
        base = ("encodings", "runs", i)
        energy = tell(*base, "energy_nJ", encodings["coefficients"], form=fmt.energy)
        return (
            f"{tell(*base, 'synops', form=fmt.count)} SynOps, {tell(*base, 'latency_steps', form=fmt.count)} steps and "
            f"{energy} with {tell(*base, 'encoding')} encoding"
        )

    costs = ", or ".join(row(i) for i in range(len(encodings["runs"])))
    text = f"Windowed, the same spike counts take {costs} (prices: {tell('encodings', 'coefficients')}): "
    if encodings["choice"] is None:
        return [tell.sentence(text + "neither encoding is cheaper in all three.")]
    choice = tell("encodings", "choice")
    text += f"on a Loihi 2, choose {choice}."
    return [tell.sentence(text + (" Graded messages exist on Loihi 2 only." if choice == "graded" else ""))]


def _fit(report: Mapping[str, Any]) -> list[Sentence]:
    tell, fit = Telling(report), report["fit"]
    if fit is None:
        return []
    board = tell("fit", "board")
    if fit["refused"]:
        return [tell.sentence(f"It does not fit {board}: not one neuron of {tell('fit', 'refused', 0)} fits a core.")]
    verb = "fits" if fit["fits"] else "does not fit"
    cores = f"{tell('fit', 'cores', form=fmt.count)} of {tell('fit', 'cores_available', form=fmt.count)} cores"
    return [tell.sentence(f"It {verb} {board}: {cores}, by this project's own partition.")]


def _convergence(report: Mapping[str, Any]) -> list[Sentence]:
    tell, convergence = Telling(report), report["convergence"]
    if convergence is None:
        return []
    last = len(convergence["steps"]) - 1
    rates = "weighted average" if convergence.get("weighted") else "average"
    text = (
        f"In the pipelined schedule, the {rates} spiking rates come within "
        f"{tell('convergence', 'overall', last, form=fmt.significant)} of the equilibrium after "
        f"{tell('convergence', 'steps', last)} steps"
    )
    if convergence["fitted_exponent"] is None:
        return [tell.sentence(f"{text}.")]
    exponent = tell("convergence", "fitted_exponent", form=lambda value: f"{value:.2f}")
    return [
        tell.sentence(
            f"{text}; from step {tell('convergence', 'fitted_from')} on the error falls as T^{exponent} (in theory, "
            + (
                "inversely with T until it is a share of the leak)."
                if convergence.get("weighted")
                else "inversely with T)."
            )
        )
    ]
