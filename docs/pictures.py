"""Make the README's pictures from a finished demo: `python docs/pictures.py [RESULTS]`, by default results/demo.

Written are questions.webp, rollouts.webp, viewer.webp and report.webp in docs/pictures, each below 200 KB. Chromium
draws the last three (apt-get install chromium). The drawings that need no results are made by docs/drawings.py.
"""

from __future__ import annotations

import argparse
import io
import subprocess
import sys
import tempfile
import textwrap
import time
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import pyarrow.parquet as pq
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
PICTURES = ROOT / "docs" / "pictures"
sys.path.insert(0, str(ROOT / "tests"))
from report import browser  # noqa: E402

WIDTH = 880
"""Width of a picture in pixels; the README shows two side by side."""
MOST = 200_000
"""Bytes of a picture at most."""
ASKED = (
    "object_counting",
    "object_abs_distance",
    "object_rel_distance",
    "object_rel_direction_medium",
    "object_size_estimation",
    "room_size_estimation",
)
"""Question types that the first picture shows."""


def save(name: str, picture: Image.Image) -> None:
    """Write a picture as WebP, `WIDTH` wide, at the best quality below `MOST` bytes."""
    if picture.width != WIDTH:
        picture = picture.resize((WIDTH, round(picture.height * WIDTH / picture.width)), Image.Resampling.LANCZOS)
    for quality in (90, 80, 70, 60, 50):
        held = io.BytesIO()
        picture.convert("RGB").save(held, "WEBP", quality=quality, method=6)
        if held.tell() < MOST:
            (PICTURES / name).write_bytes(held.getvalue())
            print(f"{name}: {picture.width}x{picture.height}, {held.tell() / 1e3:.0f} kB", file=sys.stderr)
            return
    raise ValueError(f"{name} is larger than {MOST} bytes at the lowest quality")


def chosen(results: Path) -> str:
    """Return the first ScanNet scan of the demo about which all of `ASKED` are asked. Raises ValueError without one."""
    kinds: dict[str, set[str]] = {}
    for row in pq.read_table(results / "questions" / "scannet" / "0.parquet").to_pylist():
        kinds.setdefault(row["scene_id"], set()).add(row["question_type"])
    scenes = sorted(scene for scene, own in kinds.items() if own >= set(ASKED))
    if not scenes:
        raise ValueError(f"{results}: no ScanNet scan has questions of the types {', '.join(ASKED)}")
    return scenes[0]


def rows(path: Path, scene: str) -> list[dict[str, Any]]:
    """Rows of a table that belong to a scan."""
    return [row for row in pq.read_table(path).to_pylist() if row["scene_id"] == scene]


def questions(results: Path) -> Image.Image:
    """Return the room from above with its objects, and one question of some types with its answer."""
    folder, name = results / "scenes" / "scannet" / "0", chosen(results)
    (scene,) = rows(folder / "maps.parquet", name)
    objects = [row for row in rows(folder / "objects.parquet", name) if row["category"]]
    asked: dict[str, dict[str, Any]] = {}
    for row in rows(results / "questions" / "scannet" / "0.parquet", name):
        asked.setdefault(row["question_type"], row)
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 6.0), width_ratios=(1, 1.12), dpi=160)
    left.imshow(Image.open(io.BytesIO(scene["bev"]["bytes"])))
    left.axis("off")
    for row in objects:
        x = (row["centroid"][0] - scene["x0"]) / scene["m_per_px"]
        y = (scene["y0"] - row["centroid"][1]) / scene["m_per_px"]
        left.plot(x, y, "o", ms=3, color="white", mec="black", mew=0.5)
        box = {"boxstyle": "round,pad=0.15", "fc": "white", "ec": "none", "alpha": 0.75}
        left.text(x, y - 7, row["category"], fontsize=6.5, ha="center", va="bottom", bbox=box)
    right.axis("off")
    right.set_xlim(0, 1)
    right.set_ylim(0, 1)
    y = 0.99
    for kind in ASKED:
        row = asked[kind]
        words = row["question"].partition("\nAn object is to my back")[0].replace("\n", " ")
        options = "   ".join(row["options"] or ())
        lines = [*textwrap.wrap(words, 80), *textwrap.wrap(options, 80)]
        right.text(0, y, kind, fontsize=8.5, color="#1d4ed8", va="top", family="monospace")
        right.text(0, y - 0.032, "\n".join(lines), fontsize=8.5, va="top", linespacing=1.25)
        y -= 0.036 + 0.031 * len(lines)
        right.text(0, y, f"answer: {row['ground_truth']}", fontsize=8.5, va="top", weight="bold")
        y -= 0.056
    figure.tight_layout()
    held = io.BytesIO()
    figure.savefig(held, format="png")
    plt.close(figure)
    return Image.open(held)


def screenshot(page: Path, size: tuple[int, int], ready: str, prepare: str = "", pause: float = 1.0) -> Image.Image:
    """Return what a browser shows of a page once the JavaScript expression `ready` is true and `prepare` has run."""
    with tempfile.TemporaryDirectory() as folder, browser.Browser(Path(folder), size=size) as opened:
        opened.open(page.resolve().as_uri(), ready)
        if prepare:
            opened.js(prepare)
        time.sleep(pause)
        return Image.open(io.BytesIO(opened.picture()))


def report(results: Path) -> Image.Image:
    """Return the scores of the report."""
    prepare = "document.querySelector('#scores').scrollIntoView()"
    return screenshot(results / "report" / "index.html", (1160, 760), "document.readyState === 'complete'", prepare)


def rollouts(results: Path) -> Image.Image:
    """Return an example of the report's gallery: clean frames, and those that the noisy rollouts saw."""
    find = (
        "[...document.querySelectorAll('#gallery ~ * h3, h3')].filter(h => h.textContent.startsWith('Run ocr, step'))"
    )
    prepare = (
        f"(() => {{ const all = {find}; all[0].scrollIntoView(); "
        "document.querySelectorAll('details').forEach(d => d.open = false); all[0].scrollIntoView() })()"
    )
    return screenshot(results / "report" / "index.html", (1160, 720), "document.readyState === 'complete'", prepare)


def viewer(results: Path) -> Image.Image:
    """Return the viewer's page of a scan, as it opens."""
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "scene.html"
        command = [
            sys.executable,
            "-m",
            "rollout3d.stages",
            "view",
            chosen(results),
            "--results",
            str(results),
            "--out",
            str(page),
        ]
        subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
        return screenshot(page, (1280, 800), "document.body?.dataset.drawn === 'orbit'", pause=3.0)


MAKERS = {"questions": questions, "rollouts": rollouts, "viewer": viewer, "report": report}


def main() -> None:
    """Make all pictures, or those named with --only."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("results", nargs="?", type=Path, default=ROOT / "results" / "demo", help="a finished demo")
    parser.add_argument("--only", nargs="*", choices=sorted(MAKERS), default=list(MAKERS), help="which pictures")
    args = parser.parse_args()
    if browser.EXECUTABLE is None and set(args.only) - {"questions"}:
        parser.error("pictures of pages need Chromium: install chromium, or name the others with --only questions")
    if not (args.results / "report" / "index.html").exists():
        parser.error(f"{args.results}: no finished demo; run `make demo`")
    for name in args.only:
        save(f"{name}.webp", MAKERS[name](args.results))


if __name__ == "__main__":
    main()
