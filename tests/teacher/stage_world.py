"""Tables for the stages that ask a paid model, and the stages in processes of their own."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

from blank_map import blank_map
from cot.cot_rows import question
from rollout3d import tables
from rollout3d.stages import annotate, judge
from teacher.api_keys import fixed, placed
from teacher.frame_rows import frame_rows
from teacher.server import texts

KEY = "sk-planted-0123456789abcdef"
LINEAGE = tables.Lineage("test")
PNG = b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, b"IHDR", 432, 432)
SECTIONS = {"annotate": "cot", "judge": "judge"}
CONSTANTS = {"frames": 3, "request_attempts": 2, "timeout_s": 2.0}
"""Constants as the stages have them here, so that a faulty server is soon given up."""
PROGRAM = """
import json, sys
from teacher.api_keys import fixed
with fixed(*json.loads(sys.argv.pop(1))):
    from rollout3d.stages import main
    main()
"""
"""The command line with other constants."""
GOOD = "<think>Left of the tv.</think>\n<answer>A</answer>"
WRONG = "<think>Right of the tv.</think>\n<answer>B</answer>"


def asked(body: dict[str, Any]) -> str:
    """Which question a request asks."""
    return re.search(r"object (q\d+)\b", texts(body))[1]


class World:
    """`n` questions about `n_scenes` scans. `names` are the questions' ids, in the order of the table."""

    def __init__(self, folder: Path, n: int, n_scenes: int):
        self.folder = folder
        scenes = [f"scene{k:04}_00" for k in range(n_scenes)]
        self.names = [f"q{k:03}" for k in range(n)]
        rows = [
            question(question_id=name, scene_id=scenes[k % n_scenes], question=f"Where is the lamp, object {name}?")
            for k, name in enumerate(self.names)
        ]
        frames = {"uniform16": [], "uniform32": []}
        maps = []
        for scene in scenes:
            for name, found in frames.items():
                for row in frame_rows(name, "other"):
                    image = {"bytes": scene.encode() + row["image"]["bytes"], "path": row["image"]["path"]}
                    found.append(row | {"scene_id": scene, "image": image})
            maps.append(blank_map(scene, PNG + scene.encode()))
        hard = [{"question_id": name, "transition": "bev"} for name in self.names]
        self.write(tables.HARD, "hard", hard)
        self.write(tables.OCR_RL, "ocr_rl", rows)
        self.write(tables.QUESTIONS, "questions", rows)
        self.write(tables.MAPS, "maps", maps)
        for name, found in frames.items():
            self.write(tables.FRAMES, name, found)

    def write(self, table: tables.Table, name: str, rows: list[dict[str, Any]]) -> None:
        tables.write(table, self.path(name), rows, LINEAGE)

    def path(self, name: str) -> Path:
        return self.folder / f"{name}.parquet"

    def arguments(self, stage: str, **settings: Any) -> list[str]:
        values = placed(SECTIONS[stage], {"max_usd": 9.0} | settings)
        found = ["--config", json.dumps(values), "--out", str(self.path(f"out/{stage}"))]
        if stage == "judge":
            return [*found, "--questions", str(self.path("questions")), "--frames", str(self.path("uniform16"))]
        found += ["--hard", str(self.path("hard")), "--questions", str(self.path("ocr_rl"))]
        return [*found, "--frames", str(self.path("uniform32")), "--maps", str(self.path("maps"))]

    def start(self, base_url: str, stage: str = "annotate", **settings: Any) -> subprocess.Popen:
        """Start a stage that asks `base_url`, in a process of its own; `settings` of its section."""
        constants = json.dumps([SECTIONS[stage], CONSTANTS | settings])
        command = [sys.executable, "-c", PROGRAM, constants, stage, *self.arguments(stage, **settings)]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "OPENAI_API_KEY": KEY}
        environment["ROLLOUT3D_SITE"] = json.dumps({"openai_base_url": base_url})
        return subprocess.Popen(command, env=environment, stderr=subprocess.STDOUT, stdout=subprocess.PIPE, text=True)

    def run(self, base_url: str, stage: str = "annotate", fails: bool = False, **settings: Any) -> str:
        """Run a stage in this process; return the text of the error that ends it, "" for a success."""
        os.environ |= {"OPENAI_API_KEY": KEY, "ROLLOUT3D_SITE": json.dumps({"openai_base_url": base_url})}
        said = io.StringIO()
        try:
            with contextlib.redirect_stderr(said), fixed(SECTIONS[stage], CONSTANTS | settings):
                {"annotate": annotate, "judge": judge}[stage].main(self.arguments(stage, **settings))
        except SystemExit as end:
            assert fails and end.code == 1, said.getvalue()
        else:
            assert not fails, said.getvalue()
        return said.getvalue()

    def result(self, stage: str = "annotate") -> list[dict[str, Any]]:
        return tables.read({"annotate": tables.ANNOTATIONS, "judge": tables.VERDICTS}[stage], self.path(f"out/{stage}"))

    def made(self, stage: str = "annotate") -> bool:
        return self.path(f"out/{stage}").exists()

    @property
    def replies(self) -> list[dict[str, Any]]:
        """The files of the cache."""
        return [json.loads(path.read_text()) for path in (self.folder / "out" / "replies").glob("*.json")]
