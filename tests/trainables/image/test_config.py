import contextlib
import json
import re
from dataclasses import fields, replace
from ipaddress import ip_network

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainables.image.config import ImageConfig


@pytest.mark.parametrize(
    ("place", "value", "rule"),
    [
        ("folds", 1, "at least 2"),
        ("nesterov", 1, "boolean"),
        ("gamma", 0.0, "above 0"),
        ("gamma", 1.1, "at most 1"),
        ("final_lr_fraction", 1.1, "at most 1"),
        ("grad_clip_norm", -1.0, "at least 0"),
        ("loss", "mse", "one of cross_entropy, margin, focal"),
        ("print_freq", -1, "at least 0"),
        ("model", "vit", "one of mlp, cnn, resnet, linear"),
        ("hidden_sizes", (), "at least 1 item"),
        ("hidden_sizes[1]", (64, 0), "at least 1"),
        ("hidden_sizes", 64, "tuple"),
        ("hidden_sizes", range(1, 10**12), "tuple"),
        ("hidden_sizes[1]", (64, True), "integer"),
        ("activation", "swish", "one of relu"),
        ("activation", ["relu"], "one of relu"),
        ("dropout", 1.0, "below 1"),
        ("dropout", -0.1, "at least 0"),
        ("channels", "32", "tuple"),
        ("kernel_size", 4, "odd"),
        ("optimizer", "lion", "one of sgd, adam, adamw, adagrad, rmsprop"),
        ("learning_rate", -0.1, "above 0"),
        ("learning_rate", "0.1", "number"),
        ("learning_rate", float("nan"), "finite number"),
        ("learning_rate", float("inf"), "finite number"),
        ("learning_rate_schedule", 0.1, "tuple"),
        ("learning_rate_schedule[0]", [1, 0.1], "tuple"),
        ("learning_rate_schedule[0][0]", [(0, 0.1)], "at least 1"),
        ("learning_rate_schedule[0][0]", [(1.0, 0.1)], "integer"),
        ("learning_rate_schedule[0][0]", [(True, 0.1)], "integer"),
        ("learning_rate_schedule[0][1]", [(1, 0.0)], "above 0"),
        ("learning_rate_schedule[0][1]", [(1, float("nan"))], "finite number"),
        ("learning_rate_schedule", [(3, 0.1), (3, 0.01)], "ascending"),
        ("momentum", 1.0, "below 1"),
        ("batch_size", 0, "at least 1"),
        ("batch_size", 32.0, "integer"),
        ("batch_size", True, "integer"),
        ("epochs", 0, "at least 1"),
        ("train_ratio", 1.0, "below 1"),
        ("train_ratio", True, "number"),
        ("min_std", 0, "above 0"),
        ("precision", "float16", "one of float32, tf32, bfloat16"),
        ("seed", -1, "at least 0"),
    ],
)
def test_an_impossible_value_is_refused_by_place_value_and_rule(place, value, rule):
    field, _, inside = place.partition("[")
    with pytest.raises(ValueError, match=f"^{re.escape(place)} must .*{rule}") as error:
        ImageConfig.from_dict({field: value})
    for index in inside.removesuffix("]").split("][") if inside else []:
        value = value[int(index)]
    assert str(error.value).endswith(f", got {value!r}")


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"label_smoothing": 0.1, "loss": "margin"}, "cross entropy alone: got 0.1 with loss 'ma"),
        ({"epochs_ending": 3, "epochs": 2}, "must fit into epochs: got 0 and 3 of 2"),
        ({"epochs_warmup": 1.5, "epochs_ending": 1, "epochs": 2}, "got 1.5 and 1 of 2"),
        ({"accumulation_steps": 3}, "must divide batch_size: got 3 and 128"),
        ({"freeze_epochs": 1}, "needs pretrained weights: got 1 and none"),
        ({"freeze_epochs": 5, "pretrained": "w.pt", "epochs": 5}, "over the data: got 5 of 5"),
        (
            {"epochs_scaling": "sqrt", "batch_size_schedule": "linear"},
            "epochs_scaling needs a constant batch size",
        ),
        (
            {"epochs_scaling": "sqrt", "learning_rate_schedule": [(1, 0.1)]},
            "and no learning_rate_schedule, whose epochs it would move: got 'sqrt'",
        ),
        ({"nesterov": True, "momentum": 0}, "nesterov needs a momentum above 0"),
        ({"norm": "batch", "batch_size": 4, "accumulation_steps": 4}, "got batch_size 4 in 4"),
        (
            {
                "batch_size_schedule": "linear",
                "final_batch_size": 33,
                "accumulation_steps": 2,
            },
            "final_batch_size must be a multiple of accumulation_steps: got 33 and 2",
        ),
        (
            {"schedule": "milestones", "milestones": (10, 27)},
            "milestones must be below epochs: got 27 of 27",
        ),
        (
            {"schedule": "milestones", "milestones": (1.5,), "milestone_unit": "updates"},
            "milestones in updates must be whole numbers: got [1.5]",
        ),
        (
            {
                "schedule": "milestones",
                "milestone_unit": "updates",
                "batch_size_schedule": "linear",
            },
            "milestones in updates need a constant batch size: got batch_size_schedule 'linear'",
        ),
        (
            {"schedule": "restarts", "fall_epochs": 28},
            "fall_epochs must be at most epochs: got 28 of 27",
        ),
        (
            {"schedule": "linear", "linear_epochs": 26, "epochs_warmup": 2},
            "epochs_warmup and linear_epochs must fit into epochs: got 2 and 26 of 27",
        ),
        (
            {"learning_rate_schedule": [(1, 0.1)], "schedule": "cosine"},
            "needs schedule 'constant': got 'cosine'",
        ),
    ],
)
def test_two_fields_that_do_not_go_together_are_refused_with_both_values(fields, said):
    with pytest.raises(ValueError, match=re.escape(said)):
        ImageConfig.from_dict(fields)


