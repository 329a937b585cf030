"""`--batch-size`: what is measured, what is said of it, and what a resume takes over."""

import pytest
import torch

from trainables.batch_size_flags import BatchSizeFlags
from trainables.image.image_classifier import ImageClassifier
from tune_cluster import Options

CONFIG = {"hidden_sizes": [8], "epochs": 1}
ON_CPU = Options()


def test_a_number_and_no_number_are_not_measured(tiny):
    assert BatchSizeFlags().values(ImageClassifier, CONFIG, tiny, ON_CPU, {}) == {}
    flags = BatchSizeFlags(batch_size=16)
    assert flags.values(ImageClassifier, CONFIG, tiny, ON_CPU, {}) == {"batch_size": 16}


@pytest.mark.long
def test_what_is_found_is_shown_with_speed_and_memory(tiny, capsys):
    flags = BatchSizeFlags(batch_size="auto")
    found = flags.values(ImageClassifier, CONFIG, tiny, ON_CPU, {})
    printed = capsys.readouterr().out
    assert f"--batch-size auto: {found['batch_size']}, since" in " ".join(printed.split())
    assert all(column in printed for column in ("batch size", "samples/s", "memory", "MB"))
    assert found["batch_size"] in (8, 16, 32, 64, 128)
    with pytest.raises(ValueError, match=r"^--batch-size auto: train_ratio must be at most"):
        flags.values(ImageClassifier, {**CONFIG, "train_ratio": 0.9}, tiny, ON_CPU, {})


@pytest.mark.skipif(torch.cuda.is_available(), reason="has a GPU")
def test_without_a_gpu_here_trials_with_one_are_not_measured(tiny):
    with pytest.raises(ValueError, match="this machine has no GPU to measure on"):
        BatchSizeFlags(batch_size="auto").values(
            ImageClassifier, CONFIG, tiny, Options(gpus_per_trial=0.5), {}
        )


def test_a_resume_takes_what_was_found():
    study = {"options": {"batch_size": "auto"}, "space": {"fixed": {"batch_size": 64}}}
    assert BatchSizeFlags.of_study(study) == {"batch_size": 64}
    assert BatchSizeFlags.of_study({"options": {"batch_size": 32}}) == {}
    assert BatchSizeFlags.of_study({"options": {}}) == {}
