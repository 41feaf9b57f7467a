"""Print any table: the meaning of its columns, and its first rows or those that fulfil a condition.

rollout3d show results/demo/train/ocr_rl.parquet --columns question --where "question_type == 'route_planning'"
rollout3d show results/demo/report/table2.parquet --out table2.csv
"""

from __future__ import annotations

from pathlib import Path

from rollout3d.report import show
from rollout3d.stages.common import Stage

STAGE = Stage("show", __doc__)


@STAGE.command
def main(argv: list[str] | None = None) -> None:
    parser = STAGE.parser()
    parser.add_argument("table", type=Path, metavar="TABLE", help="a Parquet file of a study")
    parser.add_argument("--rows", type=int, default=5, metavar="N", help="rows to print (%(default)s)")
    parser.add_argument("--columns", nargs="+", metavar="NAME", help="columns to show; all if not given")
    parser.add_argument("--where", metavar="CONDITION", help="rows to show, as pandas.DataFrame.query reads it")
    parser.add_argument("--out", type=Path, metavar="CSV", help="write all rows there instead of printing some")
    args, _ = STAGE.parse(parser, argv)
    found = show.frame(args.table, args.columns, args.where)
    if args.out:
        found.to_csv(args.out, index=False)
        print(f"{args.out}: {len(found):,} rows")
    else:
        print(show.text(args.table, found, args.rows))


if __name__ == "__main__":
    main()
