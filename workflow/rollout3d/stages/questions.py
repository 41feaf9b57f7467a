"""Generate the questions of one shard of scans, or everything that published boxes can answer.

    rollout3d questions --scenes scenes.parquet --objects objects.parquet --maps maps.parquet \\
        --visibility visibility.parquet --out questions.parquet --dropped questions_dropped.parquet
    rollout3d questions --meta DIR_OR_FILES --out questions.parquet --workers 2

A scan whose poses, mesh, boxes, colours or depth contradict each other gets no questions (`scenes.agreement`).
With --meta (VSI-Bench's *_meta_info_val.json, or VLM-3R's variant): every eligible question of the six geometric
categories, whatever the split and without the caps of `questions.per_scene`. Per reference object of relative distance
there are 20 sets of candidates. Letters are balanced at assembly, not here.
Answers that are known to be wrong are corrected (resources/errata.csv) unless `questions.compat` is vsibench.

By the rules of SpaceR and Spatial-R1 (`questions.rules`), the log counts the questions whose answers rest on data that
stands in for what the paper's rule reads, by the entry `approximate` of their evidence.

Each question lists the samplings of the video that can answer it; `questions.strict: remove` leaves out those that the
frames shown to a model cannot answer.
"""

from __future__ import annotations

import logging
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import cast

from rollout3d import tables
from rollout3d.questions import errata
from rollout3d.questions.evidence import approximations
from rollout3d.questions.generate import asked, everything, questions_for_shard
from rollout3d.questions.visible import Gate, is_refusal, reason_counts, removed
from rollout3d.scenes.meta import read_meta
from rollout3d.scenes.verdict import CONTRADICTS, counts, judge_all
from rollout3d.stages.common import Stage
from rollout3d.tables.rows import QuestionRow

STAGE = Stage("questions", __doc__)
LOG = logging.getLogger(__name__)


@STAGE.command
def main(argv: list[str] | None = None) -> None:
    parser = STAGE.parser()
    parser.add_argument("--dataset", help="dataset of the scans; default: that of the scenes")
    parser.add_argument("--meta", nargs="+", help="metadata files, or directories of them, instead of the next three")
    parser.add_argument("--scenes", help="table scenes of the shard")
    parser.add_argument("--objects", help="table objects of the shard")
    parser.add_argument("--maps", help="table maps of the shard; scenes of ingest-meta have none")
    parser.add_argument(
        "--visibility", help="table visibility of the shard; without it questions are not checked against the video"
    )
    parser.add_argument("--out", required=True, help="table questions")
    parser.add_argument("--dropped", help="table questions_dropped; beside --out, as NAME_dropped, if not given")
    parser.add_argument("--workers", type=int, default=1, help="processes; the output does not depend on it")
    parser.add_argument("--errata", nargs="*", help="with --meta: CSV files instead of resources/errata.csv; or none")
    args, config = STAGE.parse(parser, argv)
    if (
        (args.scenes or args.objects or args.maps or args.visibility)
        if args.meta
        else not (args.scenes and args.objects)
    ):
        parser.error("give --meta, or --scenes and --objects")
    if args.errata is not None and not args.meta:
        parser.error("--errata goes with --meta: questions of scans are corrected at assembly")
    if args.workers < 1:
        parser.error("--workers is at least 1")
    out = Path(args.out)
    dropped: list[dict] = []
    corrections: list[errata.Erratum] = []
    visibility = gate = None
    if args.meta:
        found = read_meta(args.meta, config.site.max_drop_share)
        scenes, objects, maps, splits = found.scenes, found.objects, None, None
        settings = everything(config.questions)
        shipped = [errata.SHIPPED] if config.questions.compat == "corrected" else []
        own = [config.questions.errata] if config.questions.errata else []
        files = [*shipped, *own] if args.errata is None else args.errata
        corrections = errata.read(files)
        lineage = STAGE.lineage({"meta": found.files, "errata": files})
        dropped = [{"question_id": r["scene_id"], "file": r["file"], "reason": r["reason"]} for r in found.dropped]
    else:
        scenes, objects = tables.read(tables.SCENES, args.scenes), tables.read(tables.OBJECTS, args.objects)
        maps = tables.SceneReader(tables.MAPS, [args.maps]) if args.maps else None
        splits, settings = {name: d.splits for name, d in config.datasets.items()}, config.questions
        if args.visibility:
            visibility, gate = tables.SceneReader(tables.VISIBILITY, [args.visibility]), Gate.of(config)
        elif config.questions.strict == "remove":
            LOG.warning("questions.strict is remove, but without --visibility no question can be checked: all stay")
        named = {name: getattr(args, name) for name in ("scenes", "objects", "maps", "visibility")}
        lineage = STAGE.lineage({name: path for name, path in named.items() if path})
    verdicts = judge_all(scenes, config.scenes.agreement, config.site.max_drop_share)
    if not args.meta:
        LOG.info(counts(verdicts.values()))
    refused = {name: f"{CONTRADICTS}: {v.text}" for name, v in verdicts.items() if v.fate == "dropped"}
    with ExitStack() as stack:
        paths = {"questions": out, "questions_dropped": args.dropped or out.with_name(f"{out.stem}_dropped.parquet")}
        questions, left_out = (
            stack.enter_context(tables.Writer(tables.TABLES[name], path, lineage)) for name, path in paths.items()
        )
        left_out.write(dropped)
        unseen: list[str] = []
        with_summary = [of_type for of_type in asked(settings) if of_type.summary]
        n_made: Counter[str] = Counter()
        why: list[str] = []
        stands_in: Counter[str] = Counter()
        made = questions_for_shard(
            scenes, objects, maps, splits, settings, config.seed, args.workers, refused, visibility, gate
        )
        for columns, reasons in made:
            here = set(columns["scene_id"].to_pylist()) if corrections else ()
            mine = [each for each in corrections if each.scene_id in here]
            if mine:
                done = errata.apply(cast("list[QuestionRow]", columns.to_pylist()), mine, here)
                columns = tables.build(tables.QUESTIONS, done.rows)
                reasons += [{"question_id": row["question_id"], "file": "", "reason": why} for row, why in done.removed]
                corrections = [each for each in corrections if each not in mine]
            questions.write(columns)
            if settings.rules != "ocr":
                stands_in.update(approximations(columns["evidence"].to_pylist()))
            left_out.write(reasons)
            names = columns["question_type"].to_pylist()
            for of_type in with_summary:
                n_made[of_type.name] += names.count(of_type.name) + removed(reasons, of_type.name)
            why += [row["reason"] for row in reasons]
            unseen += [reason for reason in columns["refused"].to_pylist() if reason]
            unseen += [row["reason"] for row in reasons if is_refusal(row["reason"])]
        errata.apply([], corrections, {row["scene_id"] for row in scenes} if corrections else ())
    for of_type in with_summary if settings.compat != "vsibench" and not args.meta else ():
        line = of_type.summary(n_made[of_type.name], why, len(scenes)) if of_type.summary else ""
        if line:
            LOG.info(line)
    for what, n in sorted(stands_in.items()):
        LOG.warning("questions.rules %s: %d questions by %s (docs/rules.md)", settings.rules, n, what)
    if gate:
        what = "left out" if gate.remove else "kept and marked (questions.strict: remove leaves them out)"
        LOG.info(
            "questions refused: %s; %s",
            ", ".join(f"{n} {reason}" for reason, n in reason_counts(unseen)) or "none",
            what,
        )


if __name__ == "__main__":
    main()
