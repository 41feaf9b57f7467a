"""TempCompass's matching by rule, without the judge that its authors ask where no rule applies.

Source: llyx97/TempCompass, eval_multi-choice.py, eval_yes_no.py and eval_caption_matching.py with `--disable_llm`.

- Choice: the whole right option ("B. slowly"); or one of the letters A to D alone; or a text that begins with such a
  letter and a full stop or a closing bracket, which decides whatever follows.
- Yes or no: a text that begins with "yes" or "no", ignoring case.
- Caption matching (options without letters): a whole option ("Caption A: ..."), its sentence, also behind ") ", or its
  label with or without full stops. The last option that matches in any of these ways counts, labels after sentences.

Its faults are kept: "B" with white space around it, "(B)", "B: slowly" and "the answer is B" are wrong; "nothing" and
"not sure" are no.

Departures: a text that no rule reads is wrong, where the authors ask gpt-3.5-turbo by default; the content of an
`<answer>` tag stands for the text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rollout3d.scoring.match import NOTHING, Numeric, Score, match
from rollout3d.scoring.parse import said

READS_TAG = True


def score(text: str, row: Mapping[str, Any], numeric: Numeric = "mra") -> Score:
    """Score what the text says (`answer_type`, `ground_truth` and, where they are there, `options` are read)."""
    answer, truth, options = said(text).replace("</s>", ""), row["ground_truth"], row.get("options") or ()
    if not answer.strip():
        return NOTHING
    if row["answer_type"] == "choice" and (not options or options[0].startswith("A.")):
        letter = _letter(answer, truth, options)
        return NOTHING if letter is None else Score(letter, float(letter == truth))
    if options:
        chosen = _matching(answer, options)
        return NOTHING if chosen is None else Score(chosen, float(_names(truth, chosen)))
    if row["answer_type"] == "text" and truth in ("yes", "no"):
        begins = next((word for word in ("yes", "no") if answer.lower().startswith(word)), None)
        return NOTHING if begins is None else Score(begins, float(begins == truth))
    return Score(answer, match(answer, row["answer_type"], truth, numeric))


def _letter(answer: str, truth: str, options: Sequence[str]) -> str | None:
    if answer in options and answer[0] == truth:
        return truth
    if answer in ("A", "B", "C", "D") or (answer[0] in "ABCD" and answer[1:2] in (".", ")")):
        return answer[0]
    return None


def _matching(answer: str, options: Sequence[str]) -> str | None:
    """Return how the answer names an option: whole, by its sentence or by its label; None if it names none."""
    parts = [option.split(": ") for option in options]
    found = [option for option in options if option == answer]
    behind = answer.split(") ")[1] if ") " in answer else None
    found += [part[1] for part in parts if len(part) > 1 and part[1] in (answer, behind)]
    found += [part[0] for part in parts if part[0] in (answer, answer.replace(".", ""))]
    return found[-1] if found else None


def _names(truth: str, chosen: str) -> bool:
    return chosen in (truth, truth.split(":")[0], *truth.split(": ")[1:2])
