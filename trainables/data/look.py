"""A look at a dataset before the first trial: balance of the classes, duplicates, borders between
the parts; and what each kind of data adds."""

import base64
import hashlib
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeAlias

import numpy as np
from numpy.typing import NDArray

from trainables.data.dataset import Dataset, Part, S, Targets

Keys: TypeAlias = NDArray[np.uint64]
"""Key of each sample, equal for equal content, `[n]`."""

LARGEST_RATIO = 10.0
"""Samples of the largest class for each of the smallest, beyond which accuracy misleads."""

SHARED_SHARE = 0.01
"""Share of the validation or test samples that may also be training samples without a warning."""

COPIED_SHARE = 0.05
"""Share of the training samples that may be copies of others without a warning."""

MOST_SAMPLES = 200_000
"""Number of samples whose content is looked at: a second for images of 28 x 28 pixels."""

NAMED = 5
"""Number of classes or columns that a sentence names."""

PARTS = ("training", "validation", "test")


@dataclass(frozen=True, kw_only=True)
class Section:
    """Findings in one respect."""

    title: str
    heads: tuple[str, ...] = ()
    """Heads of the columns of `rows`."""
    rows: tuple[tuple[str, ...], ...] = ()
    worded: bool = False
    """Whether the last column has texts, and no numbers."""
    text: str = ""
    picture: bytes = b""
    """PNG file; empty without one."""
    leakage: tuple[tuple[str, float], ...] = ()
    """Share of a part's samples that another part has too, by the names of both."""
    warnings: tuple[str, ...] = ()
    """Warnings for a person, before the first trial."""


@dataclass(frozen=True)
class OwnLook(Generic[S]):
    """Sections that a kind of data adds to the look at a dataset."""

    keys: Callable[[S], Keys]
    """Function of samples that returns their keys."""
    sections: Callable[[Dataset[S]], Iterable[Section]]
    """Function of a dataset, of at most `MOST_SAMPLES` samples, that returns what was found."""


@dataclass(frozen=True, kw_only=True)
class Look:
    """Findings in a dataset."""

    name: str
    source: str
    fingerprint: str
    sections: tuple[Section, ...]
    seconds: float
    """Time that it took."""

    @property
    def warnings(self) -> list[str]:
        """Sentences that a person should read before the first trial."""
        return [warning for section in self.sections for warning in section.warnings]

    @property
    def leakage(self) -> dict[str, float]:
        """Share of a part's samples that another part has too, from 0 to 1, such as of "validation
        in training"; empty if the content was not looked at."""
        return {name: share for section in self.sections for name, share in section.leakage}

    @property
    def page(self) -> str:
        """The whole look as an HTML file without other files."""
        from jinja2 import Environment

        def inline(picture: bytes) -> str:
            return f"data:image/png;base64,{base64.b64encode(picture).decode()}"

        return Environment(autoescape=True).from_string(PAGE).render(look=self, inline=inline)


def look_at(dataset: Dataset[S], own: OwnLook[S] | None = None) -> Look:
    """Look at a dataset.

    Args:
        dataset: dataset with its test set.
        own: what its kind of data adds; None for its targets alone.
    """
    began = time.perf_counter()
    sections = [*_targets(dataset)]
    if own is not None:
        few, told = shortened(dataset)
        sections += [_duplicates(few, own.keys, told), *own.sections(few)]
    return Look(
        name=dataset.name,
        source=dataset.source,
        fingerprint=dataset.fingerprint,
        sections=tuple(sections),
        seconds=time.perf_counter() - began,
    )


def shortened(dataset: Dataset[S]) -> tuple[Dataset[S], str]:
    """Return a dataset with at most `MOST_SAMPLES` samples, evenly spaced in each part, and a text
    that tells it; empty if they are all."""
    search, test = dataset.search, dataset.test
    total = len(search.targets) + len(test.targets)
    if total <= MOST_SAMPLES:
        return dataset, ""
    share = MOST_SAMPLES / total

    def spaced(start: int, stop: int) -> NDArray[np.int64]:
        return np.linspace(start, stop - 1, max(1, round((stop - start) * share))).astype(np.int64)

    train = spaced(0, search.train_count)
    rows = np.concatenate([train, spaced(search.train_count, len(search.targets))])
    tested = spaced(0, len(test.targets))
    few = replace(
        dataset,
        search=replace(
            search,
            inputs=search.inputs[rows],
            targets=search.targets[rows],
            train_count=len(train),
        ),
        test=Part(test.inputs[tested], test.targets[tested]),
    )
    return few, f"Looked at {len(rows) + len(tested):,} of {total:,} samples, evenly spaced."


