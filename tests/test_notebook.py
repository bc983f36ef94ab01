"""The notebooks of docs run from their first cells to their last, the one that trains on a tiny task."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from support.tiny_task import TinyTask

DOCS = Path(__file__).parent.parent / "docs"
NOTEBOOK, OWN_NETWORK, SWEEP = (DOCS / f"notebook{name}.ipynb" for name in ("", "-network", "-sweep"))


def tagged(cell: nbformat.NotebookNode, tag: str) -> bool:
    return tag in cell.metadata.get("tags", [])


@pytest.mark.parametrize("path", sorted(DOCS.glob("*.ipynb")), ids=lambda path: path.name)
def test_a_notebook_is_committed_with_its_outputs(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    kinds = {output.output_type for cell in cells for output in cell.outputs}
    assert kinds <= {"execute_result", "display_data", "stream"}, "a cell has failed"
    shown = "".join(str(output.get("data", "")) for cell in cells for output in cell.outputs)
    assert "image/png" in shown and "text/html" in shown
    assert str(Path.home()) not in str(notebook), "a path of the machine it ran on"
    assert not re.search(r"/(?:tmp|home|root|work|Users)/", str(notebook)), "a path of the machine it ran on"


@pytest.mark.slow
def test_every_cell_runs(tiny_task: TinyTask, tmp_path: Path) -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    (parameters,) = (cell for cell in notebook.cells if tagged(cell, "parameters"))
    data = {"train_file": str(tiny_task.train_file), "dev_file": str(tiny_task.dev_file)}
    parameters.source += (
        f"\ndata = {data}\nteacher = {str(tiny_task.tuned)!r}\n"
        "options = {'timesteps': 8, 'max_tokens': 16}\nsentences = ['the good film', 'a dull and boring plot']"
    )
    if sys.version_info >= (3, 11):  # Lava exists for Python 3.10 only
        notebook.cells = [cell for cell in notebook.cells if not tagged(cell, "lava")]
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    assert {"model.pt", "model.net", "energy.html"} <= {file.name for file in tmp_path.iterdir()}


@pytest.mark.slow
def test_every_cell_about_an_own_network_runs(tmp_path: Path) -> None:
    notebook = nbformat.read(OWN_NETWORK, as_version=4)
    if sys.version_info >= (3, 11):
        notebook.cells = [cell for cell in notebook.cells if not tagged(cell, "lava")]
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    assert {"network.net", "energy.html", "energy.json"} <= {file.name for file in tmp_path.iterdir()}


@pytest.mark.slow
def test_every_cell_about_a_sweep_runs(tiny_task: TinyTask, tmp_path: Path) -> None:
    notebook = nbformat.read(SWEEP, as_version=4)
    (parameters,) = (cell for cell in notebook.cells if tagged(cell, "parameters"))
    data = {"train_file": str(tiny_task.train_file), "dev_file": str(tiny_task.dev_file)}
    parameters.source += (
        f"\ndata = {data}\nteacher = {str(tiny_task.tuned)!r}\n"
        "training = {'layers': 'uniform:1', 'max_tokens': 16, 'steps': 3, 'batch_size': 10}"
    )
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    assert {"sweep", "energy.html"} <= {file.name for file in tmp_path.iterdir()}
