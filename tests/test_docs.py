"""Every shell block of README.md and docs runs, page by page, in a folder with a tiny task; every Python block too.

A block that cannot run here says why in its info string: ```sh skip="needs four GPUs". The embedded default (reviews,
MiniLM) is replaced by a tiny one, so that a page takes seconds.
"""

from __future__ import annotations

import hashlib
import importlib.util
import inspect
import json
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

import spk2loihi as s2l
from spk2loihi import api
from spk2loihi.data import Examples
from spk2loihi.results import FOLDER_MARK, teacher_mark
from support.netx_files import dense, inputs, write_netx
from support.tiny_task import POSITIONS, TinyTask, make_tiny_task, sentences, spk2loihi, write_csv

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(r'^```(\w*)(?: skip="([^"]+)")?[ \t]*$(.*?)^```[ \t]*$', re.MULTILINE | re.DOTALL)
WITHOUT_LAVA = sys.version_info >= (3, 11)


@dataclass(frozen=True)
class Block:
    language: str
    skip: str | None
    lines: list[str]


def blocks(page: Path) -> list[Block]:
    found = []
    for match in FENCE.finditer(page.read_text(encoding="utf-8")):
        lines = match[3].replace("\\\n", " ").strip("\n").splitlines()
        found.append(Block(match[1], match[2], lines))
    return found


