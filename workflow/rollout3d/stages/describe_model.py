"""Write the `model.json` of an existing model: a directory of this machine (site.models), else a Hugging Face name.

Nothing is downloaded here; the first job that loads the model downloads it.
"""

from __future__ import annotations

from pathlib import Path

from rollout3d.fingerprint import Recorder, roots_of
from rollout3d.stages.common import Stage

STAGE = Stage("describe_model", __doc__)


@STAGE.command
def main(argv: list[str] | None = None) -> None:
    parser = STAGE.parser()
    parser.add_argument("--key", required=True, help="key of the configuration's models")
    parser.add_argument("--raw", help="table raw_files: the files that were read")
    parser.add_argument("--out", required=True, type=Path, help="model.json")
    args, config = STAGE.parse(parser, argv)

    from rollout3d.model.load import refer_model

    name = config.models[args.key].name
    root = f"models.{args.key}"
    lineage = STAGE.lineage()
    with Recorder({key: path for key, path in roots_of(config.site).items() if key == root}) as raw:
        where = config.site.models.get(args.key, name)
        refer_model(args.out, name=name, where=where, lineage=lineage.as_dict())
    if args.raw:
        raw.write(args.raw, lineage)


if __name__ == "__main__":
    main()
