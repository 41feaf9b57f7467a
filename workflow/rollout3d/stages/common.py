"""Parts that all stages share: arguments, configuration, lineage, the store, logging.

Inside the workflow a stage finds the study (configuration, code digests) in the file that the environment variable
ROLLOUT3D_STUDY names, this machine's paths in ROLLOUT3D_SITE, and reads only the keys that it declares. By hand,
`--config` takes YAML files: `rollout3d ingest --config config/config.yaml config/presets/demo.yaml ...`.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import wraps
from pathlib import Path
from typing import Any

from rollout3d import code, provenance, tables
from rollout3d import config as configuration
from rollout3d.config import Run, keys, read
from rollout3d.doors import DATASETS
from rollout3d.errors import UserError, reported
from rollout3d.stages import registry
from rollout3d.study.graph import SETS
from rollout3d.study.running import Running
from rollout3d.tables.store import Store
from rollout3d.training.lock import Lock

LOG = logging.getLogger(__name__)
SITE_VARIABLE = "ROLLOUT3D_SITE"
"""This machine's paths as JSON: they enter no parameter, no identity and no study file."""


class StageError(UserError):
    """A problem that a stage detects; `status` is the exit status of its command line."""

    def __init__(self, message: str, status: int = 1):
        super().__init__(message)
        self.status = status


class Stage:
    """The command line of one stage."""

    def __init__(self, name: str, description: str | None):
        self.name, self.spec = name, registry.STAGES[name]
        self.description = description
        self._study: Running | None = None
        self._whole: dict[str, Any] = {}
        self._values: dict[str, Any] = {}
        self._settings: dict[str, Any] = {}
        self._reads: dict[str, tuple[str, ...]] = {}
        self._all: dict[str, Any] = {}
        self._held: set[str] = set()
        self._code: code.Code | None = None
        self._lineages: list[tables.Lineage] = []
        self._restored = False

    def parser(self) -> argparse.ArgumentParser:
        """A parser with the option `--config`; the stage adds its own arguments."""
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
            help="JSON text or YAML files laid over the paper's configuration (in the workflow: over the study's)",
        )
        return parser

    def parse(
        self, parser: argparse.ArgumentParser, argv: list[str] | None = None
    ) -> tuple[argparse.Namespace, configuration.Config]:
        """Parse; return the arguments, and the configuration narrowed to the keys that this job declares.

        Raises StageError for an invalid configuration, and if the clone's code has changed since the workflow started.
        """
        logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S", stream=sys.stderr)
        args = parser.parse_args(argv)
        try:
            self._study = Running.from_environment()
            # A study's values are complete: laid over the defaults, entries that the user has removed would come back.
            values = self._study.values if self._study else configuration.Config().model_dump(mode="json")
            layers = [_layer(item) for item in args.config]
            site = os.environ.get(SITE_VARIABLE)
            if site:
                layers.append(read.Layer(SITE_VARIABLE, {"site": json.loads(site)}))
            values, config = read.laid(values, layers, self.spec.configuration)
            self._all = values
            scope = _scope(args)
            found = registry.job_values(self.name, config, scope)
            self._whole = {key: value for key, value in values.items() if key != "site"}
        except (ValueError, KeyError) as error:
            raise StageError(f"configuration of {self.name}: {error}") from None
        self._values, self._settings = registry.split(found)
        if hasattr(args, "kept"):
            self._values["job.kept"] = sorted(args.kept)
        if getattr(args, "recipes", None) is not None:
            self._values["job.recipes"] = json.loads(args.recipes)
        self._reads = registry.sets_read(self.name, config, scope)
        if self.spec.stores:
            args.sets = sorted(set(args.sets or self.spec.stores(config, scope)))
            self._values[SETS] = args.sets
            self._reads = dict.fromkeys(("frames", "regions"), tuple(args.sets))
        self._code = code.closure(self.name, registry.chosen(self.name, config, scope))
        self._refuse_changed_code()
        site = {f"site.{name}" for name, _ in keys.leaves(config.site)}
        self._held = {*found, *site}
        return args, keys.narrow(config, self._held)

    def configured(self, over: Mapping[str, Any]) -> configuration.Config:
        """The configuration that `parse` returned, with values (dotted keys) of one run laid over it."""
        values = self._all
        for key, value in over.items():
            for name in reversed(key.split(".")):
                value = {name: value}
            values = configuration.merge(values, value)
        return keys.narrow(self.spec.configuration.model_validate(values), self._held)

    @property
    def _own_code(self) -> code.Code:
        """The code of the job that `parse` read. Raises RuntimeError before that."""
        if self._code is None:
            raise RuntimeError(f"{self.name}: parse the arguments first")
        return self._code

    @property
    def whole_configuration(self) -> dict[str, Any]:
        """Every key with its value, without this machine's paths, to be shown.

        A stage that computes with a key declares it and reads it from what `parse` returns.
        """
        return self._whole

    def command(self, main: Callable[[list[str] | None], None]) -> Callable[..., None]:
        """Decorator of a stage's `main`: report a UserError as one message, and note how results were made."""

        @wraps(main)
        @reported()
        def run(argv: list[str] | None = None) -> None:
            started = time.time()
            self._lineages, self._restored = [], False
            main(argv)
            if self._study and self._lineages and not self._restored:
                for lineage in self._lineages:
                    provenance.note(self._study.results, lineage, started, self._own_code.short)

        return run

    def lineage(self, parents: Mapping[str, str | Path | Iterable[str | Path]] | None = None) -> tables.Lineage:
        """Lineage of what this stage writes; `parents` maps a name to the file or files that were read."""
        digests = []
        for name, paths in sorted((parents or {}).items()):
            files = [paths] if isinstance(paths, str | Path) else list(paths)
            if files:
                parts = self._reads.get(name)
                digests.append((name, tables.digest([tables.content_digest(path, parts) for path in files])))
        lineage = tables.Lineage(self.name, self._values, self._settings, self._own_code.digest, tuple(digests))
        self._lineages.append(lineage)
        return lineage

    def restore(self, output: str | Path, lineage: tables.Lineage, lock: Lock | None = None) -> bool:
        """Put the finished result of this identity in place, if the store has it; return whether it did.

        `output` is the first declared output. `lock`: of the folder that it lies in, where another process may train;
        while that one lives, nothing is put in place. Of several processes of a job only the first one does it; the
        others return whether the store has it. Outside the workflow there is no store.
        """
        if not self._study:
            return False
        store = Store(self._study.results)
        entry = store.find(store.target(output), lineage.identity)
        if entry is None or not store.intact(entry):
            return False
        if os.environ.get("RANK", "0") != "0":
            return True
        if lock is not None and not lock.take():
            return False
        try:
            self._restored = store.restore(entry, output)
        finally:
            if lock is not None:
                lock.release()
        LOG.info("restored from the store: %s (%s)", output, lineage.identity)
        return self._restored

    def keep(self, output: str | Path, lineage: tables.Lineage, names: Sequence[str] = ()) -> None:
        """Keep a finished result in the store: its first output, and the files and folders `names` beside it."""
        if self._study:
            Store(self._study.results).put(output, lineage.identity, [Path(output).name, *names])

    def _refuse_changed_code(self) -> None:
        wanted = self._study.code.get(self.name) if self._study else None
        if wanted and wanted != code.closure(self.name).digest:
            raise StageError(
                f"the code of {self.name} has changed since the workflow was started, and is not the code that the "
                "lineage of its results would name: start the workflow again"
            )


