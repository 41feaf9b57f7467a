"""A teacher that costs nothing: it writes reasoning from the evidence of a generated question (`cot.geometric`).

It stands in for GPT-4o where no money may be spent (presets); the paper has no such teacher.
"""

from __future__ import annotations

from rollout3d import tables
from rollout3d.cot.geometric import NoEvidence, write
from rollout3d.cot.teachers import Draft, Opened, Work
from rollout3d.tables.rows import QuestionRow

KEYS = ("seed", "cot.sentences")


class GeometricTeacher:
    """Writes with a fixed seed, and with at most `most` sentences; another attempt only changes the wording."""

    name = "geometric"
    model = "geometric"

    def __init__(self, seed: int, most: int | None = None):
        self._seed, self._most = seed, most

    def write(self, row: QuestionRow, attempt: int) -> Draft:
        """Write reasoning and answer; a draft with an error where the evidence does not lead to the answer."""
        digest = tables.digest([row["question_id"], row["evidence"], self._seed, attempt, self._most])
        try:
            return Draft(digest, write(row, self._seed, attempt, self._most))
        except NoEvidence as error:
            return Draft(digest, error=str(error))


def open_teacher(work: Work) -> Opened:
    """Make the teacher ready; it needs nothing but the questions."""
    return Opened(GeometricTeacher(work.config.seed, work.config.cot.sentences))
