from itertools import islice

import pytest
import torch

from trainables.image.config import ImageConfig
from trainables.image.task import ImageData
from trainables.training import timing
from trainables.training.loop import fit
from trainables.training.state import save_state
from trainables.training.timing import time_epoch


@pytest.mark.parametrize("model", ["mlp", "cnn"])
def test_an_estimate_is_made_without_a_full_epoch_and_without_touching_the_random_state(
    tiny, model
):
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    config = ImageConfig(model=model, channels=(4,), hidden_sizes=(8,), batch_size=200)
    estimate = time_epoch(config, ImageData(tiny), seconds=0.02)
    assert 0 < estimate.step_seconds < estimate.epoch_seconds
    assert torch.equal(torch.rand(1), expected)


@pytest.mark.parametrize(("discard_seconds", "pieces"), [(60.0, 4), (0.0, 2)])
def test_one_piece_of_slow_work_is_enough_to_time_it(monkeypatch, discard_seconds, pieces):
    monkeypatch.setattr(timing, "DISCARD_SECONDS", discard_seconds)
    done = iter(range(10))
    assert timing.seconds_each(done, 3, 0.0) > 0
    assert next(done) == pieces


@pytest.mark.parametrize("options", [{}, {"folds": 3}, {"optimizer": "adam", "ema_decay": 0.9}])
def test_its_checkpoint_is_as_large_as_one_of_a_trial(tiny, tmp_path, options):
    config = ImageConfig(model="mlp", hidden_sizes=(32,), batch_size=50, **options)
    save_state(time_epoch(config, ImageData(tiny), seconds=0.02).state, tmp_path / "timed.pt")
    *_, (_, state) = islice(fit(config, ImageData(tiny)), 2)
    save_state(state, tmp_path / "trained.pt")
    timed, trained = ((tmp_path / name).stat().st_size for name in ("timed.pt", "trained.pt"))
    assert timed == pytest.approx(trained, rel=0.02)
