"""Command lines of the toy world, one thin file per rule: `python -m toyworld.stages.NAME`.

Importing this package registers them with `rollout3d.stages.registry`, which names no stage of another package.
"""

from __future__ import annotations

from rollout3d.config import Config, question_types
from rollout3d.stages import registry
from rollout3d.stages.spec import Scope, Spec
from toyworld.settings import MAP_WORDING, StudyConfig


def _render_scans(config: Config, scope: Scope) -> tuple[str, ...]:
    return ("seed", *_below(config, "toyworld.scans.*"))


def _train_base_model(config: Config, scope: Scope) -> tuple[str, ...]:
    own = ("seed", *_below(config, "toyworld.model.*", "toyworld.scans.n_objects"), "cot.sentences", "prompts.map_grid")
    shown = (*config.prompts.keys(), *registry.ENCODER, *registry.TRAIN_VIDEO)
    return (f"models.{scope.key}.name", *own, *shown, *registry.QUESTION_RULES)


def _wordings(config: Config, scope: Scope) -> tuple[str, ...]:
    """Lessons are asked directly, for reasoning, and for a map."""
    names = dict.fromkeys((*config.prompts.files, MAP_WORDING))
    return ("direct.txt", *(f"think_{name}.txt" for name in names))


def _lessons(config: Config) -> tuple[str, ...]:
    """The model is taught the question types that are asked by default."""
    return tuple(question_types.PER_SCENE)


def _below(config: Config, *keys: str) -> tuple[str, ...]:
    """The given keys below `toyworld`; the section itself where it is null, for the stage to say so."""
    return ("toyworld",) if config.toyworld is None else keys


SPECS = {
    "render_scans": Spec(_render_scans, configuration=StudyConfig),
    "train_base_model": Spec(_train_base_model, prompts=_wordings, configuration=StudyConfig, question_types=_lessons),
}
"""What decides the result of each stage."""

registry.register(SPECS)
