"""Write a trained model as a directory for transformers, vLLM or the Hugging Face Hub, or cognitive maps as SpaceR's.

    rollout3d export results/runs/ocr --to ocr-3b
    rollout3d export lmms-eval results/runs/ocr --to ocr-3b-lmms
    rollout3d export --maps results/maps/scannet/*.parquet --to cognitive_map.jsonl

It holds the weights (adapters merged), tokenizer and processor, the wording of the questions, and a
generation_config.json that answers as the run was evaluated: by its predictions in results/eval, else by the
configuration. A README says what the model is, and that transformers 5.17 gives videos other positions than the
released rule; released_positions.py in the directory installs that rule.

With `lmms-eval` before RUN, the directory holds besides what that harness needs to ask the model as its evaluation did:
tasks, a model class, and a copy of this package. Its README has the command and what differs.

Maps are written in the form of SpaceR's annotations, one line of JSON per scan: {"video_id", "cognitive_map":
{category: [[x, y], ...]}, "object_list"}. A file holds the scans of one split: no file for training has a map of a
benchmark scan.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rollout3d import tables
from rollout3d.config import Config, Run, Video, merge, of_run
from rollout3d.config.choices import MAP_GRIDS
from rollout3d.config.recipes import read_recipe
from rollout3d.errors import InvalidInput
from rollout3d.evaluation import settings
from rollout3d.files import write_atomically
from rollout3d.model.wordings import wording_digest, wording_file
from rollout3d.scenes.cognitive_maps import read_maps, spacer_lines
from rollout3d.stages.common import Stage, StageError

if TYPE_CHECKING:
    from rollout3d.model.export import Asked
    from rollout3d.model.load import ModelHandle

STAGE = Stage("export", __doc__)
DECIDES = tuple(name for name in settings.COMPARED if name != "backend")
"""Settings that an export repeats; the answers of the two back ends are equal up to rounding."""
HARNESS = "lmms-eval"
"""First argument that asks for the folder of a harness."""


@STAGE.command
def main(argv: list[str] | None = None) -> None:
    given = sys.argv[1:] if argv is None else argv
    if given[:1] == [HARNESS]:
        return _export_harness(given[1:])
    parser = STAGE.parser()
    parser.add_argument("model", type=Path, metavar="RUN", nargs="?", help="directory of a run, or its model.json")
    parser.add_argument("--maps", type=Path, nargs="+", help="tables of cognitive maps, in place of RUN")
    parser.add_argument("--grid", type=int, choices=MAP_GRIDS, default=10, help="cells per side (%(default)s)")
    parser.add_argument("--split", choices=("train", "val", "test"), default="train", help="of the maps (%(default)s)")
    parser.add_argument("--to", required=True, type=Path, metavar="PATH", help="a new directory; of maps, a JSONL file")
    parser.add_argument(
        "--predictions", type=Path, nargs="+", help="tables of its answers (default: those in eval/RUN beside runs/RUN)"
    )
    args, config = STAGE.parse(parser, argv)
    if (args.model is None) == (args.maps is None):
        parser.error("give RUN or --maps, and not both")
    if args.maps:
        _export_maps(args.maps, args.grid, args.split, args.to)
        return
    model_json = args.model / "model.json" if args.model.is_dir() else args.model

    from rollout3d.model.export import POSITIONS, export_model

    try:
        asked, video = asked_of(config, model_json, args.predictions)
        handle = export_model(model_json, args.to, asked, video)
    except OSError as error:
        raise StageError(f"{args.to}: cannot be written ({error.strerror or error})") from None
    size = sum(file.stat().st_size for file in args.to.iterdir()) / 1e9
    print(f"{args.to}: {handle.name}, {size:.2f} GB. {asked.source}")
    print(
        "Positions: transformers 5.17 gives videos other positions than the released rule, which training and "
        f"evaluation follow, so numbers measured there differ. {args.to / POSITIONS} installs the rule on a loaded "
        "model; README.md shows how."
    )


def asked_of(config: Config, model_json: Path, predictions: Sequence[Path] | None = None) -> tuple[Asked, Video]:
    """Return the settings of a run's evaluation, and those of its video: defaults of its export.

    They are those of `predictions`, or of the answers beside the run, else the configuration's. Raises ValueError as
    `evaluated` does.
    """
    from rollout3d.model.export import Asked
    from rollout3d.model.load import read_model

    used, source = _used(predictions, model_json, read_model(model_json), config)
    return Asked(**_values(used), source=source), _video(config, tables.lineage(model_json))


def _export_harness(argv: list[str]) -> None:
    """Write the folder with which lmms-eval asks a run, and print the command that starts it."""
    parser = STAGE.parser()
    parser.prog += f" {HARNESS}"
    parser.add_argument("model", type=Path, metavar="RUN", help="directory of a run, or its model.json")
    parser.add_argument("--to", required=True, type=Path, metavar="PATH", help="a new directory")
    parser.add_argument(
        "--predictions", type=Path, nargs="+", help="tables of its answers (default: those in eval/RUN beside runs/RUN)"
    )
    args, config = STAGE.parse(parser, argv)
    model_json = args.model / "model.json" if args.model.is_dir() else args.model

    from rollout3d.evaluation.harness import settings_of
    from rollout3d.evaluation.harness_export import benchmark_tasks, export_harness
    from rollout3d.model.export import Asked
    from rollout3d.model.load import read_model

    try:
        handle = read_model(model_json)
        used, source = _used(args.predictions, model_json, handle, config)
        video = _video(config, tables.lineage(model_json))
        asked = settings_of(used, handle.name, config, video)
        export_harness(model_json, args.to, Asked(**_values(used), source=source), video, asked)
    except OSError as error:
        raise StageError(f"{args.to}: cannot be written ({error.strerror or error})") from None
    tasks = ", ".join(f"rollout3d_{task}" for task in benchmark_tasks())
    print(f"{args.to}: {handle.name} for lmms-eval, tasks {tasks}. {source}")
    print(f"Command, and what differs from `rollout3d evaluate`: {args.to / 'README.md'}")


def _used(
    predictions: Sequence[Path] | None, model_json: Path, handle: ModelHandle, config: Config
) -> tuple[dict[str, Any], str]:
    """Return the settings of a run's evaluation, by column of the predictions, and a sentence that says their source.

    Raises what `evaluated` raises.
    """
    found = list(predictions or sorted(_evaluations(model_json.absolute())))
    if found:
        names = ", ".join(path.parent.name for path in found)
        return evaluated(found, model_json), f"As in its evaluation: {names}."
    trained = handle.kind if handle.kind in ("sft", "grpo") else "none"
    style = handle.about.get("prompts", {}).get("style") or settings.style_of(trained)
    used = settings.configured(_as_trained(config, handle.about), style)
    return used, "From the configuration; no answers of this model were found."


def _values(used: dict[str, Any]) -> dict[str, Any]:
    """Return the settings that `model.export.Asked` has, by name."""
    return {name: used[name] for name in DECIDES if name != "prompt_digest"}


def _export_maps(paths: list[Path], grid: int, split: str, to: Path) -> None:
    """Write the maps of one split and grid size. Raises InvalidInput if the tables hold none."""
    rows = [row for row in read_maps(paths, grid) if row["split"] == split]
    if not rows:
        raise InvalidInput(f"{paths[0]}: no map of a scan of split {split}; --split names another one")
    try:
        write_atomically(to, spacer_lines(rows))
    except OSError as error:
        raise StageError(f"{to}: cannot be written ({error.strerror or error})") from None
    print(f"{to}: maps of {len(rows)} scans of split {split}, {grid} x {grid} cells")


def _evaluations(model_json: Path) -> list[Path]:
    """The tables of a run's answers, by the layout of a results folder."""
    run = model_json.parent
    return list((run.parent.parent / "eval" / run.name).glob("*/predictions.parquet"))


