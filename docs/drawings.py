"""Draw the figures of the documents that need no results, and write the list of floors: `python docs/drawings.py`.

Made are docs/pictures/pipeline.svg, docs/pictures/floors.svg and the table of floors in docs/architecture.md, which
follows `FLOORS` in tests/test_architecture.py. Tests compare all three.
"""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path
from xml.sax.saxutils import escape

ROOT = Path(__file__).resolve().parents[1]
PICTURES = ROOT / "docs" / "pictures"
PAGE = ROOT / "docs" / "architecture.md"
PACKAGE = ROOT / "workflow" / "rollout3d"
TABLE = re.compile(r"(?<=<!-- floors, by docs/drawings.py -->\n).*?(?=<!-- end of the floors -->)", re.DOTALL)

CPU, GPU, API, DATA = "#dbeafe", "#fde2c8", "#e9d8fd", "#f1f5f9"
"""Fill of a stage by what it runs on, and of what is no stage."""
FONT = 'font-family="Helvetica, Arial, sans-serif"'


class Drawing:
    """Shapes of one SVG file, in the order of drawing. Lengths are pixels."""

    def __init__(self, width: int, height: int, title: str):
        self.parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
            f'{FONT} role="img" aria-label="{escape(title)}">',
            '<defs><marker id="end" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" markerHeight="7" '
            'orient="auto">'
            '<path d="M0 0 10 5 0 10z" fill="#475569"/></marker></defs>',
            f'<rect width="{width}" height="{height}" rx="10" fill="#ffffff"/>',
        ]

    def text(self, x: float, y: float, words: str, size: int = 12, bold: bool = False, anchor: str = "middle") -> None:
        weight = ' font-weight="700"' if bold else ""
        colour = "#0f172a" if bold else "#475569"
        self.parts.append(
            f'<text x="{x:g}" y="{y:g}" font-size="{size}"{weight} fill="{colour}" text-anchor="{anchor}">'
            f"{escape(words)}</text>"
        )

    def box(self, x: float, y: float, w: float, h: float, fill: str, title: str, *lines: str) -> None:
        self.parts.append(
            f'<rect x="{x:g}" y="{y:g}" width="{w:g}" height="{h:g}" rx="8" fill="{fill}" stroke="#64748b"/>'
        )
        top = y + h / 2 - 8 * len(lines) + 5
        self.text(x + w / 2, top, title, 15, bold=True)
        for i, line in enumerate(lines, 1):
            self.text(x + w / 2, top + 3 + 16 * i, line)

    def arrow(self, path: str, dashed: bool = False) -> None:
        dash = ' stroke-dasharray="5 4"' if dashed else ""
        self.parts.append(
            f'<path d="{path}" fill="none" stroke="#475569" stroke-width="1.6"{dash} marker-end="url(#end)"/>'
        )

    def svg(self) -> str:
        return "\n".join([*self.parts, "</svg>"]) + "\n"


