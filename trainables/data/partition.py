"""Which images a network is trained on and which it is validated on: the split, or folds."""

from dataclasses import dataclass
from itertools import pairwise

from trainables.image.config import Config
from trainables.data.splits import SearchData


@dataclass(frozen=True)
class Partition:
    """Indices of images, in blocks that follow each other in `SearchData.images`."""

    train: tuple[range, ...]
    validation: range

    @property
    def samples(self) -> int:
        """Images to train on."""
        return sum(map(len, self.train))


def partitions(config: Config, data: SearchData) -> list[Partition]:
    """One partition, or one a fold.

    Without folds, a trial is trained on the first `train_ratio` of all images and validated on the
    validation part, which is the same for all. With k folds, each of k blocks of all images, both
    parts together, is the validation part of one of them. The blocks are stratified by class as
    the order of the images is (Kohavi 1995, *A Study of Cross-Validation and Bootstrap*).

    Raises:
        ValueError: a ratio above the split's own or one that leaves no image, or more folds than
            images.
    """
    total = len(data.labels)
    if config.folds:
        if config.folds > total:
            raise ValueError(
                f"folds must be at most the {total} images of {data.name}, got {config.folds}"
            )
        ends = [round(total * fold / config.folds) for fold in range(config.folds + 1)]
        blocks = [range(start, stop) for start, stop in pairwise(ends)]
        return [
            Partition(tuple(block for block in blocks if block != held_out), held_out)
            for held_out in blocks
        ]
    if config.train_ratio > data.train_ratio:
        raise ValueError(
            f"train_ratio must be at most {data.train_ratio}, the share that {data.name} was split "
            f"by, got {config.train_ratio}: split the dataset at a larger ratio or lower this one"
        )
    count = round(total * config.train_ratio)
    if count == 0:
        raise ValueError(
            f"train_ratio {config.train_ratio} leaves no image of {data.name} to train on"
        )
    if count == 1 and config.norm == "batch":
        raise ValueError(
            f"train_ratio {config.train_ratio} leaves one image of {data.name} to train on: norm "
            f"'batch' needs 2"
        )
    return [Partition((range(count),), range(data.train_count, total))]
