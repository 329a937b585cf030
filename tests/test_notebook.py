"""A study in a real kernel of Jupyter: what its cells show and return, and what stops them."""

import asyncio
import re
import threading
import time

import pytest

from tests.conftest import PATIENCE, ROOT, journal_of, table_of
from tests.test_resume import assert_whole

pytestmark = pytest.mark.long

EXAMPLE = ROOT / "examples" / "notebook.ipynb"

SEARCH = 'tc.search(slowly, {"lr": tc.log(1e-4, 1e-1)}, metric="val_loss", max_epochs=9, '

SLOWLY = """
import threading, time

def slowly(config):
    for _ in tc.epochs(9):
        time.sleep(0.05)
        tc.report(val_loss=config["lr"])
"""


class Kernel:
    """A notebook whose cells are executed one after the other."""

    def __init__(self, notebook, client, folder):
        self.notebook, self.client, self.folder = notebook, client, folder

    def run(self, code, *, fails=False):
        """Execute a cell; return all that it shows."""
        from nbformat.v4 import new_code_cell

        cell = new_code_cell(code)
        cell.metadata["tags"] = ["raises-exception"] if fails else []
        self.notebook.cells.append(cell)
        self.client.execute_cell(cell, len(self.notebook.cells) - 1)
        return "".join(shown(output) for output in cell.outputs)

    def stop_when(self, study, lines):
        """Press the stop button as soon as a journal has so many lines."""

        def press():
            deadline = time.monotonic() + PATIENCE
            while not (study / "journal.jsonl").exists() or len(journal_of(study)) < lines:
                if time.monotonic() > deadline:
                    return
                time.sleep(0.01)
            asyncio.run(self.client.km.interrupt_kernel())

        thread = threading.Thread(target=press)
        thread.start()
        return thread


def shown(output):
    """Return the visible text of an output, including errors."""
    if output.output_type == "error":
        return f"{output.ename}: {output.evalue}"
    return output["text"] if "text" in output else output["data"].get("text/plain", "")


@pytest.fixture(scope="module")
def kernel(tmp_path_factory, temporary):
    import nbformat
    from nbclient import NotebookClient

    folder = tmp_path_factory.mktemp("notebook")
    notebook = nbformat.read(EXAMPLE, as_version=4)
    client = NotebookClient(
        notebook,
        timeout=PATIENCE,
        kernel_name="python3",
        resources={"metadata": {"path": str(folder)}},
    )
    with client.setup_kernel():
        kernel = Kernel(notebook, client, folder)
        kernel.run(f"import sys; sys.path.insert(0, {str(ROOT)!r})")
        yield kernel


def test_the_example_finds_a_configuration_and_its_checkpoint(kernel):
    cells = [cell for cell in kernel.notebook.cells if cell.cell_type == "code"]
    example = cells[:-1]
    for number, cell in enumerate(kernel.notebook.cells[:-1]):
        if cell.cell_type == "code":
            kernel.client.execute_cell(cell, number)
    outputs = [output for cell in example for output in cell.outputs]
    assert not [output for output in outputs if output.get("name") == "stderr"]
    search, config, accuracy, table = (
        "".join(map(shown, cell.outputs)) for cell in example if "found" in cell.source
    )
    # A plan, new best trials, the status, a summary; not a line for each trial.
    assert search.startswith("trials")
    assert "12 of 12 trials" in search
    assert not {"stopped ", "promoted "} & {line[:9] for line in search.splitlines()}
    assert len(search.splitlines()) < 50
    assert "'optimizer': 'adam'" in config or "'optimizer': 'sgd'" in config
    assert float(accuracy.strip("'%")) > 80
    # A wide table is broken into several, of which one has the column.
    assert sum(map(table.split().count, ("finished", "stopped"))) == 5
    (study,) = (kernel.folder / "results").iterdir()
    assert study.name.startswith("notebook-")
    assert_whole(study, 12)


def test_the_code_of_the_page_gives_the_shown_output(kernel):
    page = (ROOT / "docs" / "notebooks.md").read_text()
    for block in re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL):
        output = kernel.run(block)
        if block == "found.config, found.value\n":
            assert output.startswith("({'lr': ")
    assert "'0.weight'" in kernel.run('state["objects"]["model"].keys()')
    # The last block, once more, and larger.
    kernel.run(block.replace("trials=6", "trials=7"))
    assert kernel.run("len(found), found.complete") == "(7, True)"
    assert_whole(kernel.folder / "results" / "lr", 7)
    # The study of its first block has a name of its own, and that of the example another one.
    studies = [*(kernel.folder / "results").glob("*/trials.csv")]
    assert len(studies) >= 2
    for study in studies:
        assert {row["status"] for row in table_of(study.parent)} <= {"finished", "stopped"}


def test_bad_input_is_an_error_of_its_cell(kernel):
    kernel.run(SLOWLY)
    assert kernel.run(f"{SEARCH} trails=3)", fails=True).startswith("ValueError: trails")
    assert kernel.run("1 + 1") == "2"


def test_the_stop_button_ends_the_study_in_order_and_returns_the_result_so_far(kernel):
    study = kernel.folder / "results" / "stopped"
    kernel.run("import ray; ray.init(address='local', num_cpus=2, log_to_driver=False)")
    pressed = kernel.stop_when(study, 20)
    output = kernel.run(f"stopped = {SEARCH} trials=500, name='stopped')")
    pressed.join()
    assert "ended by       interrupted" in output
    assert kernel.run("stopped.ended_by, stopped.complete") == "('interrupted', False)"
    assert float(kernel.run("stopped.value")) < 0.1
    trials = len({event["trial"] for event in journal_of(study) if event["event"] == "suggested"})
    kernel.run(f"more = {SEARCH} resume='results/stopped', epoch_budget=100)")
    assert int(kernel.run("len(more)")) > trials


def test_a_search_in_a_thread_of_the_kernel_leaves_the_ray_of_the_notebook_running(kernel):
    kernel.run("results = []")
    kernel.run(
        f"thread = threading.Thread(target=lambda: results.append({SEARCH} trials=3, name='t')))\n"
        "thread.start(); thread.join()"
    )
    assert kernel.run("results[0].complete, ray.is_initialized()") == "(True, True)"
