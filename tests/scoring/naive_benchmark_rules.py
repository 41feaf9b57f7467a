"""Second implementations of the benchmarks' own rules, character by character, from their published descriptions.

They share no code and no regular expression with the product. Each returns the letter or word that the rule reads, ""
for none, or the score itself.
"""

from __future__ import annotations

from fractions import Fraction


def word_character(character: str) -> bool:
    return character.isalnum() or character == "_"


def inside(text: str) -> str:
    """What a rule without tags is given: the first closed answer tag, else what follows the last closed thought."""
    start = text.find("<answer>")
    while start >= 0:
        end = text.find("</answer>", start)
        if end >= 0:
            return text[start + 8 : end].strip()
        break
    return text.split("</think>")[-1]


def accuracy(prediction: float, truth: float) -> float:
    """Ten thresholds; the error is absolute where the truth is 0."""
    error = abs(prediction) if truth == 0 else abs((prediction - truth) / truth)
    right = 0
    for k in range(10):
        threshold = 0.5 + k * ((0.95 - 0.5) / 9)
        right += error <= 1 - threshold
    return right / 10


def revsi_word(text: str) -> str:
    text = inside(text).strip()
    word = ""
    for character in text:
        if character == " ":
            break
        word += character
    while word and word[-1] == ".":
        word = word[:-1]
    return word.strip()


def sti_letter(text: str) -> str:
    """Six shapes in turn, each wherever it comes first; else the last character."""
    text = inside(text).strip()
    low = text.lower()
    n = len(text)

    def letter(i: int) -> str:
        return text[i].upper() if i < n and low[i] in "abcde" else ""

    def blanks(i: int) -> int:
        while i < n and text[i].isspace():
            i += 1
        return i

    for i in range(n):
        if text[i] == "(" and letter(i + 1) and text[i + 2 : i + 3] == ")":
            return letter(i + 1)
    for i in range(n):
        if low.startswith("ans", i):
            j = blanks(i + 3)
            if text[j : j + 1] == "=":
                j = blanks(j + 1)
                j += text[j : j + 1] in ("'", '"')
                if letter(j):
                    return letter(j)
    for i in range(n):
        if low.startswith("answer", i):
            j = blanks(i + 6)
            if text[j : j + 1] in (":", "="):
                j = blanks(j + 1)
                if letter(j):
                    return letter(j)
    for i in range(n):
        if low.startswith("option", i) and text[i + 6 : i + 7].isspace():
            j = blanks(i + 6)
            if letter(j):
                return letter(j)
    for i in range(n):
        if letter(i) and (i == 0 or not word_character(text[i - 1])):
            j = blanks(i + 1)
            if low[j : j + 2] == "is" or low[j : j + 3] == "was":
                j = blanks(j + (2 if low[j : j + 2] == "is" else 3))
                if low.startswith("correct", j):
                    return letter(i)
    for i in range(n):
        if letter(i) and (i == 0 or not word_character(text[i - 1])) and text[i + 1 : i + 2] in (".", ")"):
            j = i + 2
            if text[i + 1 : i + 2]:
                while True:
                    if j == n or text[j] == "\n":
                        return letter(i)
                    if not text[j].isspace():
                        break
                    j += 1
    return text[-1] if text and text[-1] in "ABCDE" else ""


def spar_choice(text: str, truth: str) -> int:
    text, truth = inside(text).lower(), truth.lower()
    if not text.strip():
        return 0
    return int(text == truth or text in truth or text[0] == truth)


def spar_number(text: str, last: bool) -> float | None:
    """The first or last run of digits, with decimals, that does not stand behind a power sign."""
    text, found, i = inside(text), [], 0
    while i < len(text):
        if not text[i].isdecimal() or (i and text[i - 1] == "^"):
            i += 1
            continue
        j = i
        while j < len(text) and text[j].isdecimal():
            j += 1
        if text[j : j + 1] == "." and text[j + 1 : j + 2].isdecimal():
            j += 1
            while j < len(text) and text[j].isdecimal():
                j += 1
        found.append(float(text[i:j]))
        i = j
    return found[-1 if last else 0] if found else None


def spar_movement(text: str, truth: str, by_truth: bool = False) -> float:
    pairs = (("right", "left", "move"), ("up", "down", "move"), ("forward", "backward", "move"))
    pairs += (("right", "left", "rotate"), ("up", "down", "rotate"))

    def axes(written: str) -> list[float]:
        values = {}
        for item in written.split(","):
            name, value = item.split(":")
            values[name] = float(value)
        return [values.get(f"{kind}_{a}", 0) - values.get(f"{kind}_{b}", 0) for a, b, kind in pairs]

    try:
        said, right = axes(inside(text)), axes(truth)
    except ValueError:
        return 0.0
    scores = [accuracy(p, t) if by_truth else accuracy(t, p) for p, t in zip(said, right, strict=True)]
    return float(sum(map(Fraction, scores)) / 5)


