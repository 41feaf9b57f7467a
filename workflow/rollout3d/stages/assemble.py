"""Join all question tables into the training table and the test table.

    rollout3d assemble --questions a.parquet b.parquet --scenes s.parquet t.parquet \\
        --out-train ocr_rl.parquet --out-test test.parquet --dropped dropped.parquet --sources sources.parquet
"""

from __future__ import annotations

import logging
from collections import Counter

from rollout3d import tables
from rollout3d.questions import errata, mix
from rollout3d.questions.assemble import assemble, write_train
from rollout3d.stages.common import Stage

STAGE = Stage("assemble", __doc__)
LOG = logging.getLogger(__name__)


@STAGE.command
def main(argv: list[str] | None = None) -> None:
    parser = STAGE.parser()
    parser.add_argument("--questions", required=True, nargs="+", help="tables questions, generated and imported")
    parser.add_argument("--scenes", required=True, nargs="+", help="all tables scenes, for the leak guard")
    parser.add_argument("--benchmarks", nargs="*", default=[], help="questions of the benchmarks, for the leak guard")
    parser.add_argument("--left-out", nargs="*", default=[], help="tables questions_dropped of the imports")
    parser.add_argument("--refused", nargs="*", default=[], help="tables questions_dropped of the generated questions")
    parser.add_argument("--verdicts", nargs="*", default=[], help="tables verdicts of the judge")
    parser.add_argument(
        "--errata",
        nargs="*",
        help="CSV files; default: the package's and the study's own",
    )
    parser.add_argument("--general", type=int, default=0, help="general questions that the study asks for, for the log")
    parser.add_argument("--out-train", required=True, help="table ocr_rl")
    parser.add_argument("--out-test", required=True, help="table questions of the test splits")
    parser.add_argument("--dropped", required=True, help="table questions_dropped")
    parser.add_argument("--sources", required=True, help="table sources: rows kept and dropped, by source")
    args, config = STAGE.parse(parser, argv)
    shipped = [errata.SHIPPED] if config.questions.compat == "corrected" else []
    own = [config.questions.errata] if config.questions.errata else []
    corrections = [*shipped, *own] if args.errata is None else args.errata
    made = assemble(
        [row for path in args.questions for row in tables.read_light(tables.QUESTIONS, path)],
        tables.read_many(tables.SCENES, args.scenes, ["scene_id", "space_id", "dataset", "split", "agreement"]),
        config,
        tables.read_many(tables.QUESTIONS, args.benchmarks, ["scene_id", "space_id", "dataset", "source"]),
        tables.read_many(tables.QUESTIONS_DROPPED, args.left_out),
        tables.read_many(tables.VERDICTS, args.verdicts),
        errata.read(corrections),
        tables.read_many(tables.QUESTIONS_DROPPED, args.refused),
    )
    lineage = STAGE.lineage(
        {
            "questions": args.questions,
            "scenes": args.scenes,
            "benchmarks": args.benchmarks,
            "left_out": args.left_out,
            "verdicts": args.verdicts,
            "errata": corrections,
            "refused": args.refused,
        }
    )
    write_train(args.out_train, made.train, args.questions, lineage)
    tables.write(tables.QUESTIONS, args.out_test, made.test, lineage)
    tables.write(tables.QUESTIONS_DROPPED, args.dropped, made.dropped, lineage)
    tables.write(tables.SOURCES, args.sources, made.sources, lineage)
    for source in sorted({row["source"] for row in made.sources}):
        mine = [row for row in made.sources if row["source"] == source]
        kept = sum(row["n"] for row in mine if row["fate"] in ("train", "test"))
        reasons = Counter()
        for row in mine:
            reasons[row["reason"]] += row["n"] if row["fate"] in ("dropped", "unusable") else 0
        listing = ", ".join(f"{n} {reason}" for reason, n in reasons.most_common(4) if n)
        LOG.info("%s: %d kept; left out: %s", source, kept, listing or "none")
    n_general = sum(row["scene_id"] is None for row in made.train)
    if args.general > n_general:
        LOG.warning("%s", mix.too_few_general(n_general, args.general, len(made.train)))
    mixture = config.questions.mix if isinstance(config.questions.mix, str) else "of shares"
    for line in mix.lines(made.train, made.guesses, f"training, mix {mixture}"):
        LOG.info("%s", line)


if __name__ == "__main__":
    main()
