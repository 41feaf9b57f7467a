"""Write a folder for the Hugging Face Hub: the questions of a study, or a trained model, each with its card.

    rollout3d publish data dataset/ --results results/demo
    rollout3d publish model ocr-3b/ --results results/demo --run ocr

A dataset holds the training and test questions as Parquet within the limits of the Hub's viewer. Pictures of scans are
left out unless --with-frames asks for them; questions name their scans. A model is what `rollout3d export` writes,
with the scores of its evaluation. Counts, settings and scores of a card come from the results. A folder with anything
of this machine (paths, names, secrets, ids of API requests) is not written.

Nothing is uploaded unless --push names a repository; the token comes from the variable HF_TOKEN. A new repository is
private unless --public is given. A folder that this command wrote before is replaced, any other is an error.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from rollout3d.config import Config
from rollout3d.errors import InvalidInput
from rollout3d.publish import hub, study
from rollout3d.publish.clean import Private
from rollout3d.publish.data import Wanted, publish_data
from rollout3d.publish.folder import check_replaceable
from rollout3d.stages.common import Stage, StageError

STAGE = Stage("publish", __doc__)
OF_DATA = ("with_frames", "with_evidence", "audit")
OF_MODEL = ("run", "base", "license", "license_link", "dataset", "predictions")


@STAGE.command
def main(argv: list[str] | None = None) -> None:
    parser = STAGE.parser()
    parser.add_argument("what", choices=("data", "model"), help="the questions of a study, or a trained model")
    parser.add_argument("folder", type=Path, metavar="DIR", help="folder to write")
    parser.add_argument("--results", required=True, type=Path, help="results directory, such as results/demo")
    parser.add_argument("--title", help="heading of the card")
    parser.add_argument("--push", metavar="OWNER/NAME", help="upload the folder to this repository of the Hub")
    parser.add_argument("--public", action="store_true", help="with --push: the repository is, or becomes, public")
    of_data = parser.add_argument_group("data")
    of_data.add_argument("--with-frames", action="store_true", help="include pictures, under the terms of the scans")
    of_data.add_argument("--with-evidence", action="store_true", help="include positions of objects, under the same")
    of_data.add_argument("--audit", type=Path, nargs="+", help="tables of `rollout3d audit`, whose agreement is stated")
    of_model = parser.add_argument_group("model")
    of_model.add_argument("--run", help="name of the run")
    of_model.add_argument("--base", help="name of the base model, where the results do not hold it")
    of_model.add_argument("--license", metavar="ID", help="licence of the base model, where it is not known")
    of_model.add_argument("--license-link", metavar="URL", help="its text, for a licence that is not on the Hub's list")
    of_model.add_argument(
        "--dataset", nargs="+", metavar="OWNER/NAME", help="datasets of the Hub that it was trained on"
    )
    of_model.add_argument("--predictions", type=Path, nargs="+", help="as of `rollout3d export`")
    args, config = STAGE.parse(parser, argv)
    for name in OF_MODEL if args.what == "data" else OF_DATA:
        if getattr(args, name):
            parser.error(f"--{name.replace('_', '-')} does not go with {args.what}")
    if args.what == "model" and not args.run:
        parser.error("name the run: --run NAME")
    if args.public and not args.push:
        parser.error("--public goes with --push")
    if not args.results.is_dir():
        raise InvalidInput(f"{args.results}: no such folder; name a results directory")
    if args.push:
        hub.check(args.push)
    check_replaceable(args.folder.absolute())
    values = study.studied(args.results, STAGE.whole_configuration)
    places = {*study.paths_of(config.site.model_dump(mode="json")), *study.paths_of(values)}
    private = Private({*places, str(args.results.resolve()), str(args.folder.resolve())})
    try:
        restricted = _data(args, values, private) if args.what == "data" else _model(args, config, values, private)
    except OSError as error:
        raise StageError(f"{args.folder}: cannot be written ({error.strerror or error})") from None
    if args.push:
        if args.public and restricted:
            raise InvalidInput(
                f"--public: the terms of {' and '.join(restricted)} forbid to pass pictures on; leave out "
                "--with-frames, or --public"
            )
        kind = "dataset" if args.what == "data" else "model"
        print(f"uploaded: {hub.push(args.folder, args.push, kind, args.public)}")
    else:
        print("nothing was uploaded: --push OWNER/NAME does")


def _data(args: argparse.Namespace, values: dict[str, Any], private: Private) -> tuple[str, ...]:
    """Write a dataset; return the datasets whose pictures may not be passed on."""
    wanted = Wanted(args.with_frames, args.with_evidence, args.title, tuple(args.audit or ()))
    made = publish_data(args.results, args.folder, values, wanted, private)
    for split in made.splits:
        print(f"{args.folder}: {split.config}, {split.name}: {split.n_rows:,} rows in {len(split.paths)} files")
    if made.restricted:
        print(
            f"{args.folder}: holds pictures of {' and '.join(made.restricted)}, whose terms forbid to pass them on: "
            "show it to nobody who has not signed them"
        )
    return made.restricted


def _model(args: argparse.Namespace, config: Config, values: dict[str, Any], private: Private) -> tuple[str, ...]:
    """Write a model; return no restriction: it holds no pictures."""
    from rollout3d.publish.model import Stated, publish_model
    from rollout3d.stages.export import asked_of

    model_json = args.results / "runs" / args.run / "model.json"
    if not model_json.is_file():
        runs = sorted(path.parent.name for path in (args.results / "runs").glob("*/model.json"))
        raise InvalidInput(f"{model_json}: no such run; trained are {', '.join(runs) or 'none'}")
    own = Config.model_validate({**values, "site": config.site.model_dump(mode="json")})
    asked, video = asked_of(own, model_json, args.predictions)
    stated = Stated(args.base, args.license, args.license_link, tuple(args.dataset or ()), args.title)
    made = publish_model(args.results, model_json, args.folder, values, asked, video, stated, private)
    size = sum(file.stat().st_size for file in args.folder.iterdir()) / 1e9
    print(f"{args.folder}: {made.run.name} from {made.base.name}, {size:.2f} GB, licence {made.licence.about}")
    return ()


if __name__ == "__main__":
    main()