def evaluated(paths: list[Path], model_json: Path) -> dict[str, Any]:
    """Return the settings of the answers in predictions tables, by column.

    Raises ValueError if the answers are of another model, have no settings or several, or if the wording has changed
    since.
    """
    seen: dict[tuple[Any, ...], Path] = {}
    for path in paths:
        rows = settings.filled(tables.read(tables.PREDICTIONS, path), tables.lineage(path))
        settings.check_model(rows, model_json)
        for row in rows:
            seen.setdefault(tuple(row.get(name) for name in DECIDES), path)
    if len(seen) != 1 or None in next(iter(seen)):
        why = "were made under several settings" if len(seen) > 1 else "do not hold their settings"
        where = ", ".join(map(str, dict.fromkeys(seen.values()))) or ", ".join(map(str, paths))
        raise InvalidInput(f"{where}: the answers {why}; name the table that counts: --predictions FILE")
    used = dict(zip(DECIDES, next(iter(seen)), strict=True))
    if wording_digest(used["prompt"]) != used["prompt_digest"]:
        raise InvalidInput(
            f"resources/prompts/{wording_file(used['prompt'])} has changed since {paths[0]} was written: evaluate again"
        )
    return used


def _as_trained(config: Config, about: dict[str, Any]) -> Config:
    """The configuration of a run: its recipe laid over the study's, and the wording that it was trained with.

    Raises ValueError if the recipe is gone or does not fit the configuration.
    """
    recipe = about.get("recipe")
    laid = read_recipe(recipe, config.runs.table) if recipe else {}
    if "think" in about.get("prompts", {}):
        own = {name: about["prompts"][name] for name in ("think", "map_grid") if name in about["prompts"]}
        laid = merge(laid, {"prompts": own})
    return of_run(config, Run.model_construct(run=str(about.get("name")), recipe=recipe, settings=laid))


def _video(config: Config, lineage: dict[str, Any]) -> Video:
    """Keys of `video`: from the model's lineage, else from the configuration."""
    known = lineage.get("values", {}) | lineage.get("settings", {})
    own = {name: known[f"video.{name}"] for name in Video.model_fields if f"video.{name}" in known}
    return config.video.model_copy(update=own)


if __name__ == "__main__":
    main()
