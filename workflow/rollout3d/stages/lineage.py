"""Print how a table or model was made, and the same of every result that it depends on.

    rollout3d lineage results/eval/ocr/vsibench/scores.parquet
    rollout3d lineage results/demo/runs/ocr/model.json

For each result: its stage, the values that decided it, its other settings, commit, versions, GPU and time (where
they were noted), and its parents. A file of no study is described alone.
"""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Iterator
from pathlib import Path

from rollout3d import provenance, tables
from rollout3d.errors import reported
from rollout3d.study.dump import NoStudy, add_options, load, options_of

_WRAP = textwrap.TextWrapper(118, subsequent_indent=" " * 12, break_on_hyphens=False, break_long_words=False)


@reported()
def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="rollout3d lineage", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("file", type=Path, help="a table, a model.json or a report")
    parser.add_argument("--alone", action="store_true", help="describe this file only, not its ancestors")
    add_options(parser)
    args = parser.parse_args(argv)
    found = tables.lineage(args.file)
    chain, results = [str(args.file)], None
    if not args.alone:
        try:
            graph = load(options_of(args, [str(args.file)]), [str(args.file)])
            results = graph.results
            chain = [job.name for job in reversed(graph.jobs)]
        except NoStudy:
            print("(no rule of this study writes the file: described alone; --configfile names another study)\n")
    for path in chain:
        if not Path(path).exists():
            print(f"{path}\n  missing\n")
            continue
        about = found if path == str(args.file) else tables.lineage(path)
        print("\n".join(words(path, about, results)) + "\n")


def words(path: str, about: dict, results: Path | None) -> Iterator[str]:
    """Lines about one file from its lineage and, where it was noted, how it was made."""
    stage = about.get("stage")
    if not stage:
        yield f"{path}\n  no lineage: not written by rollout3d"
        return
    yield path
    yield f"  stage     {stage}" + (f", table {about['table']} version {about['version']}" if "table" in about else "")
    for title, values in (("decided", about.get("values", {})), ("beside", about.get("settings", {}))):
        if values:
            text = ", ".join(f"{key} = {tables.canonical_json(value)}" for key, value in sorted(values.items()))
            _WRAP.initial_indent = f"  {title:<9} "
            yield _WRAP.fill(text)
    yield f"  code      {about.get('code', '')[:16]}"
    identity = tables.Lineage.from_dict(about).identity
    made = provenance.read(results, stage, identity) if results else None
    if made:
        versions = ", ".join(f"{name} {version}" for name, version in sorted(made["versions"].items()))
        place = made["host"] + (f", Slurm job {made['slurm_job']}" if made["slurm_job"] else "")
        yield f"  made      {made['started']}, {made['seconds']:.0f} s on {place}; commit {made['commit'] or '-'}"
        yield f"  with      Python {made['python']}, {versions}; GPU: {made['gpu'] or 'none'}"
    for name, digest in sorted(about.get("parents", {}).items()):
        yield f"  parent    {name} {digest[:16]}"


if __name__ == "__main__":
    main()
