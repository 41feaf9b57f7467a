"""What adapters of released files share: reading question files, question rows, checks, media, and averages."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from rollout3d import tables
from rollout3d.evaluation.benchmarks._common import BenchmarkError, Given, Reference, frame_row, missing_root
from rollout3d.evaluation.benchmarks._videos import Packed, Source, members, sample_video
from rollout3d.fingerprint import note
from rollout3d.geometry.frames import frame_set
from rollout3d.progress import progress
from rollout3d.scoring.aggregate import Mean
from rollout3d.tables.rows import FrameRow, Image, QuestionRow

VIDEO_SUFFIXES = (".mp4", ".MP4", ".mkv", ".avi", ".webm", ".mov")
PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".JPG", ".JPEG", ".PNG", ".webp")
LETTERS = "ABCDEFGH"
_BETWEEN = " | "
"""Separator of the parts of a cell."""
_MAGIC = {b"\xff\xd8\xff": "jpg", b"\x89PNG": "png", b"RIFF": "webp"}
"""First bytes of a picture -> suffix of its path."""
_NAME = re.compile(r"[\w@.()+ -]+(/[\w@.()+ -]+)*")
"""Paths of files below a release's folder."""


def read_rows(path: Path, columns: Sequence[str], how: str) -> list[dict[str, Any]]:
    """Read the rows of a released question file: Parquet, JSON lines or a JSON list.

    Raises BenchmarkError, with `how` to get the file again, if it cannot be read, is empty or lacks a column.
    """
    try:
        if path.suffix == ".parquet":
            rows = tables.read_foreign(note(path))
        else:
            text = note(path).read_text(encoding="utf-8")
            lines = (line for line in text.splitlines() if line.strip())
            rows = [json.loads(line) for line in lines] if path.suffix == ".jsonl" else json.loads(text)
    except tables.TableError as error:
        raise BenchmarkError(str(error)) from error
    except (OSError, ValueError) as error:
        raise BenchmarkError(f"{path}: not readable ({error}); {how}") from error
    if not isinstance(rows, list) or not rows:
        raise BenchmarkError(f"{path}: no list of questions, or an empty one; {how}")
    for k, row in enumerate(rows, start=1):
        lacking = [column for column in columns if not isinstance(row, dict) or column not in row]
        if lacking:
            raise BenchmarkError(f"{path}: row {k} lacks the columns {', '.join(lacking)}; {how}")
    return rows


def question(
    benchmark: str,
    own_id: str,
    *,
    question_type: str,
    answer_type: str,
    question: str,
    ground_truth: str,
    options: Sequence[str] | None = None,
    dataset: str,
    scene_id: str | None = None,
    space_id: str | None = None,
    media: list[Image] | None = None,
    **facts: Any,
) -> QuestionRow:
    """Return a released question as a question row; `own_id` and `facts` stand in its evidence.

    `scene_id`: its video among the frames, None for a question with pictures of its own. `space_id`: the physical space
    that these show, if that is known; by default the video's name.
    """
    row: QuestionRow = {
        "question_id": "",
        "scene_id": scene_id,
        "space_id": space_id or scene_id,
        "split": "test",
        "dataset": dataset,
        "question_type": question_type,
        "answer_type": answer_type,
        "question": question,
        "options": list(options) if options else None,
        "ground_truth": ground_truth,
        "objects": [],
        "media": media,
        "source": benchmark,
        "evidence": tables.canonical_json({"id": own_id, **facts}),
        "answerable": None,
        "refused": None,
        "budget_answers": None,
    }
    # The released id belongs to the identity: equal questions would otherwise be scored once.
    row["question_id"] = tables.digest([benchmark, own_id, question, row["options"], ground_truth])[:16]
    return row


def facts(row: QuestionRow) -> dict[str, Any]:
    """Return what a released question row says besides question and answer: its `id` in the release, and `facts`."""
    return json.loads(row["evidence"])


def reference(row: QuestionRow) -> Reference:
    """Return the right answer to a released question, for predictions of others that carry its own id."""
    about = facts(row)
    name = str(about.pop("id"))
    scene = row["space_id"] or row["scene_id"] or name
    options = tuple(row["options"]) if row["options"] else None
    asked = row["question_type"], row["answer_type"], row["ground_truth"]
    return Reference(name, *asked, scene, about, row["question"], options)


def check(name: str, rows: Sequence[QuestionRow], size: int | None, files: Sequence[Path], how: str) -> None:
    """Raise BenchmarkError for doubled ids, for no questions, and for another number of them than the release has."""
    where = ", ".join(str(file) for file in files)
    doubled = sorted(own for own, n in Counter(str(facts(row)["id"]) for row in rows).items() if n > 1)
    if doubled:
        raise BenchmarkError(f"{where}: {len(doubled)} question ids occur twice, such as {doubled[0]}; {how}")
    if not rows or (size is not None and len(rows) != size):
        raise BenchmarkError(f"{where}: {len(rows)} questions, not the {size or ''} of {name}; {how}")


def letter_fault(answer: str, options: Sequence[str] | None, letters: str = LETTERS) -> str | None:
    """Return what is wrong with the letter that answers a choice; None if nothing is."""
    known = letters[: len(options)] if options else letters
    return None if len(answer) == 1 and answer in known else f"has the answer {answer!r}, none of {', '.join(known)}"


