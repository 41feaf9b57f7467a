"""One training run, from its input files to its `model.json`."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch

from rollout3d import doors, tables
from rollout3d.config import Config, Run
from rollout3d.files import remove_leftovers
from rollout3d.geometry.gridmap import asked_for
from rollout3d.model.encode import SYSTEM
from rollout3d.model.load import ModelError, read_model
from rollout3d.model.media import FrameStore
from rollout3d.model.regions import Regions
from rollout3d.model.wordings import listed_categories, wording_name
from rollout3d.scenes.cognitive_maps import load_maps
from rollout3d.tables.rows import QuestionRow
from rollout3d.training.data import NotTrainable, Questions
from rollout3d.training.engines.choose import make_engine
from rollout3d.training.grpo import train_grpo
from rollout3d.training.lock import LOCK, POLL_S, Lock
from rollout3d.training.loop import Loop
from rollout3d.training.maps import check_maps
from rollout3d.training.probes import Probes
from rollout3d.training.probes import of_run as probes_of
from rollout3d.training.sft import sft_steps, train_sft
from rollout3d.training.steps import STEPS
from rollout3d.training.trackers import missing_package
from rollout3d.training.world import World

log = logging.getLogger(__name__)

VIDEOS_KEPT = 64
"""Number of decoded videos that a process keeps: at 16 frames of 280x364 about 5 MB each."""


@dataclass(frozen=True)
class Inputs:
    """Files that a run reads: `objects` and `regions` where its rollout method needs regions, `cognitive_maps` where
    its reward or its prompt needs maps."""

    init: Path
    train: Path
    frames: Sequence[Path]
    maps: Sequence[Path] = ()
    objects: Sequence[Path] = ()
    regions: Sequence[Path] = ()
    cognitive_maps: Sequence[Path] = ()
    probe_questions: Path | None = None
    """Table of questions that probes are chosen from; None: the training table."""
    probe_objects: Sequence[Path] = ()
    """With `probe_regions`: for the probe with queried objects under noise."""
    probe_regions: Sequence[Path] = ()

    def parents(self) -> dict[str, Any]:
        """Return the files that enter the lineage, by name: not those of probes, which decide nothing of the result."""
        return {name: value for name, value in vars(self).items() if value and not name.startswith("probe_")}


LineageOf = Callable[[Mapping[str, Any]], tables.Lineage]
LEFTOVERS = (".*.tmp", ".weights.*.new", ".weights.*.old", ".lock.json.*.dead")
"""Patterns of the files that a killed trainer leaves in its directories."""


def _nothing() -> None:
    """Keep nothing: the outputs stay where they were written."""


def _never() -> bool:
    """Find no finished result."""
    return False


def run_sft(
    config: Config,
    run: Run,
    inputs: Inputs,
    out: Path,
    lineage_of: LineageOf,
    keep: Callable[[], None] = _nothing,
    restore: Callable[[], bool] = _never,
) -> None:
    """Fine-tune `inputs.init` on an `ocr_sft` table; write the model and its metrics to `out`.

    A run whose prompts ask for the answer alone (`run.style`) trains on any question table.

    If another process trains into `out`, this one waits for it, then resumes or finds the result finished. Once the
    directory is this process's, `restore` may put a finished result in place and return True: then nothing is trained.
    `keep` is called when all outputs are on the disk, before the checkpoints go; they stay if it raises. Both are
    called by the first process only.

    Raises UserError for what the user can correct.
    """
    sft = config.sft
    with _process(config, out) as (world, lock):
        _divide("sft.batch_size", sft.batch_size, world)
        _tracker(config.training.tracker)
        rows, media = _read(inputs.train)
        if run.asked == "think" and "target" not in rows[0]:
            raise NotTrainable(
                f"{inputs.train}: its rows have no target text; SFT needs a table such as ocr_sft, or style direct in "
                "the run table, which trains on the answers alone"
            )
        questions = _questions(config, run, inputs, rows, media)
        lineage, key = _origin(inputs, lineage_of, world)
        if _finished(out, lineage, lock, restore, world):
            return
        total = sft_steps(len(questions), sft)
        shared, video = config.training, config.video
        engine = make_engine(inputs.init, sft, world, training=shared, video=video, total=total, seed=run.seed)
        about = {"name": run.run, **_about("sft", config, run, lineage)}
        loop = Loop(out, key, total, engine, world, [tables.METRICS], lineage, lock, about=about)
        train_sft(sft, questions, engine, loop, _probes(config, inputs, rows, total))
        loop.finish(keep)


def run_grpo(
    config: Config,
    run: Run,
    inputs: Inputs,
    out: Path,
    lineage_of: LineageOf,
    keep: Callable[[], None] = _nothing,
    restore: Callable[[], bool] = _never,
    keep_steps: Collection[int] = (),
) -> None:
    """Train `inputs.init` with GRPO on a question table; write the model, metrics and rollouts to `out`.

    Waits for another process that trains into `out`, then resumes or finds the result finished. `restore` and `keep`:
    called by the first process, the one before training (True: a finished result is in place), the other when all
    outputs are on the disk; the checkpoints stay if it raises. `keep_steps`: numbers of steps after which the weights
    are kept in `out` as models of their own (`training.steps`). Raises UserError.
    """
    grpo = config.grpo
    assert run.rollout is not None and run.steps is not None, "the run table requires both of a GRPO run"
    with _process(config, out) as (world, lock):
        _divide("grpo.prompts_per_step", grpo.prompts_per_step, world)
        _tracker(config.training.tracker)
        rows, media = _read(inputs.train)
        questions = _questions(config, run, inputs, rows, media)
        maps = _maps(config, run, inputs, questions)
        perturbs = "regions" in doors.ROLLOUTS.constant(run.rollout, "NEEDS", ())
        regions = _regions(inputs, questions) if perturbs else None
        lineage, key = _origin(inputs, lineage_of, world)
        if _finished(out, lineage, lock, restore, world):
            return
        engine = make_engine(
            inputs.init,
            grpo,
            world,
            training=config.training,
            video=config.video,
            total=run.steps,
            seed=run.seed,
            backend=config.generation.backend,
        )
        about = {"name": run.run, **_about("grpo", config, run, lineage)}
        growing = [tables.METRICS, tables.ROLLOUTS]
        loop = Loop(out, key, run.steps, engine, world, growing, lineage, lock, keep_steps, about)
        # The grid decides runs with maps alone.
        drawn = {} if maps is None else {"maps": maps, "map_grid": config.prompts.map_grid}
        probes = _probes(config, inputs, rows, run.steps)
        train_grpo(grpo, run, config.seed, questions, regions, engine, loop, **drawn, probes=probes)
        loop.finish(keep)
        engine.close()


@contextmanager
def _process(config: Config, out: Path) -> Iterator[tuple[World, Lock]]:
    """Enter the process group and take the lock on `out`, which the first process holds.

    While another trainer holds it, all processes of this one wait together, in short collectives: none runs into a
    timeout, and SIGTERM, still at its default, ends each of them at once.
    """
    torch.set_num_threads(config.torch_threads)
    world = World.start(always=config.training.deepspeed != "none")
    lock = Lock(out / LOCK)
    while not world.share(lock.take() if world.first else None):
        time.sleep(POLL_S)
    try:
        if world.first:
            _clear(out)
        yield world, lock
    finally:
        if world.first:
            lock.release()
    world.stop()


def _clear(out: Path) -> None:
    """Remove half-written files of killed trainers. Call it with the lock held: none of them runs then."""
    checkpoints = (out / LOCK).parent
    removed = [
        path
        for folder in (out, *out.glob(f"{STEPS}/*/"), checkpoints, *checkpoints.glob("*/"))
        for path in remove_leftovers(folder, LEFTOVERS)
    ]
    if removed:
        log.info("%s: removed %d half-written files of a killed process", out, len(removed))


def _finished(out: Path, lineage: tables.Lineage, lock: Lock, restore: Callable[[], bool], world: World) -> bool:
    """Return whether there is nothing to train, the same on all processes.

    That is so if `restore` has put the result in place, or if the process that this one waited for has just finished
    the same run.
    """
    found = False
    if world.first:
        found = restore() or (lock.waited and _complete(out, lineage))
        if found:
            log.info("%s: finished already; nothing to train", out)
    return world.share(found)


def _complete(out: Path, lineage: tables.Lineage) -> bool:
    """Return whether `out` holds a model of this identity.

    Checkpoints that are still there mean that an output was deleted while the run ended.
    """
    if any((out / LOCK).parent.glob("*/")):
        return False
    try:
        read_model(out / "model.json")
        return tables.Lineage.from_dict(tables.lineage(out / "model.json")).identity == lineage.identity
    except (ModelError, tables.TableError):
        return False


def _tracker(name: str | None) -> None:
    """Raise NotTrainable if the package of a tracker is missing: at the start, and not after the first step."""
    package = missing_package(name) if name else None
    if package:
        remedy = f"pip install 'rollout3d[{name}]', or set it to null"
        raise NotTrainable(f"training.tracker: {name} needs the package {package}, which is not installed: {remedy}")


def _divide(name: str, value: int, world: World) -> None:
    if value % world.size:
        raise NotTrainable(
            f"{name} = {value} cannot be shared out over {world.size} processes: make it a multiple, or use fewer GPUs"
        )


def _read(path: Path) -> tuple[list[QuestionRow], tables.MediaReader]:
    """Read the rows of a training table, whichever question table it is; their pictures stay on disk, in the reader."""
    name = tables.lineage(path).get("table") if path.exists() else None
    table = tables.TABLES.get(name or "", tables.OCR_RL)
    rows = tables.read_light(table, path)
    if not rows:
        raise NotTrainable(f"{path}: holds no questions to train on")
    return cast(list[QuestionRow], rows), tables.MediaReader(table, path)


def _questions(
    config: Config, run: Run, inputs: Inputs, rows: list[QuestionRow], media: tables.MediaReader
) -> Questions:
    read_model(inputs.init)  # a missing model is reported before files are digested
    store = FrameStore(inputs.frames, inputs.maps, VIDEOS_KEPT)
    # Without the run's name: methods that are compared have the same questions in the same order.
    think = config.prompts.wording if run.asked == "think" else None
    return Questions(rows, store, config.video, think, (config.seed, run.seed), media)


def _maps(config: Config, run: Run, inputs: Inputs, questions: Questions) -> dict[str, Any] | None:
    """Read the cognitive maps of the training scenes; None if neither reward nor prompt needs them.

    With `prompts.leak_keys`, the prompts of a scene list the categories of its own map; else a map has only the
    categories that the prompt lists. Raises NotTrainable if maps are needed and there are none.
    """
    needed = bool(inputs.cognitive_maps) and (run.needs_maps or config.prompts.leaks)
    maps = load_maps(inputs.cognitive_maps, config.prompts.map_grid, questions.scenes) if needed else None
    check_maps(run.reward or "", maps, questions.scenes)
    if config.prompts.leaks:
        if not maps:
            raise NotTrainable("prompts.leak_keys needs the cognitive maps of the training scenes: pass their tables")
        questions.listed = {scene: tuple(cells) for scene, cells in maps.items()}
    elif maps and (listed := listed_categories(wording_name("think", config.prompts.wording))):
        # A room with nothing that the prompt asks for has no map: one that is drawn of it is neither right nor wrong.
        maps = {scene: asked for scene, cells in maps.items() if (asked := asked_for(cells, listed))}
        check_maps(run.reward or "", maps, questions.scenes, "an object of a category that the prompt lists")
    return maps


def _regions(inputs: Inputs, questions: Questions) -> Regions:
    """Open the regions of the training scenes. Raises NotTrainable if there are none: nothing would be perturbed."""
    regions = Regions(inputs.objects, inputs.regions, questions.frame_rows)
    found = sum(scene in regions for scene in questions.scenes)
    if not found:
        raise NotTrainable("no training scene is in the regions tables: pass those of the run's mode, and the objects")
    log.info("%d of %d training scenes have regions to perturb", found, len(questions.scenes))
    return regions


def _probes(config: Config, inputs: Inputs, rows: Sequence[QuestionRow], total: int) -> Probes | None:
    """Return the probe of a run of `total` steps on a training table's `rows`; None if it has none."""
    regions = (inputs.probe_objects, inputs.probe_regions) if inputs.probe_regions else None
    asked, shown = inputs.probe_questions, (inputs.frames, config.video)
    return probes_of(config.training, total, asked, rows, *shown, config.seed, regions)


def _origin(inputs: Inputs, lineage_of: LineageOf, world: World) -> tuple[tables.Lineage, str]:
    """Return the lineage, on the first process, and its identity, which a checkpoint must have to be resumed."""
    if not world.first:
        return tables.Lineage(""), world.share(None)
    lineage = lineage_of(inputs.parents())
    return lineage, world.share(lineage.identity)


def _about(method: str, config: Config, run: Run, lineage: tables.Lineage) -> dict[str, Any]:
    """Return the entries of `model.json` beside name and weights; the run's settings are in the lineage."""
    system = (config.sft.system if method == "sft" else None) or SYSTEM
    if run.asked == "direct":
        prompts: dict[str, Any] = {"style": "direct", "system": system}
    else:
        prompts = {"think": config.prompts.think, "system": system}
        prompts |= {"map_grid": config.prompts.map_grid} if config.prompts.offers_map else {}
    return {"kind": method, "recipe": run.recipe, "lineage": lineage.as_dict(), "prompts": prompts}
