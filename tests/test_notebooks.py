"""Every notebook runs from top to bottom; ``--store-notebooks`` keeps what it printed and drew.

A test runs them one after another in one kernel, emptied in between, and trains one epoch. What is stored
comes from a kernel each and the epochs that the notebook shows.
"""

import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbformat import NotebookNode

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))
EPOCHS = re.compile(r"\bepochs=\d+|(?<=train, )4(?=, 50)|(?<=test, )[24](?=, (50|64)\))")
AGAIN = "import torch\ntorch.set_default_dtype(torch.float32)\n%reset -f"
pytestmark = pytest.mark.filterwarnings("ignore")  # of the kernel's own event loop


def execute(notebook: NotebookNode) -> None:
    resources = {"metadata": {"path": str(NOTEBOOKS[0].parent)}}
    NotebookClient(notebook, timeout=300, allow_errors=True, resources=resources).execute()


def one_epoch(match: re.Match[str]) -> str:
    return "epochs=1" if match[0].startswith("epochs") else "1"


@pytest.fixture(scope="module")
def executed(pytestconfig: pytest.Config) -> dict[Path, NotebookNode]:
    notebooks = {path: nbformat.read(path, as_version=4) for path in NOTEBOOKS}
    if pytestconfig.getoption("store_notebooks"):
        for notebook in notebooks.values():
            execute(notebook)
        return notebooks
    together, replaced = nbformat.v4.new_notebook(metadata=notebooks[NOTEBOOKS[0]].metadata), 0
    for notebook in notebooks.values():
        for cell in notebook.cells:
            cell.source, count = EPOCHS.subn(one_epoch, cell.source)
            replaced += count
        together.cells += [*notebook.cells, nbformat.v4.new_code_cell(AGAIN)]
    assert replaced == 6, "each number of epochs is found"
    execute(together)
    return notebooks


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_runs_from_top_to_bottom(path: Path, executed: dict[Path, NotebookNode], pytestconfig: pytest.Config):
    notebook = executed[path]
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    errors = [output for output in outputs if output.output_type == "error"]
    assert not errors, "\n".join(errors[0].traceback)
    assert not [output.text for output in outputs if output.get("name") == "stderr"], "it warns"
    assert any("image/png" in output.get("data", {}) for output in outputs), "a walkthrough shows pictures"
    if pytestconfig.getoption("store_notebooks"):
        for cell in notebook.cells:
            cell.metadata = {}
        nbformat.write(notebook, path)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_stored_with_its_output(path: Path):
    cells = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    assert all(cell.execution_count for cell in cells), "run: make notebooks"
