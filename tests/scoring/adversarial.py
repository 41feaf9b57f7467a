"""Predictions that break scorers: seeded, the same on every machine."""

from __future__ import annotations

import random


def _each(text: str) -> list[str]:
    return text.split()


NUMBERS = (
    *_each("3 4 4.0 2.9 173 30.2 -2 +4 -0 0 .5 4. 1e3 1E-2 1,200 3,5 1_000 inf -inf nan Infinity NaN 1e400 0x10"),
    *_each("٣ ４ ٣.٥ ² ½ 2-3 2/3 1e 4.. 10 4m 3cm 30.2m² 2.9.1 five Three twenty-one seventy-three fifteen a an"),
    *_each("one zero hundred thousand someone phone often ton and"),
    *("9" * 40, "3 m", "1 200", "forty two", "two hundred and six", "nine thousand", "three thousand four hundred"),
    *("one hundred and seventy three", "thousand thousand", "two, three", "forty hundred"),
)
LETTERS = (
    *_each("A B C D a b c d E A. b. (B) **A** A) [C] A: A.. B.left AB Ａ А ß ſ ı K à A\u0301 A\ufe0f 🅰 none"),
    "A and B",
)
SPACES = (" ", "  ", "\n", "\r\n", "\t", "\u00a0", "\u3000", "\u2028", "\u200b", "\x0b", "\x1c", "\x85", "\ufeff")
TAGS = (
    *_each("<answer> </answer> <think> </think> <answer></answer> <Answer> </ANSWER> <analysis> </analysis> <map>"),
    *("</map>", "<answer", "answer>", "<think></think>", "<answer> </answer>", "<answer>\n"),
)
WORDS = (
    *_each("Answer: The about between or chairs room-2 meters . , ! ? - -- * ** ` $ \\boxed{ } ~ ≈ % ' e _ left"),
    *("Zero.", "answer is", "of the", '"', "\x00", "\ud800"),
)
KINDS = (NUMBERS, NUMBERS, NUMBERS, LETTERS, LETTERS, TAGS, WORDS)


def predictions(n: int, seed: int = 0) -> list[str]:
    """`n` texts: every piece alone, then random strings of pieces and plain answers, a third of them in tags."""
    draw = random.Random(seed)

    def space(often: float) -> str:
        return draw.choice(SPACES) if draw.random() < often else ""

    found = ["", " ", "\n\n", "x" * 20_000, "3" + " " * 5_000 + "4", "A" * 5_000, "\u00a0B", "B\u00a0", "B\nbecause"]
    found += [piece for kind in (NUMBERS, LETTERS, SPACES, TAGS, WORDS) for piece in kind]
    while len(found) < n:
        parts = [space(0.2)]
        for _ in range(draw.choice((1, 1, 1, 1, 1, 2, 2, 3, 4, 7))):
            parts += [draw.choice(draw.choice(KINDS)), space(0.6)]
        text = "".join(parts)
        if draw.random() < 0.2:
            text = draw.choice(draw.choice((NUMBERS, LETTERS))) + draw.choice(
                ("", "", ".", " meters", ". left", " or 7")
            )
        if draw.random() < 0.33:
            text = f"<think>{draw.choice(WORDS)}</think>{space(0.5)}<answer>{text}</answer>"
        found.append(text)
    return found[:n]
