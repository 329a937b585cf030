import pytest
import torch

from trainables.config import Config
from trainables.timing import time_epoch


@pytest.mark.parametrize("model", ["mlp", "cnn"])
def test_an_estimate_is_made_without_a_full_epoch_and_without_touching_the_random_state(
    tiny, model
):
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    config = Config(model=model, channels=(4,), hidden_sizes=(8,), batch_size=200)
    assert time_epoch(config, tiny, seconds=0.02) > 0
    assert torch.equal(torch.rand(1), expected)