@pytest.mark.parametrize(
    ("optimizer", "rate"), [("sgd", 1e-2), ("adagrad", 1e-2), ("adam", 1e-3), ("adamw", 1e-3)]
)
def test_where_no_learning_rate_is_said_it_is_the_optimizers(optimizer, rate):
    assert ImageConfig(optimizer=optimizer).learning_rate == rate
    assert ImageConfig(optimizer=optimizer, learning_rate=0.5).learning_rate == 0.5


@pytest.mark.parametrize(
    ("scaling", "rate"), [("none", 0.1), ("linear", 0.4), ("sqrt", 0.2), ("inverse", 0.025)]
)
def test_the_learning_rate_is_scaled_by_the_batch_size(scaling, rate):
    config = ImageConfig(learning_rate=0.1, batch_size=256, base_batch_size=64, lr_scaling=scaling)
    assert config.learning_rate_in(1) == pytest.approx(rate)


def test_a_batch_size_schedule_goes_from_one_size_to_the_other_either_way():
    grows = ImageConfig(batch_size=32, final_batch_size=128, epochs=4, batch_size_schedule="linear")
    assert [grows.batch_size_in(epoch) for epoch in (1, 2, 3, 4)] == [32, 64, 96, 128]
    falls = replace(grows, batch_size=128, final_batch_size=20, accumulation_steps=4)
    sizes = [falls.batch_size_in(epoch) for epoch in (1, 2, 3, 4)]
    assert (sizes[0], sizes[-1]) == (128, 20)
    assert sizes == sorted(sizes, reverse=True)
    assert not any(size % 4 for size in sizes)


def test_the_message_reads_as_a_sentence():
    with pytest.raises(ValueError, match=r"^learning_rate must be above 0, got -0\.1$"):
        ImageConfig.from_dict({"learning_rate": -0.1})


def test_a_misspelt_key_is_named_with_its_neighbour_and_all_allowed_keys():
    with pytest.raises(ValueError, match=r"'learning_rat'.*did you mean learning_rate") as error:
        ImageConfig.from_dict({"learning_rat": 0.1, "batch_size": 32})
    assert all(field.name in str(error.value) for field in fields(ImageConfig))


def test_every_unknown_key_is_named():
    with pytest.raises(ValueError, match=r"'lr'.*'warmup'"):
        ImageConfig.from_dict({"lr": 0.1, "warmup": 3})


def test_absent_keys_take_their_defaults():
    assert ImageConfig.from_dict({"seed": 3}) == ImageConfig(seed=3)


def test_what_json_gives_back_equals_what_went_in():
    schedule = ((1, 0.1), (3, 0.01))
    config = ImageConfig(hidden_sizes=(64, 32), channels=(8,), learning_rate_schedule=schedule)
    assert ImageConfig.from_dict(json.loads(json.dumps(vars(config)))) == config


def test_numbers_of_numpy_become_plain_ones():
    config = ImageConfig(batch_size=np.int64(64), learning_rate=np.float32(0.5), dropout=0)
    assert (type(config.batch_size), config.batch_size) == (int, 64)
    assert (type(config.learning_rate), config.learning_rate) == (float, 0.5)
    assert type(config.dropout) is float


def test_a_rate_holds_from_its_epoch_on_and_the_constant_one_before():
    config = ImageConfig(learning_rate=0.5, learning_rate_schedule=[[2, 0.1], [4, np.float64(0.2)]])
    assert [config.learning_rate_in(epoch) for epoch in range(1, 6)] == [0.5, 0.1, 0.1, 0.2, 0.2]
    assert ImageConfig(learning_rate=0.5).learning_rate_in(7) == 0.5


def test_a_config_can_be_hashed_and_not_changed():
    config = ImageConfig(hidden_sizes=[64])
    assert hash(config) == hash(ImageConfig(hidden_sizes=(64,)))
    with pytest.raises(AttributeError):
        config.seed = 1  # type: ignore[misc]


@pytest.mark.parametrize("name", [field.name for field in fields(ImageConfig)])
def test_no_field_takes_an_iterable_that_is_no_list(name):
    # Pydantic would build a tuple of its numbers until the memory is full.
    with pytest.raises(ValueError, match=name):
        ImageConfig.from_dict({name: ip_network("::/0")})


@given(
    st.dictionaries(st.sampled_from([f.name for f in fields(ImageConfig)]), st.from_type(object))
)
def test_any_content_is_a_config_or_a_value_error(content):
    with contextlib.suppress(ValueError):
        ImageConfig.from_dict(content)


@pytest.mark.parametrize(
    ("scaling", "batch_size", "passes"),
    [
        ("none", 512, 27),
        ("equal_updates", 512, 108),
        ("equal_updates", 32, 7),
        ("equal_updates", 1, 1),
        ("sqrt", 512, 54),
        ("sqrt", 32, 14),
        ("sqrt", 128, 27),
    ],
)
def test_passes_are_coupled_with_the_batch_size(scaling, batch_size, passes):
    config = ImageConfig(epochs_scaling=scaling, batch_size=batch_size)
    assert config.passes == passes
    # However many there are, the run ends at its epochs.
    assert config.epoch_after(passes) == 27
    assert config.epoch_after(1) == pytest.approx(27 / passes)