def pipeline() -> str:
    """Return the flow from scans to tables as SVG: data above from left to right, models below from right to left."""
    d = Drawing(1140, 424, "From raw 3D scans to a video model that reasons about space")
    width, height, step, left = 146, 84, 190, 22
    above, below = 64, 250
    x = [left + step * i for i in range(6)]
    d.text(x[0], 34, "Every box writes Parquet tables; every arrow reads them", 14, anchor="start")
    for i, (fill, words) in enumerate([(CPU, "CPU"), (API, "API"), (GPU, "GPU")]):
        d.parts.append(
            f'<rect x="{918 + 66 * i}" y="22" width="14" height="14" rx="3" fill="{fill}" stroke="#64748b"/>'
        )
        d.text(936 + 66 * i, 34, words, 13, anchor="start")
    top = [
        (DATA, "raw scans", "ScanNet, ScanNet++,", "ARKitScenes"),
        (CPU, "ingest", "frames, poses, boxes,", "maps, visibility"),
        (CPU, "questions", "8 tasks of VSI-Bench,", "geometry as evidence"),
        (CPU, "assemble", "leak guard, mix,", "routes executed"),
        (GPU, "difficulty", "what a filter model", "gets right: the hard set"),
        (API, "annotate", "a teacher reasons,", "verified"),
    ]
    bottom = [
        (CPU, "report", "the paper's tables,", "one page"),
        (CPU, "score", "video, black frames,", "guessing, intervals"),
        (GPU, "evaluate", "VSI-Bench,", "32 frames"),
        (GPU, "GRPO", "half of the rollouts see", "3D objects in noise"),
        (GPU, "SFT", "cold start on", "written reasoning"),
    ]
    for i, (fill, title, *lines) in enumerate(top):
        d.box(x[i], above, width, height, fill, title, *lines)
    for i, (fill, title, *lines) in enumerate(bottom):
        d.box(x[i], below, width, height, fill, title, *lines)
    d.box(x[5], below, width, height, DATA, "Qwen2.5-VL", "base model")
    for i in range(5):
        d.arrow(f"M{x[i] + width} {above + height / 2} H{x[i + 1] - 4}")
    for i in range(5):
        d.arrow(f"M{x[i + 1]} {below + height / 2} H{x[i] + width + 4}")
    middle = above + height
    d.arrow(f"M{x[3] + width / 2} {middle} V{below - 4}")  # questions to GRPO
    d.text(x[3] + width / 2 + 8, 206, "questions", anchor="start")
    d.arrow(f"M{x[1] + width / 2} {middle} V190 H{x[3] + 30} V{below - 4}")  # frames and regions
    d.text(x[1] + width / 2 + 8, 184, "frames, objects, regions: which pixels are which object", anchor="start")
    d.arrow(f"M{x[5] + width / 2} {middle} V200 H{x[4] + width / 2} V{below - 4}")  # reasoning to SFT
    d.text(x[5] - 8, 194, "reasoning", anchor="middle")
    d.box(x[2] - 52, 368, width + 104, 36, DATA, "benchmark: questions, videos")
    d.arrow(f"M{x[2] + width / 2} 368 V{below + height + 4}")
    return d.svg()


def floors() -> list[set[str]]:
    """Return `FLOORS` of the architecture's test, from the ground up."""
    for node in ast.parse((ROOT / "tests" / "test_architecture.py").read_text()).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "FLOORS":
            return [set(each) for each in ast.literal_eval(node.value)]
    raise ValueError("tests/test_architecture.py assigns no FLOORS")


def meaning(room: str) -> str:
    """Return the first sentence of a module's or package's docstring, without its full stop."""
    path = PACKAGE / room / "__init__.py" if (PACKAGE / room).is_dir() else PACKAGE / f"{room}.py"
    text = ast.get_docstring(ast.parse(path.read_text())) or ""
    return " ".join(text.partition("\n\n")[0].split()).rstrip(".")


def table() -> str:
    """Return the floors as a Markdown table, the highest first, as a house is drawn."""
    lines = ["| floor | folder or module | what it is |", "|---|---|---|"]
    rooms = floors()
    for number in range(len(rooms) - 1, -1, -1):
        lines += [f"| {number} | `{room}` | {meaning(room)} |" for room in sorted(rooms[number])]
    return "\n".join(lines) + "\n"


def house() -> str:
    """Return the floors as SVG: whatever stands higher may import what stands lower."""
    rooms = floors()
    d = Drawing(760, 60 + 52 * len(rooms) + 20, "Floors: nothing imports upward")
    d.text(20, 32, "A floor imports from itself and from the floors below it", 14, anchor="start")
    colours = ["#e2e8f0", "#d1fae5", "#cffafe", "#dbeafe", "#fde2c8", "#fef3c7", "#fce7f3"]
    for i, names in enumerate(reversed(rooms)):
        y, number = 50 + 52 * i, len(rooms) - 1 - i
        d.parts.append(
            f'<rect x="20" y="{y}" width="720" height="44" rx="6" fill="{colours[number % 7]}" stroke="#64748b"/>'
        )
        d.text(40, y + 27, str(number), 15, bold=True)
        words = sorted(names)
        if len(words) <= 6:
            d.text(392, y + 27, ",  ".join(words), 14, bold=True)
        else:
            half = (len(words) + 1) // 2
            d.text(392, y + 19, ",  ".join(words[:half]) + ",", 12)
            d.text(392, y + 36, ",  ".join(words[half:]), 12)
    return d.svg()


def made() -> dict[Path, str]:
    """Return file -> the text that belongs there."""
    page = TABLE.sub(lambda _: table(), PAGE.read_text())
    return {PICTURES / "pipeline.svg": pipeline(), PICTURES / "floors.svg": house(), PAGE: page}


if __name__ == "__main__":
    for file, content in made().items():
        file.write_text(content)
        print(file.relative_to(ROOT), file=sys.stderr)
