"""The splits of VSI-Bench: which of its questions belong to debiased, pruned and tiny."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rollout3d.evaluation.benchmarks._common import BenchmarkError, Reference

_LIST_IN_CODE = "subset_indexes"
_TINY_HELP = (
    "the 400 ids are not in the released files: give them with --tiny-ids, as a list of ids or as the file "
    "lmms_eval/tasks/vsibench/utils.py of the branch cogmap of vision-x-nyu/thinking-in-space, which holds them"
)


def of_split(
    references: Sequence[Reference],
    split: str,
    files: str,
    ids: Path | str | None = None,
    other_ids: Mapping[str, str] | None = None,
) -> list[Reference]:
    """Return the questions of a split.

    full: all of them; debiased: `pruned` is false; pruned: it is true; tiny: the ids in the file `ids`, else those
    whose column `tiny` is true. `files` names the question files in errors. `other_ids`: VSI-Bench's id -> the id in
    `references`. Raises BenchmarkError where the files do not say which they are, or if there is none.
    """
    if split == "full":
        return list(references)
    if split == "tiny":
        found = _tiny(references, ids, files, other_ids or {})
    else:
        flags = [_truth(each.flags.get("pruned")) for each in references]
        if None in flags:
            raise BenchmarkError(
                f"{files}: the split {split} needs the column pruned (true or false), which releases since November "
                "2025 have: download the question file again"
            )
        found = [each for each, pruned in zip(references, flags, strict=True) if pruned == (split == "pruned")]
    if not found:
        raise BenchmarkError(f"{files}: holds no question of the split {split}")
    return found


def _tiny(
    references: Sequence[Reference], ids: Path | str | None, files: str, other_ids: Mapping[str, str]
) -> list[Reference]:
    if ids is None:
        if not any("tiny" in each.flags for each in references):
            raise BenchmarkError(f"{files}: the split tiny: {_TINY_HELP}")
        return [each for each in references if _truth(each.flags.get("tiny"))]
    wanted = {other_ids.get(name, name) for name in _ids(Path(ids))}
    strange = sorted(wanted - {each.id for each in references})
    if strange:
        raise BenchmarkError(
            f"{ids}: {len(strange)} of {len(wanted)} ids are not in {files}, such as {', '.join(strange[:3])}: "
            "are they VSI-Bench's, and is that file the whole benchmark?"
        )
    return [each for each in references if each.id in wanted]


def _ids(path: Path) -> list[str]:
    """Read ids from text: separated by space or commas, a JSON list, or the list `subset_indexes` of a Python file."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise BenchmarkError(f"{path}: cannot be read ({error.strerror}); is the path right?") from error
    except UnicodeDecodeError as error:
        raise BenchmarkError(f"{path}: is no text file ({error})") from error
    in_code = re.search(rf"\b{_LIST_IN_CODE}\s*=\s*(\[[^\]]*\])", text)
    if path.suffix == ".py" and not in_code:
        raise BenchmarkError(f"{path}: has no list {_LIST_IN_CODE}; {_TINY_HELP}")
    try:
        found = ast.literal_eval(in_code[1]) if in_code else re.split(r"[\s,]+", text.strip(" \t\r\n[]"))
    except (ValueError, SyntaxError) as error:
        raise BenchmarkError(f"{path}: its list {_LIST_IN_CODE} cannot be read ({error}); {_TINY_HELP}") from error
    names = [str(each).strip("\"'") for each in found]
    wrong = [name for name in names if not re.fullmatch(r"\w[\w-]*", name)]
    if wrong:
        raise BenchmarkError(f"{path}: '{wrong[0][:40]}' is no id; {_TINY_HELP}")
    return names


def _truth(value: Any) -> bool | None:
    """Return the boolean of a column that some writers store as text or number; None for anything else."""
    return {"true": True, "false": False, "1": True, "0": False}.get(str(value).strip().lower())
