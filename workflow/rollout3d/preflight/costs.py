"""Estimate the cost of the API stages, as notes; a model without a price is a problem."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from rollout3d import doors, tables
from rollout3d.config import Cot, Judge
from rollout3d.config.former import CONSTANTS
from rollout3d.config.frames import teacher_set, train_set
from rollout3d.difficulty.select import TRANSITIONS
from rollout3d.preflight import Finding, Job, Study, by_rule
from rollout3d.resources import shipped
from rollout3d.teacher import estimate
from rollout3d.teacher.errors import TeacherRefused
from rollout3d.teacher.prices import PriceError, price

PROMPTS = shipped("resources/prompts")
QUESTION = "?" * 300
"""Stands for a question with its options. [assumed length]"""


@dataclass(frozen=True)
class _Asked:
    """One job that asks a paid model."""

    stage: str
    job: Job
    section: Cot | Judge
    key: str
    frame_set: str
    prompt: str
    above: bool
    """True if the view from above is shown."""


def check(study: Study, jobs: Sequence[Job]) -> list[Finding]:
    """Estimate the cost of each job that asks a paid model."""
    config, found = study.config, []
    asked = []
    teacher = partial(doors.TEACHERS.constant, config.cot.teacher)
    if teacher("PAID", False):
        frame_set, above = teacher_set(config.video), "maps" in teacher("TABLES", ())
        prompt = next(iter(teacher("PROMPTS", {})))
        asked += [
            _Asked("annotate", job, config.cot, "cot", frame_set, prompt, above) for job in by_rule(jobs, "annotate")
        ]
    frame_set = train_set(config.video)
    asked += [
        _Asked("judge", job, config.judge, "judge", frame_set, "judge.txt", False) for job in by_rule(jobs, "judge")
    ]
    made = {path for job in jobs for path in job.outputs}
    for each in asked:
        try:
            found.append(Finding(_estimate(study, each, made), stops=False))
        except PriceError as error:
            found.append(Finding(f"{each.stage}: {error}"))
        except TeacherRefused as error:
            found.append(Finding(f"{each.stage}: {error}"))
        except tables.TableError as error:
            found.append(Finding(f"{each.stage}: its cost is not known: {error}", stops=False))
    return found


def _estimate(study: Study, asked: _Asked, made: set[str]) -> str:
    section, config = asked.section, study.config
    cost = price(config.api.model, config.api.prices, config.api.batch)
    rows, bound = _rows(study, asked, made)
    if rows is None:
        return (
            f"{asked.stage}: its cost is known once its questions are imported; {asked.key}.max_usd = "
            f"{section.max_usd:,.2f} dollars is the most that it spends"
        )
    text = (PROMPTS / asked.prompt).read_text(encoding="utf-8") + QUESTION
    frames, maps = (_there(asked.job, f"/{name}.parquet", made) for name in ("frames", "maps"))
    rule = cost.pictures
    load = estimate.typical(frames, maps, asked.frame_set, section.frames, text, rule) if frames else None
    if load is None:
        pixels = config.video.eval_max_pixels
        load = estimate.assumed(
            section.frames, pixels, CONSTANTS["scenes.bev_size"].value if asked.above else None, text, rule
        )
    return estimate.of_load(
        asked.stage,
        load.times(rows),
        cost,
        Path(asked.job.outputs[0]).parent / "replies" if asked.job.outputs else None,
        section.max_tokens if isinstance(section, Cot) else CONSTANTS["judge.max_tokens"].value,
        attempts=getattr(section, "attempts", 1),
        limit_key=f"{asked.key}.max_usd",
        max_usd=section.max_usd,
        upper_bound=bound,
    ).short()


def _rows(study: Study, asked: _Asked, made: set[str]) -> tuple[int | None, bool]:
    """Number of questions, and whether it is only a bound; None if nothing is known."""
    if asked.job.wildcards.get("source") == "generated":
        return study.config.judge.generated_sample, True
    if asked.stage == "judge":
        for path in _there(asked.job, ".parquet", made, "/questions/"):
            with tables.TableFile(path, tables.QUESTIONS) as file:
                return sum(row["scene_id"] is not None for row in file.rows(columns=["scene_id"])), True
        return None, True
    for path in _there(asked.job, "/hard.parquet", made):
        return tables.n_rows(path), False
    cot = study.config.cot
    return len(TRANSITIONS) * max(cot.per_transition, cot.fallback), True


def _there(job: Job, end: str, made: set[str], within: str = "") -> list[str]:
    """Inputs with such names that exist and that no job will make anew."""
    paths = [path for path in job.inputs if path.endswith(end) and within in path and path not in made]
    return [path for path in paths if Path(path).is_file()]
