"""Record which configuration keys a stage reads, from outside: put this folder on PYTHONPATH and name a folder in
ROLLOUT3D_RECORD. Each process appends `stage<TAB>key` lines to a file of its own, as they are read first.

A key is a leaf of the configuration, written with dots (`video.train_frames`). Reads are seen by the object they are
made on, so a section that a stage hands on is followed wherever it goes.
"""

import os

if os.environ.get("ROLLOUT3D_RECORD"):
    from pathlib import Path

    from rollout3d.config.sections import Section
    from rollout3d.stages import common

    FOLDER = Path(os.environ["ROLLOUT3D_RECORD"])
    where: dict[int, str] = {}
    seen: set[tuple[str, str]] = set()
    kept: list[object] = []
    stage_name = [""]
    plain_getattribute, plain_parse = Section.__getattribute__, common.Stage.parse

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
            sections = isinstance(value, Section) or (
                isinstance(value, dict) and value and all(isinstance(item, Section) for item in value.values())
            )
            if not sections and (stage_name[0], path + name) not in seen:
                seen.add((stage_name[0], path + name))
                with open(FOLDER / f"{os.getpid()}.tsv", "a") as file:
                    file.write(f"{stage_name[0]}\t{path}{name}\n")
        return value

    def parse(self, *args, **kwargs):
        found = plain_parse(self, *args, **kwargs)
        stage_name[0] = os.environ.get("ROLLOUT3D_RECORD_AS", "") + self.name
        register(found[1], "")
        return found

    def model_copy(self, **kwargs):
        copy = plain_copy(self, **kwargs)
        if id(self) in where:
            where[id(copy)] = where[id(self)]
            kept.append(copy)
        return copy

    plain_copy = Section.model_copy
    Section.model_copy = model_copy
    Section.__getattribute__ = getattribute
    common.Stage.parse = parse
