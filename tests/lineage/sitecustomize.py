"""Record which configuration keys each job reads, from outside: put this folder on PYTHONPATH and name a folder in
ROLLOUT3D_RECORD. Each stage process appends one JSON line per key to a file of its own, when it reads the key first:
{"stage", "job" (its wildcards), "key"}.

A key is a leaf of the configuration, written with dots (`video.train_frames`). Reads are seen by the object they are
made on, so a section that a stage hands on is followed wherever it goes.
"""

import json
import os
import sys

if os.environ.get("ROLLOUT3D_RECORD") and any(".stages." in word for word in sys.orig_argv):
    from pathlib import Path

    from rollout3d.config.sections import Section
    from rollout3d.stages import common

    FOLDER = Path(os.environ["ROLLOUT3D_RECORD"])
    where: dict[int, str] = {}
    seen: set[str] = set()
    overridden: dict[int, set[str]] = {}
    kept: list[object] = []
    present: dict[str, object] = {}
    plain_getattribute, plain_copy, plain_parse = Section.__getattribute__, Section.model_copy, common.Stage.parse

    def register(section: Section, path: str) -> None:
        where[id(section)] = path
        kept.append(section)
        for name, value in vars(section).items():
            if isinstance(value, Section):
                register(value, f"{path}{name}.")
            elif isinstance(value, dict):
                for key, item in value.items():
                    if isinstance(item, Section):
                        register(item, f"{path}{name}.{key}.")

    def getattribute(self, name):
        value = plain_getattribute(self, name)
        path = where.get(id(self))
        if path is not None and name in type(self).model_fields:
            named = isinstance(value, dict) and value and all(isinstance(item, Section) for item in value.values())
            own = name not in overridden.get(id(self), ())
            if own and not (isinstance(value, Section) or named) and path + name not in seen:
                seen.add(path + name)
                with open(FOLDER / f"{os.getpid()}.jsonl", "a") as file:
                    file.write(json.dumps({**present, "key": path + name}) + "\n")
        return value

    def model_copy(self, **kwargs):
        copy = plain_copy(self, **kwargs)
        if id(self) in where:
            where[id(copy)] = where[id(self)]
            overridden[id(copy)] = set(kwargs.get("update") or ())
            kept.append(copy)
        return copy

    def parse(self, *args, **kwargs):
        found = plain_parse(self, *args, **kwargs)
        job = {key: value for key, value in self._values.items() if key.startswith("job.")}
        present.update(stage=self.name, job=job)
        register(found[1], "")
        return found

    Section.__getattribute__, Section.model_copy, common.Stage.parse = getattribute, model_copy, parse
