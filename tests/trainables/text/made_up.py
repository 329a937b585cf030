"""Texts that a test makes up."""

import numpy as np

from trainables.data.dataset import Part
from trainables.data.splits import split
from trainables.text.texts import Texts

WORDS = {
    "bad": ("awful", "boring", "dull", "weak"),
    "good": ("bright", "fine", "great", "warm"),
    "odd": ("curious", "strange", "unusual", "weird"),
}
OTHERS = ("a", "the", "film", "plot", "was", "and", "of", "with", "actor", "scene", "music")


def sentences(count=180, seed=0):
    """Return texts of 3 to 20 words, a few of which tell the class, and the names of their
    classes."""
    generator = np.random.default_rng(seed)
    texts, names = [], []
    for _ in range(count):
        name = str(generator.choice(list(WORDS)))
        words = list(generator.choice(OTHERS, generator.integers(2, 15)))
        for word in generator.choice(WORDS[name], generator.integers(1, 6)):
            words.insert(generator.integers(len(words) + 1), word)
        texts.append(" ".join(words))
        names.append(name)
    return texts, names


def made_up(targets="classes", *, count=180, train_ratio=0.8):
    """Return the sentences as the data of a search, with classes or numbers as targets."""
    texts, names = sentences(count)
    classes = tuple(sorted(WORDS))
    labels = np.array([classes.index(name) for name in names])
    numbers = 100 + 7.5 * labels
    return split(
        "made up",
        Part(Texts.of(texts), labels if targets == "classes" else numbers),
        class_names=classes if targets == "classes" else (),
        seed=0,
        train_ratio=train_ratio,
    )
