"""The largest batch that fits and pays, measured for real; lack of memory is a real limit."""

import json
import subprocess
import sys
import textwrap

import pytest

from trainables.image.config import ImageConfig
from trainables.image.task import ImageData
from trainables.training import batch_size_search
from trainables.training.batch_size_search import MeasuredBatch, find_batch_size

SMALL = ImageConfig(hidden_sizes=(8,), epochs=1)


@pytest.fixture(autouse=True)
def _short(monkeypatch):
    monkeypatch.setattr(batch_size_search, "MEASURED_SECONDS", 0.01)


@pytest.mark.parametrize("options", [{}, {"accumulation_steps": 3}, {"epochs_scaling": "sqrt"}])
def test_sizes_are_doubled_up_to_an_epoch_at_most(tiny, options):
    config = ImageConfig(hidden_sizes=(8,), batch_size=129, **options)
    found = find_batch_size(config, ImageData(tiny))
    sizes = [batch.batch_size for batch in found.measured]
    first = 24 if options.get("accumulation_steps") else 8
    assert sizes == [first * 2**n for n in range(len(sizes))]
    # 200 images.
    assert sizes[-1] <= 200
    assert found.batch_size in sizes
    assert all(batch.samples_per_second > 0 and batch.memory > 2**20 for batch in found.measured)
    assert json.loads(json.dumps(found.to_json()))["batch_size"] == found.batch_size


def measured(*speeds):
    return [
        MeasuredBatch(batch_size=8 * 2**n, samples_per_second=speed, memory=1)
        for n, speed in enumerate(speeds)
    ]


@pytest.mark.parametrize(
    ("speeds", "ends", "chosen"),
    [
        ((100, 190, 300), False, 32),
        ((100, 190, 200), False, 16),
        ((100, 190, 200, 205), True, 16),
        # One that is slow by chance does not end it.
        ((100, 190, 180, 300), False, 64),
        ((100, 105, 108), True, 8),
        # Small gains add up.
        ((100, 109, 111), False, 32),
    ],
)
def test_it_ends_when_two_doublings_in_a_row_do_not_pay(speeds, ends, chosen):
    assert batch_size_search._no_longer_pays(measured(*speeds)) == ends
    assert batch_size_search._last_that_pays(measured(*speeds)).batch_size == chosen


@pytest.mark.slow
def test_it_ends_where_the_memory_of_the_process_does():
    # A limit on the address space, under which PyTorch's allocator itself fails.
    program = textwrap.dedent(
        """
        import resource, json
        import numpy as np
        import torch
        from tests.trainables.made_up import split_images
        from trainables.image.config import ImageConfig
        from trainables.image.task import ImageData
        from trainables.training import batch_size_search as search
        torch.set_num_threads(1)
        search.MEASURED_SECONDS, search.LEAST_GAIN = 0.01, -0.9
        images = np.zeros((6000, 1, 16, 16), np.uint8)
        data = split_images(images, np.arange(6000) % 4, 4, name="large")
        config = ImageConfig(hidden_sizes=(1024, 1024), epochs=1)
        search.find_batch_size(config, ImageData(split_images(images[:40], np.arange(40) % 4, 4)))
        size = [int(l.split()[1]) for l in open("/proc/self/status") if l.startswith("VmSize")][0]
        resource.setrlimit(resource.RLIMIT_AS, (size * 1024 + 100 * 2**20,) * 2)
        print(json.dumps(search.find_batch_size(config, ImageData(data)).to_json()))
        """
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    found = json.loads(ran.stdout)
    assert "do not fit into memory" in found["why"]
    assert found["measured"][-1]["samples_per_second"] == 0
    assert found["batch_size"] < found["measured"][-1]["batch_size"] <= 4096
