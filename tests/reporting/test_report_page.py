"""The report's page in a real browser, and the recorded sentence it shows."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from spk2loihi.analysis import spike_record as sentence
from spk2loihi.analysis.convergence import measure_convergence
from spk2loihi.analysis.neurobench import neurobench_metrics
from spk2loihi.analysis.spike_record import choose_sentence, record_sentence
from spk2loihi.choices import ENCODINGS
from spk2loihi.data import Examples, collate
from spk2loihi.energy import LOIHI2_BOUND, AnnWork, Steps, build_report, estimate_time
from spk2loihi.energy.encodings import EncodedRun, compare_encodings
from spk2loihi.energy.measure_energy import summarise_network
from spk2loihi.energy.placement import place_network, told
from spk2loihi.fit.boards import BOARDS
from spk2loihi.network.network import Network
from spk2loihi.network.run_config import RunConfig
from spk2loihi.reporting.energy_page import _FORMS, EnergyReport, render_html
from spk2loihi.simulators import create_backend, encode, simulate
from spk2loihi.simulators.counters import StageOps
from spk2loihi.simulators.emulator.emulator import Emulator
from support.chromium import Chromium, needs_browser
from support.networks import VOCABULARY, timeline, tiny_network

TEXTS = ["w7 w8 w9", "w5 w6 w7 w8 w9 w10 w11 w12", "w20 w21 w22 w23 w24"]
HOSTILE = '</script><img src=x onerror="document.title=1"> <b> & "quoted" \u2028'


@pytest.fixture(scope="module")
def net() -> Network:
    """A tiny network with a tokenizer of its own: words w4, w5, ..."""
    words = {"[PAD]": 0, "[UNK]": 1, "[CLS]": 2, "[SEP]": 3, **{f"w{i}": i for i in range(4, VOCABULARY)}}
    tokenizer = Tokenizer(models.WordLevel(words, "[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return replace(tiny_network(), tokenizer=tokenizer.to_str())


@pytest.fixture(scope="module")
def examples() -> Examples:
    return Examples(TEXTS, None, [0, 1, 1])


def recorded(net: Network, examples: Examples) -> dict[str, Any]:
    encoded, _ = encode(net, examples)
    index = choose_sentence(encoded)
    return record_sentence(net, examples.select([index]), encoded[index], "held-out sentence 2", labelled=True)


def made(net: Network, examples: Examples) -> dict[str, Any]:
    """A whole report, as the command makes it."""
    encoded, _ = encode(net, examples)
    result = simulate(create_backend("emulator", net), encoded)
    return build_report(
        result.stages,
        len(encoded),
        network_summary=summarise_network(timeline(net)),
        teacher=AnnWork(1e5, 1e4, (100.0,)),
        convergence=measure_convergence(net, encoded, list(examples.labels), (1, 2, 4, 8)),
        accuracy={"metric": "accuracy", "student": 2 / 3, "teacher": 1.0, "samples": 3},
        spikes=result.spikes,
        neurobench=neurobench_metrics(timeline(net), result.stages, len(encoded), 2 / 3),
        sentence=recorded(net, examples),
        encodings=compare_encodings(encoded_runs(net, examples), len(encoded), [LOIHI2_BOUND]),
        time=timed(result.stages, result.latency_steps),
        fit=told(place_network(net, BOARDS["kapoho-point"])),
        verification={"samples": 3, "spikes_compared": 1000, "mismatches": 0},
        provenance={"network": "model.net", "task": "tiny", "seed": 0, "versions": {"numpy": "1.26.4"}},
    )


def encoded_runs(net: Network, examples: Examples) -> list[EncodedRun]:
    encoded, _ = encode(net, examples)
    runs = [simulate(create_backend("emulator", net, RunConfig(encoding=how)), encoded) for how in ENCODINGS]
    return [EncodedRun(r.encoding, r.stages, r.latency_steps, timed(r.stages, r.latency_steps)) for r in runs]


def timed(stages: list[StageOps], steps: int) -> dict[str, Any] | None:
    return estimate_time(stages, 3, Steps(steps, steps), {}, "kapoho-point")


# --- the recorded sentence -----------------------------------------------------------------------------------------


def unpacked(text: str, kind: str) -> NDArray[Any]:
    return np.frombuffer(base64.b64decode(text), kind)


@pytest.mark.parametrize("schedule", ["windowed", "pipelined"])
def test_what_was_recorded_is_what_the_emulator_emits(net: Network, examples: Examples, schedule: Any) -> None:
    record = recorded(net, examples)
    run = next(run for run in record["runs"] if run["schedule"] == schedule)
    encoded, _ = encode(net, Examples([record["text"]], None, [0]))
    engine = (
        "count" if schedule == "windowed" else "stepped"
    )  # windowed: by counts, not by the steps that were recorded
    expected = Emulator(net, RunConfig(schedule), engine=engine).run(collate(encoded, 0), record=True)
    tokens = len(record["tokens"])
    assert record["text"] == TEXTS[1]
    assert record["tokens"] == ["[CLS]", *TEXTS[1].split(), "[SEP]"]
    assert record["label"] == "yes"
    assert (run["steps"], run["latency_steps"]) == (expected.steps, expected.latency_steps)
    assert list(run["logits"].values()) == [u * net.readout.unit for u in expected.logits[0]]
    assert run["prediction"] == net.task["labels"][int(expected.logits[0].argmax())]
    assert run["spikes"] == sum(int(n.sum()) for n in expected.events.values())
    for attention in run["attention"]:
        counts = unpacked(attention["counts"], "i1").reshape(attention["heads"], attention["rows"], tokens)
        assert np.array_equal(counts, expected.counts[attention["stage"]][0])
    assert [s["stage"] for s in run["stages"]] == [s.name for s in net.stages if s.fires]
    assert expected.trains is not None
    for stage in run["stages"]:
        train = expected.trains[stage["stage"]][:, 0]  # (steps, rows, channels), or (steps, heads, rows, keys)
        if net[stage["stage"]].is_scores:
            train = np.stack([train[:, :, i].reshape(len(train), -1) for i in range(train.shape[2])], 1)
        shape = (run["steps"], stage["rows"], stage["neurons"])
        positive, negative = (
            np.unpackbits(unpacked(stage[plane], "u1"))[: np.prod(shape)].reshape(shape).astype(np.int8)
            for plane in ("positive", "negative")
        )
        assert np.array_equal(positive - negative, train[..., : stage["neurons"]])
        activity = unpacked(stage["activity"], "<u2").reshape(shape[:2])
        assert np.array_equal(activity, (train != 0).sum(2))
        assert stage["spikes_by_token"] == activity.sum(0).tolist()
        assert (stage["channels"], stage["spikes"]) == (train.shape[2], int(activity.sum()))
        depth = net[stage["stage"]].depth
        assert stage["first_step"] == (depth * run["steps"] if schedule == "windowed" else depth) + 1


def test_a_long_sentence_is_recorded_within_the_budget(
    net: Network, examples: Examples, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = recorded(net, examples)
    assert (whole["shown_tokens"], whole["runs"][0]["stages"][0]["neurons"]) == (10, 16)
    monkeypatch.setattr(sentence, "BUDGET", 6000)
    cut = recorded(net, examples)
    assert 1 <= cut["shown_tokens"] < 10
    assert len(cut["tokens"]) == 10
    arrays = [
        s[key] for run in cut["runs"] for s in (*run["stages"], *run["attention"])
        for key in ("counts", "activity", "positive", "negative") if key in s
    ]  # fmt: skip
    assert sum(len(base64.b64decode(text)) for text in arrays) <= 6000
    assert cut["runs"][0]["spikes"] == whole["runs"][0]["spikes"]  # totals are of the whole sentence


def test_the_sentence_shown_by_default_is_a_readable_one(net: Network, examples: Examples) -> None:
    encoded, _ = encode(net, examples)
    assert choose_sentence(encoded) == 1
    assert choose_sentence(encoded[:1]) == 0


# --- the page in a browser -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def files(net: Network, examples: Examples, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    EnergyReport(made(net, examples)).save(folder / "energy.html")
    return folder


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    with Chromium(tmp_path_factory.mktemp("profile")) as started:
        yield started


@pytest.fixture
def page(browser: Chromium, files: Path) -> Chromium:
    browser.view(1200, "light")
    browser.open(files / "energy.html")
    return browser


@needs_browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1200])
def test_no_errors_no_overflow_no_requests(browser: Chromium, files: Path, width: int, scheme: str) -> None:
    browser.view(width, scheme)
    browser.open(files / "energy.html")
    assert browser.complaints == []
    assert browser.requests == [(files / "energy.html").resolve().as_uri()]
    assert browser.run("document.documentElement.scrollWidth") == width
    assert browser.run("document.querySelectorAll('.plot svg').length") > 3
    assert browser.run("document.querySelectorAll('.plot .bars').length") == 8
    assert (files / "energy.html").stat().st_size < 3_000_000
    page_colour = {"light": "rgb(245, 246, 244)", "dark": "rgb(16, 19, 22)"}[scheme]
    assert browser.run("getComputedStyle(document.body).backgroundColor") == page_colour
    assert browser.run(_UNREADABLE) == []


#: Texts whose contrast with what is behind them is below WCAG's 4.5 (3 for large ones).
_UNREADABLE = """
(() => {
  const rgb = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((v) => v / 255)
    .map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (node) => {
    for (let at = node; at; at = at.parentElement) {
      const colour = rgb(getComputedStyle(at).backgroundColor);
      if (colour.length === 3) return colour;
    }
    return [255, 255, 255];
  };
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode.parentElement;
    if (!walker.currentNode.textContent.trim() || node.closest("script, noscript, [hidden], .unseen")) continue;
    if (!node.getClientRects().length) continue;
    const style = getComputedStyle(node);
    const front = light(rgb(node.closest("svg") ? style.fill : style.color)), back = light(behind(node));
    const contrast = (Math.max(front, back) + 0.05) / (Math.min(front, back) + 0.05);
    if (contrast < (parseFloat(style.fontSize) >= 24 ? 3 : 4.5)) found.push([walker.currentNode.textContent, contrast]);
  }
  return found;
})()
"""


def resolved(data: Any, pointer: str) -> Any:
    for key in pointer.split("/")[1:]:
        key = key.replace("~1", "/").replace("~0", "~")
        data = data[int(key)] if isinstance(data, list) else data[key]
    return data


def claims(browser: Chromium) -> list[dict[str, str]]:
    return browser.run(
        "[...document.querySelectorAll('[data-pointer]')].map((e) => ({pointer: e.dataset.pointer, text: e.textContent,"
        " value: e.getAttribute('value'), form: e.dataset.form ?? null}))"
    )


@needs_browser
def test_every_number_of_the_page_is_one_of_the_json(page: Chromium, files: Path) -> None:
    """In every state of every control that changes numbers."""
    data = json.loads((files / "energy.json").read_text(encoding="utf-8"))
    seen = {claim["pointer"]: claim for claim in claims(page)}
    for quantity in range(page.run("quantity.options.length")):
        for grouping in ("layers", "encoder_layer", "part"):
            page.run(
                f"quantity.value = {quantity}; quantity.dispatchEvent(new Event('change'));"
                f"document.querySelector('input[name=grouping][value={grouping}]').click()"
            )
            for component in range(page.run("component.options.length")):
                page.run(f"component.selectedIndex = {component}; component.dispatchEvent(new Event('change'))")
                seen |= {claim["pointer"]: claim for claim in claims(page)}
    page.run("document.querySelector('input[name=schedule][value=\"1\"]').click()")
    seen |= {claim["pointer"]: claim for claim in claims(page)}
    for pointer, claim in seen.items():
        value = resolved(data, pointer)
        if claim["form"] is None:
            assert claim["text"] == (value if isinstance(value, str) else json.dumps(value)), pointer
        else:
            assert json.loads(claim["value"]) == value, pointer
            assert claim["text"] == _FORMS[claim["form"]](value), pointer
    required = [f"/headline/{i}/text" for i in range(7)]
    required += [f"/{part}/{i}" for part in ("verdict", "caveats") for i in range(len(data[part]))]
    required += [
        f"/layers/{i}/per_sample/{key}" for i in range(len(data["layers"])) for key in ("synops", "all_synops")
    ]
    required += [f"/comparisons/{i}/{key}" for i in range(len(data["comparisons"])) for key in ("ratio", "snn_nJ")]
    required += [*(f"/encodings/runs/{i}/{key}" for i in (0, 1) for key in ("synops", "seconds"))]
    required += ["/sentence/text", "/sentence/runs/0/synops", "/sentence/runs/1/synops", "/provenance/network"]
    assert set(required) <= set(seen)
    assert page.complaints == []


@needs_browser
def test_the_page_carries_energy_json_itself(page: Chromium, files: Path) -> None:
    embedded = page.run("JSON.parse(document.getElementById('energy-json').textContent).report")
    assert embedded == json.loads((files / "energy.json").read_text(encoding="utf-8"))


@needs_browser
def test_every_control_is_reached_by_keyboard_and_has_a_name(page: Chromium) -> None:
    page.run(
        "document.querySelectorAll('a, button, select, input, summary, [tabindex=\"0\"]')"
        ".forEach((e, i) => e.dataset.stop = i)"
    )
    # of a group of radio buttons the keyboard stops at the chosen one
    wanted = page.run(
        "[...document.querySelectorAll('[data-stop]')].filter((e) => !e.disabled && (e.type !== 'radio' || e.checked))"
        ".map((e) => e.dataset.stop)"
    )
    reached = []
    for _ in range(len(wanted) + 5):
        page.press("Tab")
        if (stop := page.run("document.activeElement.dataset.stop")) is None or stop in reached:
            break
        reached.append(stop)
    assert set(reached) == set(wanted)
    nodes = page.call("Accessibility.getFullAXTree")["nodes"]
    focusable = [
        n for n in nodes if any(p["name"] == "focusable" and p["value"]["value"] for p in n.get("properties", []))
    ]
    unnamed = [
        n["role"]["value"]
        for n in focusable
        if not n.get("name", {}).get("value") and n["role"]["value"] != "RootWebArea"
    ]
    assert [role for role in unnamed if role != "main"] == []


@needs_browser
def test_the_page_has_landmarks_ordered_headings_and_captions(page: Chromium) -> None:
    roles = [node["role"]["value"] for node in page.call("Accessibility.getFullAXTree")["nodes"]]
    assert {"banner", "navigation", "main", "contentinfo"} <= set(roles)
    levels = page.run("[...document.querySelectorAll('h1, h2, h3, h4')].map((h) => Number(h.tagName[1]))")
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(b - a <= 1 for a, b in pairwise(levels))
    assert page.run("document.documentElement.lang") == "en"
    assert page.run("[...document.querySelectorAll('figure')].every((f) => f.querySelector('figcaption h3'))")
    assert page.run("[...document.querySelectorAll('svg')].every((s) => s.getAttribute('aria-hidden') === 'true')")
    targets = page.run("[...document.querySelectorAll('nav a')].map((a) => a.getAttribute('href'))")
    assert targets and all(page.run(f"!!document.querySelector('{target}')") for target in targets)
    assert page.run("new Set([...document.querySelectorAll('[id]')].map((e) => e.id)).size") == page.run(
        "document.querySelectorAll('[id]').length"
    )


@needs_browser
def test_arrow_keys_move_through_bars_and_say_what_they_meet(page: Chromium, files: Path) -> None:
    layers = json.loads((files / "energy.json").read_text(encoding="utf-8"))["layers"]
    page.run("document.querySelector('#breakdown .bars').focus()")
    page.press("ArrowDown")
    page.press("ArrowDown")
    assert page.run("live.textContent").startswith(f"{layers[1]['name']}; SynOps: ")
    assert page.run("!tip.hidden && tip.textContent").startswith(layers[1]["name"])
    page.run("document.querySelector('#attention .scroll').focus()")
    page.press("ArrowDown")
    page.press("ArrowRight")
    assert "attends to" in page.run("document.querySelector('#attention .readout').textContent")


@needs_browser
def test_tables_sort_by_exact_values(page: Chromium, files: Path) -> None:
    layers = json.loads((files / "energy.json").read_text(encoding="utf-8"))["layers"]
    names = "[...document.querySelectorAll('#stages tbody th')].map((cell) => cell.textContent)"
    given = [layer["name"] for layer in layers]
    assert page.run(names) == given
    page.run("document.querySelectorAll('#stages thead button')[5].focus()")
    page.press("Enter")
    expected = sorted(layers, key=lambda layer: -layer["per_sample"]["synops"])
    assert page.run(names) == [layer["name"] for layer in expected]
    assert page.run("document.querySelectorAll('#stages thead th')[5].getAttribute('aria-sort')") == "descending"
    page.press("Enter")
    expected = sorted(layers, key=lambda layer: layer["per_sample"]["synops"])
    assert page.run(names) == [layer["name"] for layer in expected]
    page.press("Enter")
    assert page.run(names) == given


@needs_browser
def test_attention_map_and_raster_show_the_recorded_numbers(page: Chromium, files: Path) -> None:
    run = json.loads((files / "energy.json").read_text(encoding="utf-8"))["sentence"]["runs"][0]
    page.run("document.querySelectorAll('#attention .heads button')[1].click()")
    counts = unpacked(run["attention"][0]["counts"], "i1").reshape(2, 10, 10)[1]
    row, column = (int(i) for i in np.unravel_index(counts.argmax(), counts.shape))
    walk(page, "attention", column, row)
    words, n = ["[CLS]", *TEXTS[1].split(), "[SEP]"], int(counts[row, column])
    assert n > 0
    shown = page.run("document.querySelector('#attention .readout').textContent")
    rate = _FORMS["significant"](n / 8)
    assert shown == f"{words[row]} attends to {words[column]}: {rate} ({n} spikes in 8 steps)"

    stage = run["stages"][2]
    page.run(
        "const select = document.getElementById('raster-stage');"
        "select.value = 2; select.dispatchEvent(new Event('change'))"
    )
    bits = [
        np.unpackbits(unpacked(stage[plane], "u1"))[: 8 * 10 * 16].reshape(8, 10, 16).astype(int)
        for plane in ("positive", "negative")
    ]
    signed = (bits[0] - bits[1]).sum(0)  # (tokens, neurons)
    neuron = int(np.abs(signed[0]).argmax())
    assert signed[0, neuron] != 0
    walk(page, "raster", 0, neuron)
    said = page.run("document.querySelector('#raster .readout').textContent")
    assert said.startswith(f"[CLS], neuron {neuron + 1}, step {stage['first_step']}: a spike of ")
    assert said.endswith(f"n = {signed[0, neuron]} of 8")


def walk(page: Chromium, plot: str, column: int, row: int) -> None:
    """Arrow keys from outside the plot to a cell; the first key meets the first cell."""
    page.run(f"document.querySelector('#{plot} .scroll').focus()")
    for key in ["ArrowDown"] * (row + 1) + ["ArrowRight"] * column:
        page.press(key)


@needs_browser
def test_hostile_strings_do_nothing(browser: Chromium, net: Network, examples: Examples, tmp_path: Path) -> None:
    data = made(net, examples)
    data["sentence"]["tokens"][1] = data["sentence"]["text"] = data["layers"][1]["name"] = HOSTILE
    data["verdict"][0] = data["provenance"][HOSTILE] = HOSTILE
    (tmp_path / "energy.html").write_text(render_html(data), encoding="utf-8")
    browser.open(tmp_path / "energy.html")
    assert browser.complaints == []
    assert browser.run("document.title").startswith("Energy report")
    assert browser.run("document.querySelectorAll('img').length") == 0
    assert browser.run("document.querySelector('blockquote').textContent") == HOSTILE