def first_capital(text: str, letters: str, missing_commas: bool) -> str:
    text = inside(text).strip()
    phrases = ["The best answer is", "The correct answer is", "The answer is", "The answer"]
    rest = ["The best option is", "The correct option is", "Best answer:", "Best option:"]
    phrases += [rest[0] + rest[1], rest[2] + rest[3]] if missing_commas else rest
    for phrase in phrases:
        text = "".join(text.split(phrase))
    for character in text:
        if character in letters:
            return character
    return ""


def temp_choice(text: str, whole: str) -> int:
    text = inside(text).replace("</s>", "")
    if text == whole:
        return 1
    if len(text) == 1 and text in "ABCD":
        return int(text == whole[0])
    if text[:1] and text[0] in "ABCD" and len(text) > 1 and text[1] in ".)":
        return int(text[0] == whole[0])
    return 0


def temp_yes_no(text: str, truth: str) -> int:
    text = inside(text).replace("</s>", "").lower()
    said = "yes" if text[:3] == "yes" else "no" if text[:2] == "no" else None
    return int(said == truth)


def lone(text: str, i: int) -> bool:
    """Return whether a character has no other word character beside it."""
    before, after = text[i - 1 : i] if i else "", text[i + 1 : i + 2]
    return not (before and word_character(before)) and not (after and word_character(after))


def mmsi_letter(text: str) -> str:
    text = inside(text)
    for opening, closing in (("``", "``"), ("`", "`"), ("{", "}")):
        start = text.find(opening)
        while start >= 0:
            begin = start + len(opening)
            end = text.find(closing, begin)
            part = text[begin:end] if end >= 0 else None
            if part is not None and not any(mark in part for mark in (opening[0], closing[0])):
                text = part
                start = -2
                break
            start = text.find(opening, start + 1)
        if start == -2:
            break
    for i, character in enumerate(text):
        if character in "ABCD" and lone(text, i):
            after = text[i + 1 : i + 3]
            if not (len(after) == 2 and after[0].isspace() and after[1].isascii() and after[1].isalpha()):
                return character
    return ""


def view_letter(text: str) -> str:
    line = inside(text).strip().split("\n")[-1]
    return next((c.upper() for i, c in enumerate(line) if c in "ABCDabcd" and lone(line, i)), "")


def mind_letter(text: str) -> str:
    text = inside(text)
    letters = "ABCDE"

    def last(found: list[str]) -> str:
        return found[-1] if found else ""

    def behind(text: str, *words: str) -> list[tuple[int, str]]:
        found = []
        for words_ in words:
            start = text.find(words_)
            while start >= 0:
                letter = text[start + len(words_) : start + len(words_) + 1]
                if letter and letter in letters:
                    found.append((start, letter))
                start = text.find(words_, start + 1)
        return sorted(found)

    stopped = [text[i] for i in range(len(text) - 1) if text[i] in letters and text[i + 1] == "."]
    if stopped:
        return last(stopped)
    start = text.find("<Answer>")
    if start >= 0:
        section = text[start + 8 :].split("<")[0]
        for words in (("My answer is ", "my answer is "), ("The answer is ", "the answer is ")):
            if found := behind(section, *words):
                return found[-1][1]
        alone = [c for i, c in enumerate(section) if c in letters and lone(section, i)]
        if alone:
            return last(alone)
    spaced = [c for i, c in enumerate(text) if c in letters and (i + 1 == len(text) or text[i + 1].isspace())]
    if spaced:
        return last(spaced)
    marked = [
        text[i] for i in range(1, len(text) - 1) if text[i] in letters and text[i - 1] in '*"' and text[i + 1] in '*"'
    ]
    if marked:
        return last(marked)
    answered = []
    for i in range(len(text)):
        if text.startswith("Answer", i) and not (i and word_character(text[i - 1])):
            j = i + 6 + (text[i + 6 : i + 7] == ":")
            while text[j : j + 1].isspace():
                j += 1
            if text[j : j + 1] and text[j] in letters and not (text[j + 1 : j + 2] and word_character(text[j + 1])):
                answered.append(text[j])
    if answered:
        return last(answered)
    if found := behind(text, "answer is "):
        return found[-1][1]
    for line in reversed(text.split("\n")):
        for i, character in enumerate(line):
            if character in letters and lone(line, i):
                return character
    return ""


CHOICES = {
    "sti_bench": sti_letter,
    "video_mme": lambda text: first_capital(text, "ABCD", True),
    "long_video_bench": lambda text: first_capital(text, "ABCDE", False),
    "mmsi_bench": mmsi_letter,
    "view_spatial": view_letter,
    "mind_cube": mind_letter,
    "revsi": lambda text: revsi_word(text).upper(),
}
"""Scorer -> the letter that its rule reads of a text."""
