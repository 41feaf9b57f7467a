"""Summary of a results directory: tables built, scores compared with guessing, and files to open next."""

from __future__ import annotations

import os
import shutil
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rollout3d import tables
from rollout3d.config import question_types
from rollout3d.evaluation.settings import UNKNOWN, official
from rollout3d.evaluation.views import seen_view
from rollout3d.questions import types, visible
from rollout3d.report.claims import claim_lines
from rollout3d.report.grounding import map_line, pixel_lines, thought_line
from rollout3d.report.lines import PROBE_WORDS
from rollout3d.report.questions import guess_line
from rollout3d.scenes.verdict import Mode, counts, judge

_FORMAT_LOST = 0.05
"""Drop of the share of well-formed answers from which a score difference is no evidence of grounding. [assumed]"""


def summary(results: Path | str, agreement: Mode = "drop") -> str:
    """Return a few lines of text about a results directory; parts that do not exist yet are left out.

    `agreement`: the configuration's scenes.agreement, by which scans are counted as flagged and dropped.
    """
    root = Path(results)
    parts = [_built(root, agreement), _scores(root), _next(root)]
    return "\n\n".join(part for part in parts if part)


def _built(root: Path, agreement: Mode) -> str:
    lines = []
    scans = Counter(
        {p.name: _rows(sorted(p.glob("*/scenes.parquet"))) for p in sorted((root / "scenes").glob("*")) if p.is_dir()}
    )
    if scans.total():
        listing = ", ".join(f"{name} {n:,}" for name, n in sorted(scans.items()) if n)
        frames = _rows(sorted((root / "scenes").glob("*/*/frames.parquet")))
        objects = _rows(sorted((root / "scenes").glob("*/*/objects.parquet")))
        lines.append(f"  {scans.total():,} scans ({listing}), {objects:,} objects, {frames:,} frames")
        scenes = tables.read_many(tables.SCENES, sorted((root / "scenes").glob("*/*/scenes.parquet")), ["agreement"])
        lines.append(f"  {counts(judge(row, agreement) for row in scenes)}")
    questions = [
        (label, root / path)
        for label, path in (
            ("to train on", "train/ocr_rl.parquet"),
            ("to test on", "questions/test.parquet"),
            ("hard", "difficulty/hard.parquet"),
            ("with reasoning", "train/ocr_sft.parquet"),
        )
    ]
    listing = ", ".join(f"{_rows([path]):,} {label}" for label, path in questions if path.exists())
    if listing:
        lines.append(f"  questions: {listing}")
    lines += _summaries(root, scans.total())
    lines += _refused(root)
    sources = root / "train" / "ocr_rl_sources.parquet"
    listing = guess_line(tables.read(tables.SOURCES, sources)) if sources.exists() else ""
    if listing:
        lines.append(f"  guessed from the text alone, percent, farthest above (chance): {listing}")
    trained = {path.parent.name: _rows([path]) for path in sorted((root / "runs").glob("*/metrics.parquet"))}
    if trained:
        lines.append("  training: " + ", ".join(f"{run} {n:,} steps" for run, n in trained.items()))
    return "\n".join([f"Built in {root}:", *lines]) if lines else ""


def _generated(root: Path) -> tuple[list[Path], list[Path]]:
    """Return the files of generated questions, and those of the questions that were left out."""
    found = [path for path in sorted((root / "questions").glob("*/*.parquet")) if path.parent.name != "external"]
    dropped = [path for path in found if path.stem.endswith("_dropped")]
    return [path for path in found if path not in dropped], dropped


def _summaries(root: Path, scans: int) -> list[str]:
    """Return the lines of question types that report on their generators' attempts, such as executed routes."""
    made, dropped = _generated(root)
    questions = tables.read_many(tables.QUESTIONS, made, ["question_type"])
    left_out = tables.read_many(tables.QUESTIONS_DROPPED, dropped, ["question_id", "reason"])
    reasons = [row["reason"] for row in left_out]
    lines = []
    for name in question_types.asked(row["question_type"] for row in questions):
        summary = types.load(name).summary
        if summary:
            # The gate removes questions that a generator made.
            kept = sum(row["question_type"] == name for row in questions) + visible.removed(left_out, name)
            lines.append(summary(kept, reasons, scans))
    # Without a refusal, routes that were not executed (compat: vsibench) look like executed ones.
    return [f"  {line}" for line in lines if "refused" in line]


def _refused(root: Path) -> list[str]:
    """Return lines on generated questions that the frames of a model cannot answer: left out, or only marked."""
    made, dropped = _generated(root)
    marked = tables.read_many(tables.QUESTIONS, made, ["refused"])
    left_out = tables.read_many(tables.QUESTIONS_DROPPED, dropped, ["reason"])
    found = {
        "left out": [row["reason"] for row in left_out if visible.is_refusal(row["reason"])],
        "kept and marked": [row["refused"] for row in marked if row["refused"]],
    }
    return [
        f"  questions refused: {', '.join(f'{n:,} {reason}' for reason, n in visible.reason_counts(reasons))} ({what})"
        for what, reasons in found.items()
        if reasons
    ]


