"""Write the `model.json` of an existing model: a directory of this machine (site.models), the small model that travels
with this package, or a Hugging Face name.

Nothing is downloaded here; the first job that loads the model downloads it.
"""

from __future__ import annotations

from pathlib import Path

from rollout3d.fingerprint import Recorder, roots_of
from rollout3d.resources import shipped
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

    model = config.models[args.key]
    # By its literal name: rollout3d.code counts the files of that folder among those that this stage depends on.
    name = str(shipped("resources/tiny_qwen")) if model.shipped else model.name
    root = f"models.{args.key}"
    lineage = STAGE.lineage()
    with Recorder({key: path for key, path in roots_of(config.site).items() if key == root}) as raw:
        where = config.site.models.get(args.key, name)
        refer_model(args.out, name=model.name, where=where, lineage=lineage.as_dict())
    if args.raw:
        raw.write(args.raw, lineage)


if __name__ == "__main__":
    main()
