"""Read a text of the geometric teacher sentence by sentence, and compare each with the room and earlier sentences."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from cot import thought_amounts, thought_places
from cot.thought_reader import GRAMMAR, Reader, Room, Untrue, hold, sentence

__all__ = ["Room", "Untrue", "read", "sentences", "thought_amounts", "thought_places"]


@sentence(":answer", "The answer is option (?P<text>[A-Z])\\.", "The answer is {text:N}\\.")
def _(r: Reader, text: str) -> None:
    r.first_saying("answer")
    hold(text == r.row["ground_truth"], f"it is {r.row['ground_truth']}")


@sentence(":answer", "So it is (?P<option>.+), option (?P<text>[A-Z])\\.")
def _(r: Reader, option: str, text: str) -> None:
    r.first_saying("answer")
    hold(text == r.row["ground_truth"], f"it is {r.row['ground_truth']}")
    hold(f"{text}. {option}" in r.row["options"], f"no option {text} says {option}")


@sentence(":find", "(?:I look for|First I find) the {a}(?: and the {b})?\\.")
def _(r: Reader, a: str, b: str | None = None) -> None:
    hold(r.type in ("object_size_estimation", "object_abs_distance") and not r.kinds, "nothing is looked for here")
    r.subject(*filter(None, (a, b)))
    hold(len(r.names) == (2 if b else 1), "it is not all that the question asks about")


@sentence(":near", "The {c} is near the {a}\\.", "Near the {a} is the {c}\\.")
def _(r: Reader, a: str, c: str) -> None:
    hold(a == r.names[2 if r.type == "direction" else 0] and c not in r.names, "that is not what is looked for")
    hold(c in r.room.nearest(r.room.the(a)[0], set(r.names)), f"{c} is not the nearest thing, or far away")


def sentences(text: str) -> list[str]:
    """The sentences of `<think>...</think>`."""
    found = re.fullmatch(r"<think>(.*)</think>\s*<answer>.*</answer>", text, re.DOTALL)
    hold(found is not None, "no thought and answer")
    return re.split(r"(?<=\.) ", found.group(1))


def read(text: str, row: Mapping[str, Any], room: Room) -> list[str]:
    """The kinds of a thought's sentences, all of them true.

    Raises `Untrue` at the first sentence that it does not know, that is false, or that refers to nothing said.
    """
    reader = Reader(row, room)
    for said in sentences(text):
        for kind, pattern, check in GRAMMAR:
            match = pattern.fullmatch(said)
            if match and kind.split(":")[0] in ("", reader.type):
                try:
                    check(reader, **match.groupdict())
                except Untrue as error:
                    raise Untrue(f"{said} ({error})") from None
                reader.kinds.append(kind.split(":")[1])
                break
        else:
            raise Untrue(f"{said} (no {reader.type} sentence that is known)")
    hold(reader.kinds[-1:] == ["answer"], "the thought does not end with the answer")
    hold(re.search(r"<answer>(.*)</answer>", text).group(1) == row["ground_truth"], "the answer is not that asked for")
    return reader.kinds
