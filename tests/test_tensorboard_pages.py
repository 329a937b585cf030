"""TensorBoard's real pages of a study in a headless Chromium."""

import csv
import shutil

import pytest

from tests.chromium import opened_pages
from tests.conftest import journal_of
from tests.journals import trials_from
from tests.tensorboard_server import served
from tune_cluster.callbacks.hparams import STATUS_NUMBERS

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(
        shutil.which("chromium") is None or shutil.which("chromedriver") is None,
        reason="needs chromium and chromedriver",
    ),
]


def test_hparams_and_time_series_have_one_row_for_each_trial(smoke_test):
    folder, _ = smoke_test
    study = folder / "results" / "smoke"
    with (study / "trials.csv").open() as file:
        table = {f"trials/{int(row['trial']):04d}": row for row in csv.DictReader(file)}
    rungs = {f"trials/{i:04d}": t.rung for i, t in trials_from(journal_of(study)).items()}

    with served(study) as address, opened_pages(address) as pages:
        heading, lines = pages.hparams()
        runs = pages.time_series("learning_rate")

    names = [name.split(":")[0] for name in heading]
    assert set(lines) == set(table)
    for name, line in lines.items():
        # The later of the two columns `epochs`, that of the trained epochs.
        row, cells = table[name], dict(zip(names, line, strict=True))
        assert float(cells["learning_rate"]) == pytest.approx(float(row["learning_rate"]), rel=1e-4)
        assert float(cells["batch_size"]) == float(row["batch_size"])
        assert cells["model"] == row["model"]
        assert float(cells["best/val_accuracy"]) == pytest.approx(
            float(row["val_accuracy"]), rel=1e-4
        )
        assert float(cells["best_epoch"]) == float(row["best_epoch"])
        assert float(cells["status"]) == STATUS_NUMBERS[row["status"]]
        assert float(cells["epochs"]) == float(row["epochs_run"])
        no_rung = cells["stopped_rung"] in ("", "NaN")
        assert (None if no_rung else float(cells["stopped_rung"])) == rungs[name]

    # The study itself is a run, which has the columns, and another one, which has its curves.
    assert set(runs) == {*table, ".", "course"}
    for name, row in table.items():
        assert float(runs[name]) == pytest.approx(float(row["learning_rate"]), abs=5e-5)