def one_split(
    references: Sequence[Reference],
    split: str,
    files: str,
    ids: Path | str | None = None,
    other_ids: Mapping[str, str] | None = None,
) -> list[Reference]:
    """Return all questions: the only split of a benchmark without others. Raises BenchmarkError for another split."""
    if split != "full":
        raise BenchmarkError(f"{files}: this benchmark has no split {split}, only full")
    return list(references)


Part = tuple[str, tuple[str, ...]]
"""A part of a release: its words, and patterns of paths below the folder, any of which may be there."""


def missing(name: str, root: Path, how: str, *parts: Part) -> list[str]:
    """Return a message about each of the parts of a release that is not there, or one if its folder is not."""
    absent = missing_root(name, root, how)
    if absent:
        return [absent]
    return [f"{name}: no {words} in {root}. To get it: {how}" for words, patterns in parts if not glob(root, patterns)]


def question_files(root: Path, part: Part, how: str) -> list[Path]:
    """Return the question files of a release. Raises BenchmarkError if there are none."""
    words, patterns = part
    found = glob(root, patterns)
    if not found:
        raise BenchmarkError(f"{root}: no {words}; {how}")
    return found


def glob(root: Path, patterns: Iterable[str]) -> list[Path]:
    """Return the files of the first pattern that any file below a folder has, sorted."""
    return next((found for each in patterns if (found := sorted(root.glob(each)))), [])


def find(
    name: str,
    root: Path,
    wanted: Mapping[str, Sequence[str]],
    archives: Sequence[Path],
    suffixes: Sequence[str],
    how: str,
) -> dict[str, Source]:
    """Find files of a release by key; `wanted`: key -> paths below `root`, or below the top of an archive, to try.

    A file goes before a member of an archive. Raises BenchmarkError if any is missing, naming some, and for a path that
    leaves the folder.
    """
    packed: dict[str, list[tuple[tuple[str, ...], Packed]]] = {}
    for archive in archives:
        for path, member in members(archive, how, suffixes):
            packed.setdefault(path.name, []).append((path.parts, Packed(archive, member)))
    found: dict[str, Source] = {}
    missing = []
    for key, paths in wanted.items():
        wrong = [path for path in paths if not _NAME.fullmatch(path) or ".." in PurePosixPath(path).parts]
        if wrong:
            raise BenchmarkError(f"{root}: {name} names the file {wrong[0]!r}, which is no path below it; {how}")
        file = next((root / path for path in paths if (root / path).is_file()), None)
        inside = _member(paths, packed)
        if file is None and inside is None:
            missing.append(paths[0])
        else:
            found[key] = Source(file, inside)
    if missing:
        listed = ", ".join(missing[:3])
        raise BenchmarkError(f"{root}: {len(missing)} of {len(wanted)} files of {name} are missing: {listed}; {how}")
    return found


def _member(paths: Sequence[str], packed: Mapping[str, list[tuple[tuple[str, ...], Packed]]]) -> Packed | None:
    """Return the member of an archive that ends with the first of `paths` that one alone ends with."""
    for path in paths:
        parts = PurePosixPath(path).parts
        ending = [each for own, each in packed.get(parts[-1], ()) if own[-len(parts) :] == parts]
        if len(ending) == 1:
            return ending[0]
    return None


def frames(videos: Mapping[str, Source], given: Given, how: str, exactly: int | None = None) -> Iterator[FrameRow]:
    """Yield the frames of `given.sets` of videos by scene; `exactly`: number of frames that each must have."""
    wanted = [frame_set(name) for name in given.sets]
    for scene in progress(sorted(videos), "videos"):
        for index, seconds, rgb, names in sample_video(videos[scene], wanted, how, exactly):
            yield frame_row(scene, index, seconds, rgb, names, given.config)


def picture(data: bytes | None, place: int, where: str) -> Image:
    """Return a released picture as an entry of `media`. Raises BenchmarkError unless it is a JPEG, PNG or WebP."""
    kind = next((kind for magic, kind in _MAGIC.items() if data and data.startswith(magic)), None)
    if data is None or kind is None:
        raise BenchmarkError(f"{where}: picture {place} is no JPEG, PNG or WebP: download it again")
    return {"bytes": data, "path": f"image/{place}.{kind}"}


def cell(*parts: str) -> str:
    """Return a cell of a benchmark whose tasks cross: question type, kind of video, ..."""
    return _BETWEEN.join(parts)


def parts_of(cell: str) -> list[str]:
    """Return the parts of a cell."""
    return cell.split(_BETWEEN)


def pooled(scores: Mapping[str, Sequence[float]], wanted: Callable[[list[str]], bool] = lambda parts: True) -> Mean:
    """Return the mean over all questions of the cells whose parts are `wanted`."""
    values = [value for name, own in scores.items() if wanted(parts_of(name)) for value in own]
    return Mean(sum(values) / len(values), len(values)) if values else Mean(None, 0)


def mean_of(means: Iterable[Mean]) -> Mean:
    """Return the unweighted mean of those means that have questions."""
    means = list(means)
    scored = [mean.score for mean in means if mean.score is not None]
    return Mean(sum(scored) / len(scored) if scored else None, sum(mean.n for mean in means))


def only(scores: Mapping[str, Sequence[float]], place: int, known: Iterable[str]) -> None:
    """Raise ValueError if a part of any cell, by its place, is not known."""
    unknown = sorted({parts_of(name)[place] for name in scores} - set(known))
    if unknown:
        raise ValueError(f"no question types: {', '.join(unknown)}")