def add_scan(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that name one scan by dataset and folder."""
    parser.add_argument("dataset", choices=DATASETS.names)
    parser.add_argument("path", type=Path, help="folder of one scan, such as ROOT/scans/scene0000_00")


def _scope(args: argparse.Namespace) -> registry.Scope:
    """The job's scope from its arguments. Raises ValueError for a run's row that does not fit."""
    names = (*registry.WILDCARDS, "shard", "n_shards")
    name = getattr(args, "run", None)
    run = None
    if getattr(args, "row", None):
        run = Run.model_validate_json(args.row)
        name = run.run
    elif getattr(args, "method", None):
        run = Run.model_construct(run=args.run, method=args.method, style=getattr(args, "style", None))
    return registry.Scope(**{each: getattr(args, each, None) for each in names}, run_name=name, run=run)


def _layer(item: str) -> read.Layer:
    """The layer of one value of `--config`: JSON text, or a YAML file. Raises ValueError that names it."""
    if not item.lstrip().startswith("{"):
        return read.read_yaml(item)
    try:
        return read.Layer(read.COMMAND_LINE, json.loads(item))
    except ValueError as error:
        raise ValueError(f"{read.COMMAND_LINE}: {item[:60]} is not JSON: {error}") from None


def end_process() -> None:
    """End this process at once with status 0, without the interpreter's shutdown.

    For training processes: a thread of gloo or DeepSpeed that still runs while libraries are unloaded aborts a process
    whose work is done (sometimes, on a loaded machine), and torchrun then reports the whole run as failed.
    """
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)
