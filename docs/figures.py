"""Write the figures of the last demo into README.md: `python docs/figures.py [RESULTS]`, by default results/demo.

The figures are read from a finished demo and kept in docs/demo.json, which is committed. README.md shows them between
two markers. `python docs/figures.py --from-json` writes the README from docs/demo.json alone, which a test compares.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import re
import struct
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

ROOT = Path(__file__).resolve().parents[1]
FIGURES = ROOT / "docs" / "demo.json"
README = ROOT / "README.md"
BLOCK = re.compile(
    r"(?<=<!-- figures of the demo, by docs/figures.py -->\n).*?(?=<!-- end of the figures -->)", re.DOTALL
)
RUNS = {
    "qwen3b": "base model",
    "sft": "after SFT on written reasoning",
    "grpo": "after GRPO on the true video alone",
    "ocr": "after GRPO with object-centric rollouts",
}
"""Runs of the demo in the order of training, and what each is."""
PIXELS = (r"Answered from the frames, above every control \([^)]*\)", "Not shown to be")
"""Beginnings of the two lines of the summary on what answers rest on."""


def read(results: Path) -> dict[str, Any]:
    """Return the figures of a finished demo. Raises FileNotFoundError where a table is missing."""

    def rows(pattern: str) -> int:
        files = sorted(results.glob(pattern))
        if not files:
            raise FileNotFoundError(f"no {results / pattern}: run `make demo` first")
        return sum(pq.read_metadata(file).num_rows for file in files)

    seconds, megabytes = 0.0, 0.0
    for file in results.glob("benchmarks/**/*.tsv"):
        for row in csv.DictReader(file.open(), delimiter="\t"):
            seconds += float(row["s"])
            megabytes = max(megabytes, float(row["max_rss"]))
    return {
        "scans": rows("scenes/*/*/scenes.parquet"),
        "objects": rows("scenes/*/*/objects.parquet"),
        "frames": rows("scenes/*/*/frames.parquet"),
        "train": rows("train/ocr_rl.parquet"),
        "test": rows("questions/test.parquet"),
        "hard": rows("difficulty/hard.parquet"),
        "reasoned": rows("train/ocr_sft.parquet"),
        "parameters": parameters(ROOT / "resources" / "tiny_qwen"),
        "scores": scores(results),
        "job_minutes": round(seconds / 60),
        "gib": round(megabytes / 1024, 1),
        **summarised(results),
    }


def scores(results: Path) -> dict[str, dict[str, Any]]:
    """Return run -> view -> overall score, or [gain, low, high] of a view seen; and shares of its answers, percent."""
    found: dict[str, dict[str, Any]] = {}
    for file in sorted(results.glob("eval/*/synthetic/scores.parquet")):
        for row in pq.read_table(file).to_pylist():
            if row["task"] == "overall":
                own = found.setdefault(row["run"], {"n": row["n"]})
                score, low, high = (None if row[name] is None else round(row[name], 1) for name in _INTERVAL)
                own[row["view"]] = score if low is None else [score, low, high]
                if row["view"] == "video":
                    own |= {name: round(100 * row[name]) for name in _SHARES if row[name] is not None}
    return found


_INTERVAL = ("score", "low", "high")
_SHARES = ("well_formed", "readable", "consistent")


def summarised(results: Path) -> dict[str, Any]:
    """Return what `rollout3d summary` counts and says: contradicting scans, refused questions, what is seen."""
    command = [sys.executable, "-m", "rollout3d.stages", "summary", "--results", str(results)]
    text = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    (flagged,) = re.findall(r"flagged: ([\d,]+)", text)
    refused = re.findall(r"questions refused: (.+) \(left out\)", text)
    counts = [int(n.replace(",", "")) for n in re.findall(r"(?:^|, )([\d,]*\d) ", refused[0])] if refused else []
    seen, unseen = (re.findall(rf"^{start}: (.+)\.$", text, re.M)[0] for start in PIXELS)
    return {"flagged": int(flagged.replace(",", "")), "refused": sum(counts), "seen": seen, "unseen": unseen}


def parameters(weights: Path) -> int:
    """Return the number of parameters in the safetensors files of a folder, from their headers."""
    total = 0
    for file in sorted(weights.glob("*.safetensors")):
        with file.open("rb") as handle:
            (size,) = struct.unpack("<Q", handle.read(8))
            header = json.loads(handle.read(size))
        total += sum(math.prod(entry["shape"]) for name, entry in header.items() if name != "__metadata__")
    return total


def block(figures: dict[str, Any]) -> str:
    """Return the README's text between the markers."""
    f, runs = figures, figures["scores"]
    trained = [run for run in RUNS if run in runs and run != "qwen3b"]
    kept = min(runs[run]["well_formed"] for run in trained)
    led = min(runs[run]["consistent"] for run in trained)
    lines = [
        f"The last demo: {f['scans']} scans with {f['objects']:,} objects and {f['frames']:,} frames;",
        f"{f['train']} questions to train on, {f['test']:,} to test on, {f['hard']} hard ones, {f['reasoned']} with",
        f"reasoning. {f['flagged'] or 'No'} scan contradicts itself, and {f['refused']} questions are left out because",
        f"the frames cannot answer them. Its jobs take {f['job_minutes']} minutes in sum and {f['gib']} GiB at most.",
        "",
        "| model | score with the video | minus black frames | minus another room's | guess |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {RUNS[run]} | {runs[run]['video']} | {_gain(runs[run]['seen'])} | {_gain(runs[run]['seen_other_room'])} | "
        f"{runs[run]['frequent']} |"
        for run in RUNS
        if run in runs
    ]
    lines += [
        "",
        "Gains are in points with 95 % intervals over rooms. These scores say nothing about the paper: the model has",
        f"{f['parameters'] / 1e6:.1f} million parameters and was trained on two cores",
        "([its card](resources/tiny_qwen/README.md)).",
        f"Answered from the frames, above both controls: {f['seen']}. Not shown to be: {f['unseen']}.",
        f"{'All' if kept == 100 else f'At least {kept} % of the'} answers of the trained models keep the format, and",
        f"at least {led} % of those whose thought can be read follow from it.",
    ]
    return _wrapped(lines)


def _gain(interval: list[float]) -> str:
    mean, low, high = interval
    return f"{mean:+.1f} ({low:.1f} to {high:.1f})"


def _wrapped(lines: list[str], width: int = 118) -> str:
    """Join paragraphs and break them at `width`; tables and blank lines stay as they are."""
    out: list[str] = []
    paragraph: list[str] = []
    for line in [*lines, ""]:
        if line and not line.startswith("|"):
            paragraph.append(line)
            continue
        if paragraph:
            out += textwrap.wrap(" ".join(paragraph), width)
            paragraph = []
        out.append(line)
    return "\n".join(out).strip() + "\n"


def main() -> None:
    """Read the figures, or take them from docs/demo.json, and write both files."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("results", nargs="?", type=Path, default=ROOT / "results" / "demo", help="a finished demo")
    parser.add_argument("--from-json", action="store_true", help="write README.md from docs/demo.json alone")
    args = parser.parse_args()
    if args.from_json:
        figures = json.loads(FIGURES.read_text())
    else:
        figures = read(args.results)
        FIGURES.write_text(json.dumps(figures, indent=2, sort_keys=True) + "\n")
    README.write_text(BLOCK.sub(lambda _: block(figures), README.read_text()))


if __name__ == "__main__":
    main()
