"""What every stage shares: arguments, configuration, lineage, logging.

A stage is given only its own sections of the configuration, as JSON, and the machine's paths in the environment
variable ROLLOUT3D_SITE. By hand, `--config` takes YAML files too: `rollout3d ingest --config config/config.yaml ...`.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from functools import wraps
from pathlib import Path

from rollout3d import config as configuration
from rollout3d import tables
from rollout3d.stages import registry

SITE_VARIABLE = "ROLLOUT3D_SITE"


class StageError(SystemExit):
    """A problem that the user can mend: printed as one message, without a traceback."""

    def __init__(self, message: str, status: int = 1):
        print(f"error: {message}", file=sys.stderr)
        super().__init__(status)


class Stage:
    """The command line of one stage."""

    def __init__(self, name: str, description: str | None):
        self.name, self.spec = name, registry.STAGES[name]
        self.description = description
        self._config_digest = ""

    def parser(self) -> argparse.ArgumentParser:
        """A parser that knows `--config`; the stage adds its own arguments."""
        parser = argparse.ArgumentParser(
            prog=f"rollout3d {self.name.replace('_', '-')}",
            description=self.description,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        parser.add_argument(
            "--config",
            nargs="+",
            default=[],
            metavar="JSON|YAML",
            help="the stage's sections as JSON text, or YAML files laid over the paper's configuration, in order",
        )
        return parser

    def parse(
        self, parser: argparse.ArgumentParser, argv: list[str] | None = None
    ) -> tuple[argparse.Namespace, configuration.Config]:
        """Parse; return the arguments and the configuration. Raises StageError for an invalid configuration."""
        logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S", stream=sys.stderr)
        args = parser.parse_args(argv)
        values: dict = {}
        try:
            for item in args.config:
                part = json.loads(item) if item.lstrip().startswith("{") else _yaml(item)
                values = configuration.merge(values, part)
            site = os.environ.get(SITE_VARIABLE)
            if site:
                values = configuration.merge(values, {"site": json.loads(site)})
            config = configuration.Config.model_validate(
                configuration.merge(configuration.Config().model_dump(mode="json"), values)
            )
        except ValueError as error:
            raise StageError(f"configuration of {self.name}: {error}") from None
        self._config_digest = tables.digest(config.part(*self.spec.config))
        return args, config

    def command(self, main: Callable[[list[str] | None], None]) -> Callable[..., None]:
        """Decorator of a stage's `main`: errors of tables, whose messages say how to mend them, become a StageError.

        So a file of another table or version, or a place that cannot be written to, ends no stage with a traceback.
        Rows that do not fit keep theirs: they are a fault of ours.
        """

        @wraps(main)
        def run(argv: list[str] | None = None) -> None:
            try:
                main(argv)
            except tables.RowError:
                raise
            except tables.TableError as error:
                raise StageError(str(error)) from None

        return run

    def lineage(self, parents: Mapping[str, str | Path | Iterable[str | Path]] | None = None) -> tables.Lineage:
        """Lineage of what this stage writes; `parents` maps a name to the file or files that were read."""
        digests = []
        for name, paths in sorted((parents or {}).items()):
            files = [paths] if isinstance(paths, str | Path) else list(paths)
            digests.append((name, tables.digest([tables.content_digest(path) for path in files])))
        code = tables.digest([Path(path).read_text() for path in registry.code_files(self.name)])
        return tables.Lineage(self.name, self._config_digest, code, tuple(digests))


def _yaml(path: str) -> dict:
    import yaml

    try:
        return yaml.safe_load(Path(path).read_text()) or {}
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror}") from None


def end_process() -> None:
    """End now, as a success, without tearing the interpreter down.

    For training processes: a thread of gloo or DeepSpeed that still runs while libraries are unloaded aborts a process
    whose work is done (now and then, on a loaded machine), and torchrun calls the whole run failed.
    """
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)
