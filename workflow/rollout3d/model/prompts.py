"""The words around a question: the direct prompts of benchmarks, and prompts that ask for reasoning.

Wordings live in `resources/prompts/`: `direct.txt` (VSI-Bench's), `direct_NAME.txt` for benchmarks with another one,
and `think_NAME.txt` for each name that `prompts.think` may take. A file is a remark followed by sections, `== name ==`
and the exact text below it, blanks and empty lines included:

- `bev`, `video`, `images`: what comes before the question if it is shown a top view, a video, pictures of its own;
- `options`: what is appended to a question with options, `{options}` standing for one option per line;
- `question`: the body, `{question}` standing for the question and its options;
- `choice`, `number`, `text`, `ocr`, `regression`: the end, by type of answer.

`think_map.txt` and `think_plain_map.txt` offer a cognitive map (SpaceR, section 4.2). Their body may also have
`{grid}`, columns and rows of the map, `{last}`, the number of the last one, and `{categories}`, for which the section
`categories` is the default. They are for questions about scans: others have the wording of `config.Prompts.GENERAL`.

`given_map.txt` has one section, `map`: what stands before the question where the prompt gives a map, `{map}` (SpaceR,
Table 5), of `{grid}` columns and rows, the last of them `{last}`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from rollout3d.config.evaluation import GIVEN_MAP_WORDS
from rollout3d.model.encode import Encoder, Image, Part, Prompt, Text, Video
from rollout3d.model.media import QuestionMedia
from rollout3d.model.wordings import (
    DIRECTORY,
    Style,
    general_wording,
    is_direct,
    map_grid,
    sections,
    wording_file,
    wording_name,
)
from rollout3d.tables.rows import QuestionRow

ANSWER_TYPES = ("choice", "number", "text", "ocr", "regression")
SECTIONS = ("bev", "video", "images", "options", "question", *ANSWER_TYPES)


@dataclass(frozen=True)
class GivenMap:
    """A cognitive map that a prompt gives: category -> cells as JSON, and the number M of its columns and rows."""

    text: str
    grid: int


def question_prompt(
    row: QuestionRow,
    media: QuestionMedia,
    encoder: Encoder,
    style: Style = "direct",
    think: str = "video_r1",
    system: str | None = None,
    categories: Sequence[str] | None = None,
    given_map: GivenMap | None = None,
    benchmark: str | None = None,
) -> Prompt:
    """Encode a question as a model is asked it, in training and in evaluation alike.

    `think` names the wording of style `think`; `system`: words of the system turn, None for the chat template's own.
    `categories`: those that a map prompt lists; None for its own list. `given_map`: a map that the prompt gives.
    `benchmark`: whose words a direct prompt has; None for VSI-Bench's. Raises ValueError for an answer type that the
    wording does not know.
    """
    images = [Image(image) for image in media.images]
    bev = None if media.bev is None else Image(media.bev)
    asked = {"style": style, "think": think, "categories": categories, "given_map": given_map}
    parts = question_parts(row, media.video, images=images, bev=bev, benchmark=benchmark, **asked)
    return encoder.prompt(parts, system)


def question_parts(
    row: Mapping[str, Any],
    video: Video | None = None,
    *,
    images: Sequence[Image] = (),
    bev: Image | None = None,
    style: Style = "direct",
    think: str = "video_r1",
    categories: Sequence[str] | None = None,
    given_map: GivenMap | None = None,
    benchmark: str | None = None,
) -> list[Part]:
    """Return the parts of the user's turn for one question row: media first, then the words.

    The top view comes before the video, as in the paper's annotation (OCR, cold start data construction). `think` names
    the wording of style `think`; `categories` are those that a map prompt lists, None for its own list; `given_map` is
    a map that the prompt gives; `benchmark`: whose words a direct prompt has, None for VSI-Bench's.
    """
    media: list[Part] = [*([bev] if bev else []), *([video] if video else []), *images]
    shown = [name for name, there in (("bev", bev), ("video", video), ("images", images)) if there]
    return [*media, Text(question_text(row, shown, style, think, categories, given_map, benchmark))]


def question_text(
    row: Mapping[str, Any],
    shown: Sequence[str] = ("video",),
    style: Style = "direct",
    think: str = "video_r1",
    categories: Sequence[str] | None = None,
    given_map: GivenMap | None = None,
    benchmark: str | None = None,
) -> str:
    """Return the words of the user's turn; `shown` lists what precedes them: bev, video, images.

    `categories`: those that a map prompt lists; None for its own list. A question that is not about a scan (without
    `scene_id`) is never offered a map. `given_map`: a map that stands before the question. `benchmark`: whose words a
    direct prompt has; None for VSI-Bench's. Raises ValueError for an answer type that the wording does not know.
    """
    name = wording_name(style, think, benchmark=benchmark)
    grid = map_grid(name)
    if grid is not None and row["scene_id"] is None:
        name, grid = general_wording(name), None
    words = wording(name)
    if row["answer_type"] not in ANSWER_TYPES:
        raise ValueError(f"question {row.get('question_id')}: unknown answer type '{row['answer_type']}'")
    question = row["question"]
    if row["options"]:
        question += words["options"].replace("{options}", "\n".join(row["options"]))
    before = "".join(words[name] for name in shown)
    if given_map is not None:
        given = {"{grid}": str(given_map.grid), "{last}": str(given_map.grid - 1), "{map}": given_map.text}
        before += re.sub(r"\{\w+\}", lambda found: given.get(found[0], found[0]), given_words())
    fields = {"{question}": question}
    if grid is not None:
        listed = words["categories"] if categories is None else ", ".join(categories)
        fields |= {"{grid}": str(grid), "{last}": str(grid - 1), "{categories}": listed}
    # In one pass: a question or a category may hold the name of a field.
    body = re.sub(r"\{\w+\}", lambda found: fields.get(found[0], found[0]), words["question"])
    return before + body + words[row["answer_type"]]


@cache
def wording(name: str) -> dict[str, str]:
    """Return the sections of the file of a wording. Raises ValueError if the file or a section is missing."""
    path = DIRECTORY / wording_file(name)
    if not path.exists():
        known = sorted(p.stem for p in DIRECTORY.glob("*.txt") if is_direct(p.stem) or p.stem.startswith("think_"))
        raise ValueError(f"{path}: no such prompt; known are {', '.join(known)}")
    return _sections(path, {*SECTIONS, *(("categories",) if map_grid(name) else ())})


@cache
def given_words() -> str:
    """Return the words around a map that a prompt gives. Raises ValueError if their file lacks its section."""
    return _sections(DIRECTORY / GIVEN_MAP_WORDS, {"map"})["map"]


def _sections(path: Path, needed: Set[str]) -> dict[str, str]:
    """Return the sections of the file of a wording. Raises ValueError unless they are those that are needed."""
    found = sections(path)
    if set(found) != needed:
        wrong = sorted(set(found) ^ needed)
        raise ValueError(f"{path}: sections missing or unknown: {', '.join(wrong)}")
    return found