def parts_of(dataset: Dataset[S]) -> dict[str, Part[S]]:
    """Return training, validation and test part by name."""
    search = dataset.search
    return dict(zip(PARTS, (search.train, search.validation, dataset.test), strict=True))


def named(names: Sequence[str]) -> str:
    """Return names in a sentence; of many the first."""
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return f"{', '.join(names[:NAMED])}{more}"


def row_keys(*arrays: NDArray[Any]) -> Keys:
    """Return a hash of each row of arrays with as many rows, of all their bytes."""
    rows = [np.ascontiguousarray(array).reshape(len(array), -1).view(np.uint8) for array in arrays]
    views = [(row.reshape(-1).data, row.shape[1]) for row in rows]
    digests = bytearray()
    for index in range(len(arrays[0])):
        digest = hashlib.blake2b(digest_size=8)
        for view, width in views:
            digest.update(view[index * width : (index + 1) * width])
        digests += digest.digest()
    return np.frombuffer(bytes(digests), np.uint64)


def _targets(dataset: Dataset[S]) -> Iterable[Section]:
    parts = parts_of(dataset)
    if dataset.search.classes:
        yield _classes({n: p.targets for n, p in parts.items()}, dataset.search.class_names)
    else:
        yield _numbers({name: part.targets for name, part in parts.items()})


def _classes(targets: dict[str, Targets], names: Sequence[str]) -> Section:
    counts = {
        part: np.bincount(found.astype(np.int64), minlength=len(names))
        for part, found in targets.items()
    }
    train, total = counts["training"], np.sum([*counts.values()], axis=0)
    order = np.argsort(-train, kind="stable")
    rows = tuple(
        (names[c], *(f"{counts[part][c]:,}" for part in PARTS), f"{total[c] / total.sum():.1%}")
        for c in order
    )
    warnings = []
    largest, smallest = int(order[0]), int(order[-1])
    ratio = train[largest] / max(train[smallest], 1)
    if ratio > LARGEST_RATIO:
        share = train[largest] / train.sum()
        warnings.append(
            f"the classes are not balanced: {ratio:.1f} training samples of {names[largest]} for "
            f"each of {names[smallest]}; a model that always predicts {names[largest]} has an "
            f"accuracy of {share:.3f} and a recall (mean over classes) of {1 / len(names):.3f}, so "
            "look at recall or F1, search by one of them (--metric), or weigh the classes "
            "(class_weights=balanced)"
        )
    for part in PARTS[1:]:
        absent = [names[c] for c in order if not counts[part][c]]
        if absent:
            warnings.append(f"the {part} part has no sample of {named(absent)}")
    return Section(
        title="Classes",
        heads=("class", *PARTS, "share"),
        rows=rows,
        warnings=tuple(warnings),
    )


QUANTILES = {
    **{"least": 0.0, "5%": 0.05, "25%": 0.25, "median": 0.5},
    **{"75%": 0.75, "95%": 0.95, "largest": 1.0},
}


def shown_number(value: float) -> str:
    """Return a number with four significant digits, in decimals where it is short in them.

    >>> [shown_number(value) for value in (0.00123, 18.62, 397412.5, 1e12, float("nan"))]
    ['0.00123', '18.62', '397,412', '1e+12', 'nan']
    """
    return f"{value:,.0f}" if 9999.5 <= abs(value) < 1e9 else f"{value:.4g}"


def quantile_row(name: str, numbers: NDArray[Any]) -> tuple[str, ...]:
    """Return the cells of a line of `QUANTILES`."""
    return (name, *map(shown_number, np.quantile(numbers, [*QUANTILES.values()])))


def _numbers(targets: dict[str, Targets]) -> Section:
    warnings = []
    train = targets["training"]
    if train.min() == train.max():
        warnings.append(f"all training targets are {train[0]:g}: there is nothing to learn")
    return Section(
        title="Targets",
        heads=("part", "samples", "mean", *QUANTILES),
        rows=tuple(
            (part, f"{len(found):,}", shown_number(found.mean()), *quantile_row(part, found)[1:])
            for part, found in targets.items()
        ),
        warnings=tuple(warnings),
    )