def _scores(root: Path) -> str:
    rows = official(tables.read_many(tables.SCORES, sorted((root / "eval").glob("*/*/scores.parquet"))))
    overall = {(r["benchmark"], r["run"], r["view"]): r for r in rows if r["task"] == "overall"}
    shares = tables.read_many(tables.CLAIM_SHARES, sorted((root / "eval").glob("*/*/claim_shares.parquet")))
    blocks = []
    for benchmark in sorted({key[0] for key in overall}):
        runs = sorted({key[1] for key in overall if key[0] == benchmark})
        width = max(len(run) for run in [*runs, "run"])
        probes = [probe for probe in PROBE_WORDS if any(key[::2] == (benchmark, probe) for key in overall)]
        views = ["video", *probes, "random", "frequent"]
        listing = "; ".join(f"{probe}: the same model, {PROBE_WORDS[probe]}" for probe in probes)
        shown = f" ({listing})" if listing else ""
        lines = [
            f"Overall scores on {benchmark}, percent{shown}:",
            f"  {'run':<{width}}" + "".join(f"{view:>{_wide(view)}}" for view in views) + f"{'questions':>11}",
        ]
        for run in runs:
            found = [overall.get((benchmark, run, view)) for view in views]
            cells = "".join(
                f"{row['score']:>{_wide(view)}.1f}" if row else f"{'-':>{_wide(view)}}"
                for view, row in zip(views, found, strict=True)
            )
            lines.append(f"  {run:<{width}}{cells}{(found[0] or {}).get('n', 0):>11,}")
            kept = (found[0] or {}).get("rests_on")
            if kept:
                lines.append(f"  {'':<{width}}  rests on kept {', '.join(kept)}")
        lines += _settings(
            {run: overall[benchmark, run, "video"] for run in runs if (benchmark, run, "video") in overall}
        )
        blocks.append("\n".join(lines))
        for probe in probes:
            view = seen_view(probe)
            gains = {run: overall[benchmark, run, view] for run in runs if (benchmark, run, view) in overall}
            listing = [
                f"  {run:<{width}}{row['score']:>10.1f}"
                + (f"   {row['low']:.1f} to {row['high']:.1f}" if row["low"] is not None else "")
                + _format_lost(*(overall[benchmark, run, view].get("well_formed") for view in ("video", probe)))
                for run, row in gains.items()
            ]
            heading = f"Video minus {PROBE_WORDS[probe]}, with its 95 % interval over rooms:"
            blocks.append("\n".join([heading, *listing]))
        of = [row for row in rows if row["benchmark"] == benchmark]
        named = claim_lines(shares, benchmark)
        blocks += [
            "\n".join(said) for said in (pixel_lines(of), [thought_line(of)], [map_line(of)], named) if any(said)
        ]
    return "\n\n".join(blocks)


def _format_lost(video: float | None, probe: float | None) -> str:
    """Return a caution where the answers to a probe lose the format: such a difference is no evidence of visual
    grounding."""
    if video is None or probe is None or video - probe < _FORMAT_LOST:
        return ""
    return f"   of little meaning: {probe:.0%} of those answers keep the format, {video:.0%} with the video"


def _wide(view: str) -> int:
    """Return the width of a view's column in characters."""
    return max(10, len(view) + 2)


def _settings(of_run: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return how the scores were made: one line if all runs agree, else one line per group of runs that do."""
    runs: dict[str, list[str]] = {}
    for run, row in of_run.items():
        part = f", part: {row['part']}" if row["part"] else ""
        runs.setdefault(f"scorer {row['scorer']}, {row['settings'] or UNKNOWN}{part}", []).append(run)
    if len(runs) == 1:
        return [f"  settings: {listing}" for listing in runs]
    return [f"  settings of {', '.join(names)}: {listing}" for listing, names in runs.items()]


def _next(root: Path) -> str:
    lines = []
    if (root / "report" / "index.html").exists():
        lines.append(f"  {root}/report/index.html   tables, curves, clean and perturbed frames")
    sample = root / "train" / "ocr_rl.parquet"
    if sample.exists():
        lines.append(f"  {program()} show {sample}   any table, and what its columns mean")
    return "\n".join(["Look at:", *lines]) if lines else ""


def program() -> str:
    """Return the command `rollout3d` as it is typed here: its name if a shell finds it, else its path at the
    interpreter."""
    own = Path(sys.executable).with_name("rollout3d")
    if shutil.which("rollout3d") or not own.exists():
        return "rollout3d"
    return min(os.path.relpath(own), str(own), key=len)


def _rows(paths: list[Path]) -> int:
    return sum(tables.n_rows(path) for path in paths)
