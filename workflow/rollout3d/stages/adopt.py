"""Take your own table or model into a study, with a check of its columns.

    rollout3d adopt my_questions.parquet results/train/ocr_rl.parquet
    rollout3d adopt /models/my_sft results/runs/sft/model.json

A table gets the schema of the target: columns must exist with values that fit; others are refused. A model is a
Hugging Face directory of Qwen2.5-VL, referred to where it lies. Then name the rule (or run) under `keep`, so that
the target is not made again; scores and report name it beside every number that depends on it.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from rollout3d import tables
from rollout3d.errors import reported
from rollout3d.stages.common import StageError
from rollout3d.study.dump import add_options, load, options_of
from rollout3d.study.graph import Job
from rollout3d.study.state import ADOPTED


@reported()
def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="rollout3d adopt", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source", type=Path, help="a Parquet file, or the directory of a model")
    parser.add_argument("target", help="a path that the workflow writes")
    parser.add_argument("--force", action="store_true", help="replace a target that is there")
    add_options(parser)
    args = parser.parse_args(argv)
    graph = load(options_of(args, [args.target]), [args.target])
    job = graph.study.job(args.target)
    if job is None and args.target not in graph.kept:
        raise StageError(f"{args.target}: no rule of this study writes it; --configfile names another study")
    if Path(args.target).exists() and not args.force:
        raise StageError(f"{args.target}: exists; --force replaces it")
    if args.target.endswith("model.json"):
        adopt_model(args.source, Path(args.target))
    else:
        n = adopt_table(args.source, Path(args.target))
        print(f"{args.target}: {n} rows")
    if job is not None:
        print(f"now keep it: `keep: [{name_to_keep(job)}]` in config/local.yaml, or the next run makes it anew")


def adopt_table(source: Path, target: Path) -> int:
    """Write the rows of `source` as the table that `target` holds by its place; return how many. Raises TableError."""
    table = table_at(target)
    found = tables.read_foreign(source)
    if not found:
        raise tables.TableError(f"{source}: holds no rows to adopt")
    names, columns = set(table.schema.names), set(found[0])
    missing, extra = names - columns, sorted(columns - names)
    optional = [name for name in missing if table.schema.field(name).nullable]
    lacks = sorted(missing - set(optional))
    if lacks or extra:
        raise tables.TableError(
            f"{source}: does not fit the table '{table.name}': lacks {lacks or 'nothing'}, unknown {extra or 'nothing'}"
        )
    rows = [row | dict.fromkeys(optional) for row in found]
    lineage = tables.Lineage(ADOPTED, parents=(("source", tables.content_digest(source)),))
    return tables.write(table, target, rows, lineage)


def table_at(target: Path) -> tables.Table:
    """The table that belongs at a path of the results, by file and folders. Raises TableError if none does."""
    name, folders = target.name.split(".")[0], target.parts[:-1]
    if name in tables.TABLES:
        return tables.TABLES[name]
    if name.endswith("_dropped") and "questions" in folders:
        return tables.QUESTIONS_DROPPED
    for folder, table in (("predictions", tables.PREDICTIONS), ("difficulty", tables.PREDICTIONS)):
        if folder in folders:
            return table
    if "questions" in folders:
        return tables.VERDICTS if ".verdicts" in target.name else tables.QUESTIONS
    if "train" in folders:
        return tables.OCR_SFT
    raise tables.TableError(
        f"{target}: no table that can be adopted belongs at this path; give a path that the workflow writes"
    )


def adopt_model(source: Path, target: Path) -> None:
    """Refer to the model in the directory `source`. Raises TableError if it is none that this project can use."""
    from rollout3d.model.load import ModelError, refer_model

    lineage = tables.Lineage(ADOPTED)
    try:
        refer_model(target, name=target.parent.name, where=str(source.resolve()), lineage=lineage.as_dict())
    except ModelError as error:
        raise tables.TableError(str(error)) from None


def name_to_keep(job: Job) -> str:
    """The name under `keep` that leaves out the rule of a job: its run, where it trains one, else its rule."""
    return Path(job.name).parent.name if job.stage in ("train_sft", "train_grpo") else job.rule


if __name__ == "__main__":
    main()
