"""Configuration files with values in them."""

import json

import pytest
import tomlkit
import yaml

from tune_cluster.trial.command.config_file import with_values

READ = {"yaml": yaml.safe_load, "json": json.loads, "toml": tomlkit.loads}
TEXTS = {
    "yaml": "batch-size: 32\noptimizer:\n  name: sgd\n  lr: 0.1\n",
    "json": '{"batch-size": 32, "optimizer": {"name": "sgd", "lr": 0.1}}',
    "toml": 'batch-size = 32\n[optimizer]\nname = "sgd"\nlr = 0.1  # kept\n',
}


@pytest.mark.parametrize("suffix", READ)
def test_values_are_written_to_their_places_in_the_file(tmp_path, suffix):
    file = tmp_path / f"conf.{suffix}"
    file.write_text(TEXTS[suffix])
    text = with_values(str(file), {"batch_size": 64, "optimizer.lr": 1e-4})
    assert READ[suffix](text) == {"batch-size": 64, "optimizer": {"name": "sgd", "lr": 1e-4}}
    assert ("# kept" in text) == (suffix == "toml")
    assert file.read_text() == TEXTS[suffix]


@pytest.mark.parametrize("name", ["rate", "optimizer.rate", "model.lr", "optimizer.lr.x"])
def test_a_name_without_a_place_is_refused(tmp_path, name):
    file = tmp_path / "conf.yaml"
    file.write_text(TEXTS["yaml"])
    with pytest.raises(ValueError, match="--config-file"):
        with_values(str(file), {name: 1})


@pytest.mark.parametrize(("name", "text"), [("a.ini", ""), ("a.json", "{"), ("a.yaml", "a: [")])
def test_a_file_that_cannot_be_read_is_refused(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match="--config-file"):
        with_values(str(tmp_path / name), {"a": 1})
    with pytest.raises(ValueError, match="--config-file"):
        with_values(str(tmp_path / f"no-{name}"), {"a": 1})
