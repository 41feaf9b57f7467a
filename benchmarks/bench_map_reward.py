"""Map reward of a group of 8 completions of 1,024 tokens, by both rules of the rewards `spacer*`.

Every answer is right, so that every map is read and compared with the true map of 12 categories and 31 objects. A map
lists each category with a wrong place or two, one object more in every third category, and lacks two categories; six
maps are dictionaries, one is cut short and one is prose. A token is a word, a number of one digit, or what stands
between them. Reading the answer, format and length are not counted.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from statistics import median
from time import process_time
from typing import cast

from measure import Figure
from rollout3d.config import Grpo
from rollout3d.tables.rows import QuestionRow
from rollout3d.training.rewards._answers import Answers, Written
from rollout3d.training.rewards._spacer import map_parts

TOKENS, ROLLOUTS, REPEATS, CALLS = 1024, 8, 15, 20
COUNTS = {
    **{"chair": 6, "table": 3, "window": 4, "door": 2, "cabinet": 5, "trash can": 2, "monitor": 3},
    **{"pillow": 2, "sofa": 1, "bed": 1, "tv": 1, "lamp": 1},
}
QUESTION = cast("QuestionRow", {"answer_type": "choice", "ground_truth": "B"})


def figures() -> Iterator[Figure]:
    draw = random.Random(0)
    truth = {name: [_cell(draw) for _ in range(n)] for name, n in COUNTS.items()}
    rollouts = [Written(_completion(_map(truth, i, draw)), TOKENS) for i in range(ROLLOUTS)]
    for variant in ("paper", "code"):
        grpo = Grpo.model_validate({"variant": variant})
        answers = Answers(QUESTION, rollouts, [1.0] * ROLLOUTS, grpo, truth)
        parts = map_parts(answers)["map"]
        if not 0.3 < min(parts) <= max(parts) < 1:
            raise AssertionError(f"the maps of the benchmark are to be neither worthless nor perfect: {parts}")
        spent = []
        for _ in range(REPEATS):
            started = process_time()
            for _ in range(CALLS):
                map_parts(answers)
            spent.append(1000 * (process_time() - started) / CALLS)
        yield Figure(
            f"Map reward of {ROLLOUTS} completions of {TOKENS:,} tokens, {variant}",
            median(spent),
            2,
            "ms",
            note=f"CPU, one core, median of {REPEATS} means of {CALLS}; longest mean {max(spent):.2g} ms",
        )


def _cell(draw: random.Random) -> list[int]:
    return [draw.randrange(10), draw.randrange(10)]


def _map(truth: dict[str, list[list[int]]], number: int, draw: random.Random) -> str:
    drawn = {name: [[*cells[0]], *(_cell(draw) for _ in cells[1:])] for name, cells in list(truth.items())[:-2]}
    for name in list(drawn)[::3]:
        drawn[name].append(_cell(draw))
    written = str(drawn)
    if number == 6:
        return written[:-8]
    return written.translate(str.maketrans("", "", "[]{}':")) if number == 7 else written


def _completion(drawn: str) -> str:
    """Return a completion of 1,024 tokens: prose around a map."""
    prose = ["I", "look", "around", "the", "room", "and", "see", "where", "each", "thing", "stands", "."]
    used = sum(1 for _ in drawn.split()) * 2  # a cell is two digits, a comma and what leads to the next one
    words = [prose[i % len(prose)] for i in range(TOKENS - used - 12)]
    half = len(words) // 2
    said = f"{' '.join(words[:half])} <map>{drawn}</map> {' '.join(words[half:])}"
    return f"<think>{said}</think>\n<answer>B</answer>"
