"""Find the objects that a text names: categories in the words of a dataset, with synonyms, plurals and compound names.

The list of each dataset in resources/categories/ gives its categories and the raw labels that mean them;
resources/other_names.csv gives further names (ours). There an empty category makes a name one of its own, since a
compound is not the thing that its last word says: a coffee table is no table. "-" marks words that stand for no thing
at all, as in "at 3 o'clock". Names are whole words, and of several at one place the longest counts.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from itertools import pairwise

from rollout3d.doors import DATASETS
from rollout3d.resources import shipped
from rollout3d.scenes.categories import RESOURCES, plain, resource

OTHER_NAMES = shipped("resources/other_names.csv")
NO_THING = "-"
_WORD = re.compile(r"[^\W_]+")
_GAP = re.compile("[\\s_'\N{RIGHT SINGLE QUOTATION MARK}-]+")
"""What may stand between two words of a name: "trash bin", "trash-bin", "tv_monitor", "o'clock"."""
_IRREGULAR = (("mouse", "mice"), ("shelf", "shelves"), ("knife", "knives"))
_HISSING = ("ss", "x", "z", "ch", "sh")
_SINGULAR_S = ("ss", "us", "is", "as")
"""Ends of words in the singular that end in s."""


@dataclass(frozen=True)
class Named:
    """A thing that a text names: the category, or None where the dataset has none for it; characters [start, end)."""

    name: str
    """The name as the vocabulary has it, in the singular where the text has a plural."""
    category: str | None
    start: int
    end: int


@dataclass(frozen=True)
class Vocabulary:
    """The names of things in texts about scans of one dataset."""

    meanings: Mapping[str, tuple[str, str | None]]
    """Every form of every name -> the name and its category, `NO_THING` for words that stand for none."""

    @cached_property
    def _lengths(self) -> dict[str, list[int]]:
        """First word of a name -> numbers of words of the names that begin with it, the largest first."""
        found: dict[str, set[int]] = {}
        for name in self.meanings:
            words = name.split()
            found.setdefault(words[0], set()).add(len(words))
        return {first: sorted(lengths, reverse=True) for first, lengths in found.items()}

    def find(self, text: str) -> list[Named]:
        """Return the things that a text names, in its order; the same thing as often as it is named.

        Characters count as in Python: code points. Looked up word by word: one expression of hundreds of names, as
        `scoring.maps` has for the few of a scene, is ten times slower.
        """
        words = [(found[0].lower(), found.start(), found.end()) for found in _WORD.finditer(text)]
        joined = [bool(_GAP.fullmatch(text, end, start)) for (*_, end), (_, start, _) in pairwise(words)]
        named: list[Named] = []
        at = 0
        while at < len(words):
            step = 1
            for n in self._lengths.get(words[at][0], ()):
                meaning = self.meanings.get(" ".join(word for word, *_ in words[at : at + n]))
                if meaning and at + n <= len(words) and all(joined[at : at + n - 1]):
                    if meaning[1] != NO_THING:
                        named.append(Named(*meaning, words[at][1], words[at + n - 1][2]))
                    step = n
                    break
            at += step
        return named


@lru_cache(maxsize=256)
def vocabulary(dataset: str, more: tuple[str, ...] = ()) -> Vocabulary:
    """Return the vocabulary of texts about scans of a dataset.

    `more`: further categories, such as those that its scene tables count; a dataset without a list has these alone. A
    name means, in this order: the category of this name, the category of the raw label of this name in the dataset's
    list, the first category of the dataset that `other_names.csv` gives it. Every other name of any list is known
    without a category: nobody counts such things in this dataset, so that a text may be right about them.
    """
    own = _labels(dataset)
    categories = {*filter(None, own.values()), *map(_plain, more)}
    meanings: dict[str, tuple[str, str | None]] = {}

    def add(name: str, category: str | None) -> None:
        for form in _forms(name):
            meanings.setdefault(form, (name, category))

    for category in sorted(categories):
        add(category, category)
    for label, category in own.items():
        if category:
            add(label, category)
    others = _other_names()
    for name, category in others:
        if category == NO_THING or category in categories:
            add(name, category)
    for name in [*(name for name, _ in others), *_names_of_lists()]:
        add(name, None)
    return Vocabulary(meanings)


@cache
def _other_names() -> list[tuple[str, str]]:
    """Return name and category of each row of `OTHER_NAMES`."""
    with open(OTHER_NAMES, newline="", encoding="utf-8") as file:
        return [(_plain(row["name"]), row["category"]) for row in csv.DictReader(file)]


def _names_of_lists() -> Iterator[str]:
    """Yield every label and category of the lists of all datasets."""
    for dataset in DATASETS.names:
        for label, category in _labels(dataset).items():
            yield label
            if category:
                yield category


@cache
def _labels(dataset: str) -> dict[str, str]:
    """Return raw label -> category, empty for none, of a dataset's list; {} for a dataset without one.

    Of ScanNet's list these are its categories by name; classes of NYU40 stand under the category's own name.
    """
    if not (RESOURCES / f"{dataset}.csv").is_file():
        return {}
    rows = resource(dataset)
    named = ((row["category"] if row.get("part") == "nyu40" else row.get("key") or row["label"], row) for row in rows)
    return {_plain(label): row["category"] for label, row in named}


def _plain(name: str) -> str:
    return plain(_GAP.sub(" ", name))


def _forms(name: str) -> Iterable[str]:
    """Return a name, its plural, and its singular if it is a plural ("shoes")."""
    before, _, last = name.rpartition(" ")
    lasts = [last]
    if last.endswith("s") and not last.endswith(_SINGULAR_S) and len(last) > 2:
        lasts.append(last.removesuffix("s"))
    else:
        lasts += [last.removesuffix(one) + many for one, many in _IRREGULAR if last.endswith(one)]
        lasts.append(_plural(last))
    return [f"{before} {each}".strip() for each in lasts]


def _plural(word: str) -> str:
    """Return the regular plural: chairs, boxes, benches, batteries."""
    if word.endswith(_HISSING):
        return f"{word}es"
    if len(word) > 1 and word.endswith("y") and word[-2] not in "aeiou":
        return f"{word[:-1]}ies"
    return f"{word}s"
