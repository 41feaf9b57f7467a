"""Compare runs on the same questions: what training added to a run's score, on average over seeds, with its interval.

Differences are taken question by question, averaged over the runs that differ by seed, and their interval is that of
`seeing`: over physical spaces. It holds for these seeds; how much seeds differ is shown beside it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rollout3d.errors import InvalidInput
from rollout3d.evaluation import benchmarks
from rollout3d.evaluation.scores import scored
from rollout3d.evaluation.seeing import Gain, gains
from rollout3d.evaluation.views import view_of
from rollout3d.tables.rows import PredictionRow, QuestionRow


@dataclass(frozen=True)
class Comparison:
    """What runs score above another one on a view of the questions."""

    gains: Mapping[str, Gain]
    """Task -> mean difference over questions and seeds, -1 to 1, and its interval."""
    by_run: Mapping[str, float]
    """Run -> its own overall difference."""


def compare(
    before: Sequence[PredictionRow],
    after: Mapping[str, Sequence[PredictionRow]],
    questions: Sequence[QuestionRow],
    benchmark: str,
    view: str,
    scorer: str,
) -> Comparison:
    """Return the gain of the runs `after` (name -> predictions; they differ by seed) over `before` on a view.

    Texts are scored anew by `scorer`. Raises InvalidInput where a run does not answer the same questions of the view.
    """
    cell_of = benchmarks.cells(benchmark)
    cells = {row["question_id"]: cell_of(row) for row in questions}
    spaces = {row["question_id"]: row["space_id"] or row["scene_id"] or row["question_id"] for row in questions}
    start = _scores(before, questions, view, scorer)
    differences = []
    for name, predictions in after.items():
        end = _scores(predictions, questions, view, scorer)
        if end.keys() != start.keys() or not start:
            raise InvalidInput(f"run {name} answers {len(end)} questions with {view}, the first run {len(start)}")
        differences.append({question: end[question] - start[question] for question in start})
    average = benchmarks.get(benchmark).average
    own = [gains(each, cells, spaces, average)["overall"].mean for each in differences]
    mean = {question: sum(each[question] for each in differences) / len(differences) for question in start}
    return Comparison(gains(mean, cells, spaces, average), dict(zip(after, own, strict=True)))


def _scores(
    predictions: Sequence[PredictionRow], questions: Sequence[QuestionRow], view: str, scorer: str
) -> dict[str, float]:
    of_view = [row for row in predictions if view_of(row["setting"]) == view]
    return dict(zip((row["question_id"] for row in of_view), scored(of_view, questions, scorer), strict=True))
