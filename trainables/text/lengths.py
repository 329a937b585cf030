"""Notes on the lengths of texts, printed before a study."""

import torch

from trainables.data.dataset import Dataset
from trainables.text.batching import TOGETHER, by_length, padding_share
from trainables.text.config import TextConfig
from trainables.text.preparation import prepared_for
from trainables.text.texts import Texts


def sentences_on(dataset: Dataset[Texts]) -> list[str]:
    """Return sentences on the lengths of the training texts, where they are cut, and the share of
    padding, with the defaults of `TextConfig`."""
    data, config = dataset.search, TextConfig(min_count=1)
    (found,) = prepared_for(config, data, [(range(data.train_count),)])
    lengths, longest = found.lengths[: data.train_count], found.preparation.length
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        order = torch.randperm(len(lengths))[: TOGETHER * config.batch_size]
        mixed = order.split(config.batch_size)
        alike = by_length(lengths[order], [len(rows) for rows in mixed])
    shares = padding_share(lengths[order], alike), padding_share(lengths, mixed)
    return [
        f"half of the training texts have at most {int(lengths.median())} words; what is beyond "
        f"{longest} is cut, of {found.truncated:.1%} of the texts (length_quantile, max_length)",
        f"{shares[0]:.1%} of a batch of {config.batch_size} are padding, since its texts are of "
        f"like length; {shares[1]:.0%} if they were mixed",
    ]
