"""Arguments and input of the stages that import a file of others (`site.external`)."""

from __future__ import annotations

import argparse
from pathlib import Path

from rollout3d import releases
from rollout3d.config import Config
from rollout3d.config.site import ExternalName
from rollout3d.stages.common import StageError


def add_import(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that these stages share."""
    parser.add_argument("--dropped", required=True, type=Path, help="table questions_dropped")
    parser.add_argument("--sets", nargs="*", default=[], help="frame sets of videos; default: the configuration's")
    parser.add_argument("--raw", help="table raw_files: the files that were read")
    parser.add_argument("--threads", type=int, default=1, help="pictures and videos decoded at a time")


def external_file(config: Config, source: ExternalName) -> Path:
    """The file of `site.external.<source>`. Raises StageError, with how to get it, where it is not."""
    path = config.site.external.get(source)
    message = releases.missing_file(source, path)
    if path is None or message:
        raise StageError(message or f"site.external.{source} is not configured")
    return Path(path)
