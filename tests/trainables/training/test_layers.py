import pytest
import torch

from trainables.training.layers import Dropout


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_share_is_dropped_and_the_rest_scaled_to_keep_the_mean(p, dtype):
    torch.manual_seed(0)
    dropped = Dropout(p)(torch.ones(500, 401, dtype=dtype))
    # Four standard deviations of the share of 200,500 units.
    assert (dropped == 0).double().mean().item() == pytest.approx(p, abs=0.0045)
    assert dropped.unique().tolist() == pytest.approx([0, 1 / (1 - p)], rel=0.01)


def test_neighbouring_units_are_dropped_independently():
    torch.manual_seed(0)
    zero = (Dropout(0.5)(torch.ones(40_000, 4)) == 0).double()
    correlation = torch.corrcoef(zero.T)
    assert (correlation - torch.eye(4)).abs().max() < 0.02


def test_the_gradient_reaches_the_kept_units_alone():
    torch.manual_seed(0)
    units = torch.ones(3, 5, 7, requires_grad=True)
    dropped = Dropout(0.5)(units)
    dropped.sum().backward()
    assert torch.equal(units.grad, dropped.detach())


def test_the_generator_determines_what_is_dropped():
    units = torch.ones(1000)
    torch.manual_seed(1)
    first = Dropout(0.5)(units)
    assert not torch.equal(first, Dropout(0.5)(units))
    torch.manual_seed(1)
    assert torch.equal(first, Dropout(0.5)(units))


def test_nothing_is_dropped_in_evaluation_or_at_a_rate_of_zero():
    units = torch.ones(1000)
    assert torch.equal(Dropout(0.5).eval()(units), units)
    assert torch.equal(Dropout(0.0)(units), units)
