"""Cognitive maps in evaluation: those that prompts give (SpaceR, Table 5), and the accuracy of those in answers. Pure.

Maps of benchmark scenes are read here alone: training refuses them (`scenes.cognitive_maps.load_maps`).
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rollout3d.errors import InvalidInput
from rollout3d.evaluation.views import VIDEO, view_of
from rollout3d.geometry.gridmap import CognitiveMap, asked_for
from rollout3d.model.wordings import listed_categories
from rollout3d.scenes.cognitive_maps import by_category, read_maps
from rollout3d.scoring.maps import code_score, map_text, paper_score, read_map
from rollout3d.seeding import generator
from rollout3d.tables.rows import PredictionRow, QuestionRow

LOG = logging.getLogger(__name__)
OWN = "own_map"
"""End of the name of a prompt that gives a map which a model drew (`model.wordings.wording_name`)."""


@dataclass(frozen=True)
class MapScores:
    """Accuracy of one map against the scene's own, 0 to 1."""

    paper: float
    """R_map of SpaceR's equation 4 (`scoring.maps.paper_score`)."""
    code: float
    """By the rule of SpaceR's release (`scoring.maps.code_score`)."""


def true_maps(paths: Iterable[Path | str], grid: int) -> dict[str, CognitiveMap]:
    """Return scene -> its own map of `grid` x `grid` cells, whatever its split. Raises what `read_maps` does."""
    return {row["scene_id"]: by_category(row) for row in read_maps(paths, grid)}


def random_map(truth: CognitiveMap, grid: int, seed: int, scene: str) -> CognitiveMap:
    """Return a map with the categories and numbers of objects of `truth`, every object in a cell drawn uniformly.

    SpaceR (Table 5) does not say how its random maps were drawn. The draw depends on `seed` and the scene alone, so all
    questions about a scene, and all runs, are given the same map.
    """
    rng = generator(seed, "given_map", scene)
    return {category: rng.integers(0, grid, (len(cells), 2)).tolist() for category, cells in truth.items()}


def given_maps(
    kind: str,
    questions: Sequence[QuestionRow],
    *,
    truth: Mapping[str, CognitiveMap],
    answers: Iterable[PredictionRow] = (),
    grid: int,
    seed: int,
    max_without: float,
    everything: Sequence[QuestionRow] | None = None,
) -> dict[str, str]:
    """Return question id -> the map that its prompt gives, as text; questions without one are missing.

    `kind`: as of `evaluation.given_map`. ground_truth and random: the scene's own map of `truth`, or `random_map`, as
    JSON. own: what stands in the first `<map>` tag of the answer in `answers` (about the true video, sample 0), word by
    word; a question whose answer has no map is given none. `everything`: all questions of the benchmark, of which
    `questions` are a part. Raises InvalidInput if `answers` lack a question or have no map at all, and if more than the
    share `max_without` of all questions about scenes have no true map.
    """
    if kind == "own":
        drawn = {
            row["question_id"]: (map_text(row["text"]) or "").strip()
            for row in answers
            if row["sample"] == 0 and view_of(row["setting"]) == VIDEO
        }
        lost = [row["question_id"] for row in questions if row["question_id"] not in drawn]
        if lost:
            raise InvalidInput(
                f"{len(lost)} of {len(questions)} questions, such as {lost[0]}, are not in the answers that own maps "
                "come from: evaluate the run that this one starts from on the same questions"
            )
        if questions and not any(drawn.values()):
            raise InvalidInput(
                f"none of {len(drawn)} answers has a map: is the run that this one starts from asked for one?"
            )
        found = {name: text for row in questions if (text := drawn[name := row["question_id"]])}
        if len(found) < len(questions):
            LOG.warning(
                "%d of %d answers have no map: their questions are given none",
                len(questions) - len(found),
                len(questions),
            )
        return found
    about = [row for row in everything or questions if row["scene_id"] is not None]
    lacking = {str(row["scene_id"]) for row in about} - truth.keys()
    without = sorted(lacking)
    n_without = sum(row["scene_id"] in lacking for row in about)
    if n_without > max_without * len(about):
        raise InvalidInput(
            f"{n_without} of {len(about)} questions are about {len(without)} scenes without a cognitive map, such as "
            f"{without[0]}: name VSI-Bench's published boxes (site.boxes), or ingest the scans "
            "(datasets.<name>.splits.test)"
        )
    if without:
        LOG.warning(
            "%d of %d questions are given no map: their %d scenes have none, such as %s",
            *(n_without, len(about), len(without), without[0]),
        )
    shown = {
        scene: json.dumps(cells if kind == "ground_truth" else random_map(cells, grid, seed, scene))
        for scene, cells in truth.items()
    }
    return {row["question_id"]: shown[scene] for row in questions if (scene := str(row["scene_id"])) in shown}


def map_scores(prediction: PredictionRow, truth: CognitiveMap, grid: int) -> MapScores | None:
    """Return the accuracy of the map of an answer: the one that its prompt gave, else the one in its first `<map>` tag;
    None without either, and where the scene has nothing that the prompt asks for.

    A map that a model drew is compared with the categories that its prompt listed (`geometry.gridmap.asked_for`), a
    true or random one, which has all, with all.
    """
    text = prediction.get("given_map") or map_text(prediction["text"])
    if text is None:
        return None
    name, _, given = (prediction["prompt"] or "").partition("+")
    if given in ("", OWN) and (listed := listed_categories(name)):
        truth = asked_for(truth, listed)
    if not truth:
        return None
    cells = read_map(text, truth)
    return MapScores(paper_score(cells, truth, grid), code_score(cells, truth, grid))