def runnable(page: Path) -> bool:
    return any(block.language in ("sh", "python") and not block.skip for block in blocks(page))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_stand_in_blocks_that_are_run(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert text.count("```") % 2 == 0
    assert len(FENCE.findall(text)) == len(re.findall(r"^```", text, re.MULTILINE)) / 2, (
        "an info string is not understood"
    )
    command = re.compile(r"\s*(?:\$ )?(?:spk2loihi|uv|pip|accelerate|mkdocs) ")
    for block in blocks(page):
        assert block.language == "sh" or not any(command.match(line) for line in block.lines), block
    outside = FENCE.sub("", text)
    assert not re.findall(r"^ {4,}(?:\$ )?(?:spk2loihi|uv|pip) .*", outside, re.MULTILINE)


@pytest.fixture(scope="module")
def tasks(tmp_path_factory: pytest.TempPathFactory) -> dict[int, TinyTask]:
    """The tiny task with a BERT of 2 layers and, for the guide whose examples choose among six, of 6."""
    return {layers: make_tiny_task(tmp_path_factory.mktemp(f"layers-{layers}"), layers) for layers in (2, 6)}


@pytest.fixture(scope="module")
def trained(tasks: dict[int, TinyTask], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with what a reader of a guide has: model.pt, model.net, teacher."""
    folder = tmp_path_factory.mktemp("trained")
    task = tasks[2]
    train = ["train", *task.data_options, "--teacher", task.teacher, "--max-tokens", 16, "-o", folder / "model.pt"]
    for command in (train, ["export", folder / "model.pt", "-o", folder / "model.net"]):
        outcome = spk2loihi(*command)
        assert outcome.code == 0, outcome.err
    return folder


def prepare(folder: Path, trained: Path, task: TinyTask) -> None:
    """Everything the pages name: the trained network, data in every layout, a corpus, price tables, a netx file."""
    for name in ("model.pt", "model.net", "metrics.json"):
        shutil.copy(trained / name, folder)
    (folder / "teacher").mkdir()
    for name in ("config.json", "model.safetensors", "tokenizer.json"):
        shutil.copy(task.tuned / name, folder / "teacher")
    (folder / "teacher" / FOLDER_MARK).write_text(json.dumps(teacher_mark()))  # as train leaves it
    rows = {"train": sentences(60, 3), "dev": sentences(20, 4)}
    for part, examples in rows.items():
        both = [(text, label, text, label) for text, label in examples]
        write_csv(folder / f"{part}.csv", both, ("review", "stars", "text", "label"))
        for data in ("DATA", "GLUE"):
            (folder / data / "SST-2").mkdir(parents=True, exist_ok=True)
            glue = [f"{text}\t{int(label == 'pos')}" for text, label in examples]
            (folder / data / "SST-2" / f"{part}.tsv").write_text("\n".join(["sentence\tlabel", *glue]) + "\n")
    (folder / "wiki.txt").write_text("\n".join(text for text, _ in sentences(80, 5)) + "\n")
    synop = {"value": 12.5, "unit": "pJ", "source": "made up for the test"}
    board = {
        "name": "my-board",
        "kind": "chip",
        "scope": "a test",
        "memory": "included",
        "coefficients": {"synop": synop},
    }
    (folder / "my-board.json").write_text(json.dumps(board))
    rng = np.random.default_rng(0)
    weights = [rng.integers(-20, 60, shape) for shape in ((6, 4), (5, 6), (3, 5))]
    write_netx(folder / "network.net", inputs(4), *(dense(weight) for weight in weights))
    np.save(folder / "in.npy", rng.integers(0, 2, (4, 16)).astype(np.int8))


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in PAGES if runnable(page)], ids=lambda page: page.name)
def test_the_commands_of_a_page_run(
    page: Path, tasks: dict[int, TinyTask], trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = tasks[6 if page.name == "train.md" else 2]
    prepare(tmp_path, trained, task)
    monkeypatch.chdir(tmp_path)
    reviews = [
        Examples([text for text, _ in part], None, [int(label == "pos") for _, label in part])
        for part in (sentences(60, 1), sentences(20, 2))
    ]
    monkeypatch.setattr("spk2loihi.data.tasks.load_reviews", lambda: reviews)
    monkeypatch.setattr("spk2loihi.training.teacher.embedded_teacher", lambda: task.teacher)
    monkeypatch.setattr("spk2loihi.training.settings.TrainSettings.max_tokens", POSITIONS)
    ran, namespace = 0, dict[str, object]()  # blocks of a page build on one another
    for block in blocks(page):
        if block.skip:
            continue
        if block.language == "python":
            exec(compile("\n".join(block.lines), str(page), "exec"), namespace)
            ran += 1
        elif block.language == "sh":
            for line in block.lines:
                words = shlex.split(line, comments=True)
                if words:
                    run(words, line)
                    ran += 1
    assert ran > 0
    if page.name == "demo.md":
        check_run_files(tmp_path / "first-run")


def check_run_files(folder: Path) -> None:
    """The five of a demo, and the network that its own has written again is the one that the demo went on with."""
    names = {"model.pt", "model.net", "simulate.json", "simulate-cpu.json", "energy.html"}
    if WITHOUT_LAVA:
        names.remove("simulate-cpu.json")
    assert {file.name.removesuffix(".run.yaml") for file in folder.glob("*.run.yaml")} == names
    digest = hashlib.sha256((folder / "model.net").read_bytes()).hexdigest()
    assert json.loads((folder / "energy.json").read_text())["provenance"]["network_sha256"] == digest


def run(words: list[str], line: str) -> None:
    """`spk2loihi` in this process, where torch is loaded already; anything else as it is."""
    if WITHOUT_LAVA and ("cpu" in words or words[:2] == ["spk2loihi", "verify"]):
        return  # Lava exists for Python 3.10 only
    if words[0] == "spk2loihi":
        assert not {"&&", "|", ";", ">"} & set(words), f"one command a line: {line}"
        outcome = spk2loihi(*words[1:])
        assert outcome.code == 0, f"{line}\n{outcome.out}\n{outcome.err}"
    else:
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("mkdocs") is None, reason="mkdocs is not installed: uv sync --group docs")
def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "tutorial" / "index.html").is_file()
    page = (tmp_path / "api" / "index.html").read_text(encoding="utf-8")
    documented = set(re.findall(r'id="spk2loihi\.(?:\w+\.)*(\w+)"', page))
    functions = [getattr(api, name, None) for name in s2l.__all__]
    returned = {str(inspect.signature(each).return_annotation) for each in functions if inspect.isfunction(each)}
    results = set(re.findall(r"\b[A-Z]\w+", " ".join(returned))) - {"Any"}
    assert {*s2l.__all__, *results, "plot_raster"} - {"__version__"} <= documented
    pages = [page.read_text(encoding="utf-8") for page in tmp_path.rglob("*.html")]
    assert not [page[:200] for page in pages if "skip=" in page or "<p>```" in page], "a fence is shown as text"
