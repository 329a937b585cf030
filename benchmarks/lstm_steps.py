"""Time one step of the text LSTM on a CPU, computed by oneDNN over padded texts as
`trainables.text.models.LSTM` does, and over packed sequences as torch's documentation has it.

    python benchmarks/lstm_steps.py

One thread; texts between 80% and 100% of the length; forward and backward; the median of five steps
(of one with `--quick`) after one that is not counted, the two ways in turns.
"""

import statistics
import time

import torch
from table import Row, run_benchmark
from torch import Tensor, nn

from trainables.text.config import TextConfig
from trainables.text.models import LSTM
from trainables.text.tokens import PADDING, Words
from trainables.text.vocabulary import Preparation

STEPS = 5
WORDS = 5_000
CASES = ((32, 60, 128), (64, 256, 128), (64, 256, 256))
"""Texts, words of a text, units."""


class PackedLSTM(LSTM):
    """The same model over packed sequences, as on a GPU."""

    _padded = LSTM._packed


def seconds_of(model: nn.Module, ids: Tensor) -> float:
    """Return the seconds of one step, forward and backward."""
    began = time.perf_counter()
    model(ids).square().sum().backward()
    return time.perf_counter() - began


def measure(quick: bool) -> list[Row]:
    """Time both ways in each case."""
    torch.set_num_threads(1)
    preparation = Preparation(TextConfig(), Words("words", tuple(map(str, range(WORDS)))), 256)
    rows = []
    for texts, words, units in CASES[:1] if quick else CASES:
        torch.manual_seed(0)
        config = TextConfig(model="lstm", hidden_size=units, dropout=0.0)
        ways = {"padded": LSTM(config, preparation), "packed": PackedLSTM(config, preparation)}
        ids = torch.randint(1, WORDS, (texts, words))
        for row, length in enumerate(torch.linspace(words, 0.8 * words, texts).long()):
            ids[row, length:] = PADDING
        count = 1 if quick else STEPS
        steps = [[seconds_of(way, ids) for way in ways.values()] for _ in range(1 + count)][1:]
        case = f"{texts} texts of {words} words, {units} units"
        rows += [
            Row(
                benchmark="lstm_steps",
                case=f"{case}, {way}",
                metric="seconds_per_step",
                value=statistics.median(times),
                unit="s",
            )
            for way, times in zip(ways, zip(*steps, strict=True), strict=True)
        ]
    return rows


if __name__ == "__main__":
    run_benchmark(measure, __doc__)
