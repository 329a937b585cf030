import contextlib
import json
from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainables.config import Config


@pytest.mark.parametrize(
    ("field", "value", "rule"),
    [
        ("model", "vit", "one of mlp, cnn, linear"),
        ("hidden_sizes", (), "each at least 1"),
        ("hidden_sizes", (64, 0), "each at least 1"),
        ("hidden_sizes", 64, "each at least 1"),
        ("hidden_sizes", (64, True), "each at least 1"),
        ("activation", "swish", "one of relu"),
        ("activation", ["relu"], "one of relu"),
        ("dropout", 1.0, "below 1"),
        ("dropout", -0.1, "at least 0"),
        ("channels", "32", "each at least 1"),
        ("kernel_size", 4, "odd"),
        ("optimizer", "lion", "one of sgd, adam"),
        ("learning_rate", -0.1, "above 0"),
        ("learning_rate", "0.1", "number above 0"),
        ("learning_rate", float("nan"), "above 0"),
        ("learning_rate", float("inf"), "above 0"),
        ("learning_rate_schedule", 0.1, "pairs of an epoch"),
        ("learning_rate_schedule", [1, 0.1], "pairs of an epoch"),
        ("learning_rate_schedule", [(0, 0.1)], "at least 1"),
        ("learning_rate_schedule", [(1.0, 0.1)], "an epoch"),
        ("learning_rate_schedule", [(True, 0.1)], "an epoch"),
        ("learning_rate_schedule", [(1, 0.0)], "a number above 0"),
        ("learning_rate_schedule", [(1, float("nan"))], "a number above 0"),
        ("learning_rate_schedule", [(3, 0.1), (3, 0.01)], "ascending"),
        ("momentum", 1.0, "below 1"),
        ("batch_size", 0, "at least 1"),
        ("batch_size", 32.0, "integer"),
        ("batch_size", True, "integer"),
        ("epochs", 0, "at least 1"),
        ("train_ratio", 1.0, "below 1"),
        ("train_ratio", True, "number"),
        ("min_std", 0, "above 0"),
        ("precision", "float16", "one of float32, bfloat16"),
        ("seed", -1, "at least 0"),
    ],
)
def test_an_impossible_value_is_refused_by_field_value_and_rule(field, value, rule):
    with pytest.raises(ValueError, match=f"^{field} must be") as error:
        Config(**{field: value})
    assert rule in str(error.value)
    assert repr(value) in str(error.value)


def test_the_message_reads_as_a_sentence():
    with pytest.raises(ValueError, match=r"^learning_rate must be above 0, got -0\.1$"):
        Config(learning_rate=-0.1)


def test_a_misspelt_key_is_named_with_its_neighbour_and_all_allowed_keys():
    with pytest.raises(ValueError, match=r"'learning_rat'.*did you mean learning_rate") as error:
        Config.from_dict({"learning_rat": 0.1, "batch_size": 32})
    assert all(field.name in str(error.value) for field in fields(Config))


def test_every_unknown_key_is_named():
    with pytest.raises(ValueError, match=r"'lr'.*'warmup'"):
        Config.from_dict({"lr": 0.1, "warmup": 3})


def test_absent_keys_take_their_defaults():
    assert Config.from_dict({"seed": 3}) == Config(seed=3)


def test_what_json_gives_back_equals_what_went_in():
    schedule = ((1, 0.1), (3, 0.01))
    config = Config(hidden_sizes=(64, 32), channels=(8,), learning_rate_schedule=schedule)
    assert Config.from_dict(json.loads(json.dumps(vars(config)))) == config


def test_numbers_of_numpy_become_plain_ones():
    config = Config(batch_size=np.int64(64), learning_rate=np.float32(0.5), dropout=0)
    assert (type(config.batch_size), config.batch_size) == (int, 64)
    assert (type(config.learning_rate), config.learning_rate) == (float, 0.5)
    assert type(config.dropout) is float


def test_a_rate_holds_from_its_epoch_on_and_the_constant_one_before():
    config = Config(learning_rate=0.5, learning_rate_schedule=[[2, 0.1], [4, np.float64(0.2)]])
    assert [config.learning_rate_in(epoch) for epoch in range(1, 6)] == [0.5, 0.1, 0.1, 0.2, 0.2]
    assert Config(learning_rate=0.5).learning_rate_in(7) == 0.5


def test_a_config_can_be_hashed_and_not_changed():
    config = Config(hidden_sizes=[64])
    assert hash(config) == hash(Config(hidden_sizes=(64,)))
    with pytest.raises(AttributeError):
        config.seed = 1


@given(st.dictionaries(st.sampled_from([f.name for f in fields(Config)]), st.from_type(object)))
def test_any_content_is_a_config_or_a_value_error(content):
    with contextlib.suppress(ValueError):
        Config.from_dict(content)
