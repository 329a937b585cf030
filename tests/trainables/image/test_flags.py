"""The flags of an image job, as tyro reads them inside a job's own."""

from dataclasses import dataclass, field, fields
from pathlib import Path

import tyro

from trainables.image.options import DataFlags, ImageFlags


@dataclass
class Job:
    image: ImageFlags = field(default_factory=ImageFlags)


def test_each_flag_has_its_name_and_what_may_change_on_resume_is_one():
    arguments = ["--image.dataset", "digits", "--image.data-dir", "d", "--image.model", "cnn"]
    found = tyro.cli(Job, args=arguments).image
    assert found == ImageFlags(dataset="digits", data_dir=Path("d"), model="cnn")
    assert set(ImageFlags.resumable) <= {flag.name for flag in fields(ImageFlags)}


def test_a_smoke_test_is_of_digits_unless_another_is_given(tmp_path):
    assert DataFlags(data_dir=tmp_path).load(seed=0, smoke_test=True).name == "digits"
