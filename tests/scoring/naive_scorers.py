"""Second implementations of the scorers, from their published rules, character by character.

They share no code and no regular expression with the product. Slow and plain on purpose.
"""

from __future__ import annotations

import numpy as np

WORDS = {
    **{"zero": 0, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9},
    **{"ten": 10, "eleven": 11, "twelve": 12, "thirteen": 13, "fourteen": 14, "fifteen": 15, "sixteen": 16},
    **{"seventeen": 17, "eighteen": 18, "nineteen": 19, "twenty": 20, "thirty": 30, "forty": 40, "fifty": 50},
    **{"sixty": 60, "seventy": 70, "eighty": 80, "ninety": 90},
}


def official(text: str, choice: bool, truth: str) -> float:
    """VSI-Bench's evaluator."""
    word = official_word(text)
    if choice:
        return 1.0 if word.lower() == truth.lower() else 0.0
    try:
        number = float(word)
    except ValueError:
        return 0.0
    return official_accuracy(number, float(truth))


def official_word(text: str) -> str:
    word = ""
    for character in text:
        if character == " ":
            break
        word += character
    while word.endswith("."):
        word = word[:-1]
    return trimmed(word)


def trimmed(text: str) -> str:
    start, end = 0, len(text)
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    return text[start:end]


def official_accuracy(prediction: float, truth: float) -> float:
    right = 0
    thresholds = np.linspace(0.5, 0.95, int((0.95 - 0.5) / 0.05 + 2))
    for threshold in thresholds:
        if abs(prediction - truth) / truth <= 1 - float(threshold):
            right += 1
    return right / len(thresholds)


def lmms(text: str, choice: bool, truth: str) -> float:
    """lmms-eval's rule: reasoning cut, numbers in digits or words anywhere."""
    for name in ("think", "analysis"):
        text = cut(text, f"<{name}>", f"</{name}>")
    text = trimmed(text)
    if choice:
        return official(text, True, truth)
    number = lmms_number(text.lower())
    return 0.0 if number is None else official_accuracy(number, float(truth))


def cut(text: str, opening: str, closing: str) -> str:
    while True:
        start = text.find(opening)
        end = text.find(closing, start) if start >= 0 else -1
        if end < 0:
            break
        text = text[:start] + text[end + len(closing) :]
    return text if opening in text else text.split(closing)[-1]


def lmms_number(text: str) -> float | None:
    digits_at, digits = first_digits(text)
    tokens: list[tuple[int, str]] = []
    for place, character in enumerate(text):
        if not "a" <= character <= "z":
            continue
        if tokens and tokens[-1][0] + len(tokens[-1][1]) == place:
            tokens[-1] = tokens[-1][0], tokens[-1][1] + character
        else:
            tokens.append((place, character))
    known = {*WORDS, "hundred", "thousand"}
    first = next((i for i, (_, word) in enumerate(tokens) if word in known), None)
    if digits is not None and (first is None or digits_at < tokens[first][0]):
        return float(digits)
    if first is None:
        return None
    run = []
    for _, word in tokens[first:]:
        if word == "and":
            continue
        if word not in known:
            break
        run.append(word)
    parts: list[list[str]] = [[]]
    for word in run:
        if word == "thousand":
            parts.append([])
        else:
            parts[-1].append(word)
    *thousands, rest = [below_thousand(part) for part in parts]
    return float(sum(max(value, 1) * 1000 for value in thousands) + rest)


def below_thousand(words: list[str]) -> int:
    value = 0
    for word in words:
        value = max(value, 1) * 100 if word == "hundred" else value + WORDS[word]
    return value


def first_digits(text: str, sign: bool = True) -> tuple[int, str | None]:
    for place, character in enumerate(text):
        if not character.isdecimal():
            continue
        end = place
        while end < len(text) and text[end].isdecimal():
            end += 1
        if end + 1 < len(text) and text[end] == "." and text[end + 1].isdecimal():
            end += 1
            while end < len(text) and text[end].isdecimal():
                end += 1
        start = place - 1 if sign and place and text[place - 1] == "-" else place
        return start, text[start:end]
    return -1, None


def tag_of(text: str) -> str | None:
    """Content of the first `<answer>` tag that is closed somewhere after it, trimmed; None without one."""
    start = text.find("<answer>")
    end = text.find("</answer>", start + len("<answer>")) if start >= 0 else -1
    return None if end < 0 else trimmed(text[start + len("<answer>") : end])


def tagged(text: str, choice: bool, truth: str) -> float:
    content = tag_of(text)
    return official(content, choice, truth) if content else 0.0


def video_r1(text: str, choice: bool, truth: str) -> float:
    """Video-R1's evaluator, in the arithmetic that it uses: torch, single precision."""
    import torch

    answer = trimmed(tag_of(text) or text)
    if choice:
        return float(answer == truth)
    try:
        number = float("".join(character for character in answer if character != ","))
    except ValueError:
        return 0.0
    prediction, wanted = torch.tensor([number, float(truth)], dtype=torch.float32)
    thresholds = torch.arange(0.5, 0.95 + 0.05 / 2, 0.05, dtype=torch.float32)
    error = torch.abs(prediction - wanted) / (torch.abs(wanted) + 1e-8)
    return float((error < (1 - thresholds)).to(torch.float32).mean())


def spacer(text: str, choice: bool, truth: str) -> float:
    answer = tag_of(text) or text
    if choice:
        answer = "".join(answer.split("Answer:"))
        word = trimmed(answer.split(" ")[0])
        letter = word[0] if word in ("A", "B", "C", "D", "A.", "B.", "C.", "D.") else trimmed(answer)
        return 1.0 if letter.lower() == truth.lower() else 0.0
    words = words_of(trimmed(answer).lower())
    names = [*[word for word in WORDS if word != "zero"], "zero", "a", "an"]
    for name in names:
        if name in words:
            return official_accuracy(float(WORDS.get(name, 1)), float(truth))
    digits = first_digits(trimmed(answer).lower(), sign=False)[1]
    return 0.0 if digits is None else official_accuracy(float(digits), float(truth))


def words_of(text: str) -> set[str]:
    """Runs of letters, digits and underscores, as a word boundary of a regular expression separates them."""
    spaced = "".join(c if c.isalnum() or c == "_" else " " for c in text)
    return set(spaced.split(" "))
