"""What the rewards of SpaceR and Spatial-R1 share: which answers are right, and the parts for map and length.

Both exist in two variants (`grpo.variant`): `paper`, what the paper says, and `code`, what its release does as others
describe it (CC BY-NC 4.0: no text or code of it is here).
"""

from __future__ import annotations

from rollout3d.config import Grpo
from rollout3d.scoring.maps import CLOSING, OPENING, code_score, map_text, paper_score, read_map
from rollout3d.scoring.match import NOTHING, Score, match
from rollout3d.scoring.numbers import as_text, read_number
from rollout3d.scoring.parse import extract_answer
from rollout3d.scoring.scorers import spacer as release
from rollout3d.tables.rows import QuestionRow
from rollout3d.training.rewards._answers import Answers
from rollout3d.training.rewards._length import FEWEST, SHORTEST, SPACER_SHORTEST, length_bonus

OPENS_MAP = 0.5
"""Mean relative accuracy above which the map of a number question counts. [SpaceR: its code; its paper: only at 1]"""

FULLY_RIGHT = 1 - 1e-6
"""R_task from which an answer is right: the reward for regression leaves 1e-9 over the truth to an exact answer."""


def exact_correctness(text: str, question: QuestionRow, grpo: Grpo, thresholds: int) -> Score:
    """Return answer and correctness (R_task), 0 to 1, of one completion for a question.

    The answer stands in the first `<answer>` tag. choice: equality with the letter, outer white space aside (SpaceR,
    equation 2; Spatial-R1, equation 8), so "b" and "B." are wrong. number: mean relative accuracy over `thresholds`
    (SpaceR, equation 3; Spatial-R1, equation 1), or as `grpo.ablation.numeric` says, of the number that stands anywhere
    in the answer. The papers do not say how it is read: `paper` reads it by `scoring.numbers`, `code` by the release's
    rule with its faults ("a distance of 3.5" is 1). Other types: as Video-R1 rewards them; `paper` reads the number of
    a regression like that of a number question.
    """
    answer = extract_answer(text)
    if answer is None:
        return NOTHING
    answer_type, truth = question["answer_type"], question["ground_truth"]
    if answer_type == "choice":
        return Score(answer, float(answer == truth.strip()))
    if grpo.variant == "paper" and answer_type in ("number", "regression"):
        number = read_number(answer)
        read = None if number is None else as_text(number)
    else:
        read = release.number(answer) if answer_type == "number" else answer
    if read is None:
        return Score(answer, match("", answer_type, truth))
    numeric = grpo.ablation.numeric
    return Score(read, match(read, answer_type, truth, "mra_11" if (numeric, thresholds) == ("mra", 11) else numeric))


def map_parts(answers: Answers) -> dict[str, list[float]]:
    """Return the part `map`, R_map of right answers, and in variant `code` what a worthless map takes away.

    paper: `map` is equation 4 where R_task is 1 (equation 5). code: the release's score where a choice is right or a
    number above 0.5, if both tags of a map occur; a score of 0 takes the whole correctness away (`map_penalty`).
    Questions without a true map have parts of 0.
    """
    if answers.grpo.variant == "paper":
        return {
            "map": [_paper_map(answers, i) if score >= FULLY_RIGHT else 0.0 for i, score in enumerate(answers.correct)]
        }
    scores = [_code_map(answers, i) for i in range(len(answers.rollouts))]
    return {
        "map": [score or 0.0 for score in scores],
        "map_penalty": [correct if score == 0 else 0.0 for score, correct in zip(scores, answers.correct)],
    }


def length_part(answers: Answers, accuracy: list[float]) -> list[float]:
    """Return R_l: +0.2 for a right answer of 360 to 512 tokens (SpaceR, sections 4.2 and 5.1).

    Right is above 0.1, since equation 5 gives R_l to answers whose R_task is not 1, too. The paper does not give the
    amount: 0.2 is Video-R1's. code: from 320 tokens, if at least two rollouts of the group are right, where `accuracy`
    says how right each is.
    """
    if answers.grpo.variant == "paper":
        return length_bonus(answers, shortest=SPACER_SHORTEST, fewest=1)
    return length_bonus(answers, accuracy, SHORTEST, FEWEST)


def _paper_map(answers: Answers, i: int) -> float:
    if answers.truth is None or (drawn := map_text(answers.rollouts[i].text)) is None:
        return 0.0
    return paper_score(read_map(drawn, answers.truth), answers.truth, answers.grid)


def _code_map(answers: Answers, i: int) -> float | None:
    """Return the release's map score of a rollout; None where it has none: no true map, no tags, no right answer."""
    text, correct, answer_type = answers.rollouts[i].text, answers.correct[i], answers.question["answer_type"]
    opened = correct >= 1 if answer_type == "choice" else answer_type == "number" and correct > OPENS_MAP
    if answers.truth is None or not opened or OPENING not in text or CLOSING not in text:
        return None
    return code_score(read_map(map_text(text) or "", answers.truth), answers.truth, answers.grid)
