"""Card of a published dataset: what it holds, how it was made, and what it must not be used for, from its own rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rollout3d import tables
from rollout3d.config import Config
from rollout3d.publish import blind, licences, parquet
from rollout3d.publish.citation import citation
from rollout3d.publish.markdown import front_matter, settings_table, table
from rollout3d.publish.parquet import Split
from rollout3d.questions import card
from rollout3d.report.about import about
from rollout3d.report.page import PRESETS
from rollout3d.tables.rows import QuestionRow

TASKS = ("video-text-to-text", "visual-question-answering")
TAGS = ("rollout3d", "spatial-reasoning", "video", "3d")
SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"), (10**7, "1M<n<10M"))
"""Rows from which on the next size category of the Hub applies, and the category below."""
CONCERN = ("seed", "datasets", "scenes", "video", "questions", "external", "judge", "difficulty", "cot", "api")
"""Sections of the configuration that decide the questions and their reasoning."""
MEANINGS = {
    "questions": "the questions of the study: `train` to train on, `test` about other rooms",
    "reasoning": "hard training questions with a verified chain of thought, for the cold start by SFT",
    "frames": "sampled frames of the scans, with camera and time; join by `scene_id`",
}


@dataclass(frozen=True)
class Contents:
    """A dataset as it was written, and what stands behind it."""

    results: Path
    values: Mapping[str, Any]
    """The whole configuration, without this machine's paths."""
    config: Config
    splits: Sequence[Split]
    train: Sequence[QuestionRow]
    """All training questions."""
    test: Sequence[QuestionRow]
    frames: bool
    """Pictures are in the folder."""
    evidence: bool
    """The column `evidence` is in the folder."""
    title: str | None = None
    audits: Sequence[Path] = ()
    """Tables audit or audit_released, for the card."""

    @property
    def synthetic(self) -> bool:
        """True of rendered scans."""
        return self.config.toyworld is not None

    def files(self) -> dict[str, str]:
        """Return the texts of the folder by file name: the card, and the terms of the sources if they need a file."""
        licence = self._licence()
        found = {"README.md": self.card()}
        if licence.link == licences.FILE:
            found[licences.FILE] = f"# Terms of the sources\n\n{self._terms()}\n"
        return found

    def card(self) -> str:
        """Return the card with its front matter."""
        title = self.title or f"Spatial questions about {'rendered rooms' if self.synthetic else 'indoor scans'}"
        rules = card.NAMES[self.config.questions.rules]
        left_out = self.results / "train" / "ocr_rl_dropped.parquet"
        dropped = tables.read(tables.QUESTIONS_DROPPED, left_out) if left_out.is_file() else []
        made = card.sections(self.train, dropped, self.config, self.synthetic)
        banner = PRESETS.get(self.config.preset or "")
        bias = blind.bias_rows(self.results, self.results / "train" / "ocr_rl.parquet", self.train)
        parts = [
            self._front(title),
            f"# {title}",
            f"Questions about space in videos of rooms, made by the rules of {rules}. {self._made()}",
            *([f"> {banner}"] if banner else []),
            "## Contents",
            table(["Configuration", "What", "Split", "Files", "Rows"], self._listing(), numbers=2),
            self._left_out(),
            "## Use",
            self._use(),
            "## Columns",
            self._columns(),
            "## How the questions were made",
            *made,
            f"Licence of this dataset: {self._licence().about}.",
            *self._audits(),
            "## What the text alone gives away",
            blind.bias_section(bias),
            "## Answers without the video",
            blind.blind_section(blind.score_rows(self.results)),
            "## Departures from the papers",
            self._departures(),
            "## Citation",
            citation(),
        ]
        return "\n\n".join(parts) + "\n"

    def _front(self, title: str) -> str:
        n = sum(split.n_rows for split in self.splits if split.config == "questions")
        return front_matter(
            {
                "pretty_name": title,
                **self._licence().metadata,
                "language": ["en"],
                "annotations_creators": ["machine-generated"],
                "task_categories": list(TASKS),
                "size_categories": [next((name for top, name in SIZES if n < top), "n>10M")],
                "tags": [*TAGS, *(["synthetic"] if self.synthetic else [])],
                "configs": parquet.configs(self.splits),
                "dataset_info": parquet.dataset_info(self.splits),
            }
        )

    def _licence(self) -> licences.Licence:
        rows = (*self.train, *self.test)
        general = any(row["scene_id"] is None for row in rows)
        return licences.of_data(self.synthetic, {row["source"] for row in rows}, general)

    def _made(self) -> str:
        files = [self.results / "train" / "ocr_rl.parquet"]
        origin = about(files, self.results, self.values)
        commits = [commit for commit in origin.commits if commit != "outside git"]
        of = f", commit {' and '.join(commits)}" if commits else ""
        return f"Made with rollout3d {origin.version or 'of unknown version'}{of}, configuration {origin.digest}."

    def _listing(self) -> list[tuple[Any, ...]]:
        return [(f"`{s.config}`", MEANINGS[s.config], f"`{s.name}`", len(s.paths), s.n_rows) for s in self.splits]

    def _left_out(self) -> str:
        """Return sentences on pictures, evidence and splits: what is in the folder, and what is not."""
        lines = []
        if self.synthetic:
            lines.append(
                f"- **No scan of a release is in here.** The rooms are rendered. The names {self._datasets()} say in "
                "which format a room was written, and ids such as `scene0001_00` name rendered rooms, not the scans of "
                "that id."
            )
            here = "included" if self.frames else "left out; `rollout3d publish data --with-frames` adds them"
            lines.append(f"- **Pictures are {here}.** They are rendered by this code and free (Apache-2.0).")
        elif self.frames:
            lines.append(
                "- **Pictures are included.** They stand under the terms of the scans, which forbid or restrict to "
                "pass them on: keep this dataset private, unless you hold the rights."
            )
        else:
            lines.append(
                "- **Pictures are left out.** They stand under the terms of the scans, which forbid or restrict to "
                "pass them on. Questions name the scan (`scene_id`), whose video is in your own copy of its release."
            )
        if not self.evidence:
            lines.append(
                "- **The geometry behind the answers is left out** (`evidence`): it holds positions and sizes from the "
                "annotation of the scans."
            )
        absent = [
            name for name in ("train", "test") if ("questions", name) not in {(s.config, s.name) for s in self.splits}
        ]
        lines += [f"- There is no split `{name}`: this study has no such questions." for name in absent]
        return "\n".join(lines)

    def _datasets(self) -> str:
        return ", ".join(sorted({str(row["dataset"]) for row in (*self.train, *self.test)}))

    def _audits(self) -> list[str]:
        """Return the section on published answers that were worked out again, if tables of it are given."""
        lines = blind.audit_lines(self.audits)
        if not lines:
            return []
        columns = ["Table", "Question type", "Definition of distance", "answered again", "agreement, %"]
        note = "Published questions answered again by the functions that answer these (`rollout3d audit`)."
        return ["## Agreement with published answers", f"{note}\n\n{table(columns, lines, numbers=2)}"]

    def _use(self) -> str:
        names = list(dict.fromkeys(split.config for split in self.splits))
        lines = [f'{name} = load_dataset("REPOSITORY", "{name}")' for name in names]
        return "```python\nfrom datasets import load_dataset\n\n" + "\n".join(lines) + "\n```"

    def _columns(self) -> str:
        """Return the columns of each configuration with their meanings; each column stands once."""
        seen: dict[str, tuple[str, str, list[str]]] = {}
        for split in self.splits:
            for field in split.schema:
                meaning = (field.metadata or {}).get(b"meaning", b"").decode()
                entry = seen.setdefault(field.name, (str(split.config), meaning, []))
                if f"`{split.config}`" not in entry[2]:
                    entry[2].append(f"`{split.config}`")
        rows = [(f"`{name}`", meaning, ", ".join(where)) for name, (_, meaning, where) in seen.items()]
        return table(["Column", "Meaning", "In"], rows)

    def _terms(self) -> str:
        return card.licences((*self.train, *self.test), self.synthetic)

    def _departures(self) -> str:
        origin = about([], None, self.values)
        mine = [line for line in origin.changed if line[0].split(".")[0] in CONCERN and ".shards" not in line[0]]
        room = (
            "The rooms are rendered and the videos are short: nothing here replaces the papers' data.\n\n"
            if self.synthetic
            else ""
        )
        if not mine:
            return f"{room}None in the settings: every key that decides the questions has the paper's value."
        return (
            f"{room}Keys of the configuration that decide the questions, with another value than the paper's (OCR, "
            f"arXiv:2511.13190; `config/README.md` says where each value stands):\n\n{settings_table(mine)}"
        )
