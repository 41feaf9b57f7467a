"""Merge the predictions of a benchmark's shards into one table, as if one job had answered all questions. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from rollout3d.evaluation.views import view_of
from rollout3d.tables import SETTING_COLUMNS
from rollout3d.tables.rows import PredictionRow


def merge(
    shards: Sequence[Sequence[PredictionRow]],
    questions: Sequence[str],
    no_twin: Mapping[str, Collection[str]] | None = None,
) -> list[PredictionRow]:
    """Return the predictions setting by setting, in each in the order of the question ids `questions`.

    Settings come in the order of the first shard that has any. `no_twin`: probe -> questions that need no answer with
    it (`model.probes`).

    Raises ValueError unless every setting answers every other question once, and nothing else: a missing shard, or one
    of another number of shards, would change the score. It is raised, too, for shards that were answered in different
    ways (`tables.SETTING_COLUMNS`, where those are not null).
    """
    found: dict[str, dict[str, list[PredictionRow]]] = {}
    for shard in shards:
        for setting, answers in _grouped(shard).items():
            others = found.setdefault(setting, {})
            twice = sorted(others.keys() & answers.keys())
            if twice:
                raise ValueError(f"setting {setting}: {len(twice)} questions are in two shards, such as {twice[0]}")
            others |= answers
    for setting, answers in found.items():
        spared = (no_twin or {}).get(view_of(setting), ())
        lost, extra = set(questions) - answers.keys() - set(spared), answers.keys() - set(questions)
        if lost or extra:
            raise ValueError(
                f"setting {setting}: {len(lost)} questions have no answer {sorted(lost)[:3]}, {len(extra)} answers are "
                f"to other questions {sorted(extra)[:3]}"
            )
        for name in SETTING_COLUMNS:
            values = dict.fromkeys(row.get(name) for samples in answers.values() for row in samples)
            if len(values.keys() - {None}) > 1:
                both = " and ".join(str(value) for value in values if value is not None)
                raise ValueError(f"setting {setting}: the shards were answered with {name} {both}")
    if questions and not found:
        raise ValueError(f"no answer to any of {len(questions)} questions")
    return [row for answers in found.values() for question in questions for row in answers.get(question, ())]


def _grouped(rows: Sequence[PredictionRow]) -> dict[str, dict[str, list[PredictionRow]]]:
    """Group rows by setting and question id, samples in table order."""
    grouped: dict[str, dict[str, list[PredictionRow]]] = {}
    for row in rows:
        samples = grouped.setdefault(row["setting"], {}).setdefault(row["question_id"], [])
        if row["sample"] != len(samples):
            raise ValueError(
                f"setting {row['setting']}: question {row['question_id']} has sample {row['sample']} in place of "
                f"{len(samples)}"
            )
        samples.append(row)
    return grouped