def _duplicates(dataset: Dataset[S], keys_of: Callable[[S], Keys], told: str) -> Section:
    parts = parts_of(dataset)
    keys = {name: keys_of(part.inputs) for name, part in parts.items()}
    train = keys["training"]
    copies = len(train) - len(np.unique(train))
    rows = [("copies inside the training part", *_share(copies, len(train)))]
    warnings, leakage = [], []
    if copies > COPIED_SHARE * len(train):
        warnings.append(
            f"{copies:,} of {len(train):,} training samples are copies of others: they count twice"
        )
    for part, other in (("validation", "training"), ("test", "training"), ("test", "validation")):
        shared = int(np.isin(keys[part], keys[other]).sum())
        rows.append(
            (f"{part} samples that are {other} samples too", *_share(shared, len(keys[part])))
        )
        leakage.append((f"{part} in {other}", shared / max(len(keys[part]), 1)))
        if shared > SHARED_SHARE * len(keys[part]):
            warnings.append(
                f"{shared:,} of {len(keys[part]):,} {part} samples are {other} samples too "
                f"({shared / len(keys[part]):.1%}): the {part} scores are too good; leave the "
                "copies out"
            )
    contradicted = _contradicted(np.concatenate([*keys.values()]), parts)
    count = sum(map(len, keys.values()))
    rows.append(("equal samples with different targets", *_share(contradicted, count)))
    if contradicted > SHARED_SHARE * count:
        warnings.append(
            f"{contradicted:,} of {count:,} samples are equal to others with another target: no "
            "model can predict both"
        )
    return Section(
        title="Duplicates",
        text=told,
        heads=("", "samples", "share"),
        rows=tuple(rows),
        warnings=tuple(warnings),
        leakage=tuple(leakage),
    )


def _contradicted(keys: Keys, parts: dict[str, Part[S]]) -> int:
    """Return the number of samples that are equal to a sample with another target."""
    targets = np.concatenate([part.targets for part in parts.values()])
    _, group = np.unique(keys, return_inverse=True)
    order = np.lexsort((targets, group))
    group, targets = group[order], targets[order]
    differs = (group[1:] == group[:-1]) & (targets[1:] != targets[:-1])
    return int(np.isin(group, group[1:][differs]).sum())


def _share(count: int, of: int) -> tuple[str, str]:
    return f"{count:,} of {of:,}", f"{count / max(of, 1):.2%}"


PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>{{ look.name }}</title>
<style>
  body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem;
         color: #222; background: #fff }
  h1 { font-size: 1.5rem } h2 { font-size: 1.15rem; margin-top: 2rem }
  table { border-collapse: collapse } th, td { padding: .15rem .8rem; text-align: right }
  th:first-child, td:first-child { text-align: left }
  .worded th:last-child, .worded td:last-child { text-align: left }
  tr { border-bottom: 1px solid #ddd }
  .warning { background: #fff3cd; border-left: 4px solid #d39e00; padding: .5rem .8rem;
             margin: .5rem 0 }
  img { max-width: 100% } .told { color: #666 }
</style>
<h1>{{ look.name }}</h1>
<p class="told">from {{ look.source }}; fingerprint {{ look.fingerprint }}; looked at in
{{ "%.1f" | format(look.seconds) }} s</p>
{% for warning in look.warnings %}<p class="warning">{{ warning }}</p>
{% else %}<p>No warnings.</p>
{% endfor %}
{% for section in look.sections %}<h2>{{ section.title }}</h2>
{% if section.text %}<p class="told">{{ section.text }}</p>{% endif %}
{% if section.rows %}<table{{ " class=worded" if section.worded }}>
<tr>{% for head in section.heads %}<th>{{ head }}</th>{% endfor %}</tr>
{% for row in section.rows %}<tr>{% for cell in row %}<td>{{ cell }}</td>{% endfor %}</tr>
{% endfor %}</table>{% endif %}
{% if section.picture %}<p><img src="{{ inline(section.picture) }}" alt="{{ section.title }}"></p>
{% endif %}
{% endfor %}
</html>
"""
"""Template of the page."""
