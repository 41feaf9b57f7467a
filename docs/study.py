"""Write docs/study/README.md and its figure from results/study: `python docs/study.py [RESULTS]`, after `make study`.

Without a table of the study the page says that it has not been run, and states what the design detects if the pilot is
there.
"""

from __future__ import annotations

import argparse
import subprocess
from pathlib import Path
from string import Template
from typing import Any

from rollout3d import config, tables
from rollout3d.config.arms import BASELINE, PILOT
from rollout3d.config.read import load
from rollout3d.report.study_figure import arms_chart
from toyworld.settings import StudyConfig

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "study" / "README.md"
WORDS = ROOT / "docs" / "study_page.txt"
FIGURE = PAGE.with_name("study.svg")
NOT_RUN = "**Not run yet.** `make study` writes the numbers here; until then there are none."
MEASURES = {
    "score": "clean score",
    "drowned_context": "score, other objects under noise",
    "drowned": "score, queried objects under noise",
    "drowned_all": "score, all objects under noise",
    "seen": "video minus black frames",
    "seen_other_room": "video minus another room",
    "queried": "share of names: queried",
    "context": "share of names: context",
    "absent": "share of names: not in the room",
}
"""Measure -> its words."""

Row = dict[str, Any]


def read(path: Path) -> list[Row]:
    """Return the rows of a table study; none if there is no file."""
    return [dict(row) for row in tables.read(tables.STUDY, path)] if path.is_file() else []


def detects(pilot: list[Row]) -> str:
    """Return the smallest differences that the design detects, as a Markdown table."""
    if not pilot:
        return NOT_RUN
    lines = ["| measure | pilot, percent | smallest difference detected, points |", "|---|---|---|"]
    lines += [f"| {MEASURES[r['measure']]} | {r['value']:.1f} | {r['detectable']:.1f} |" for r in pilot]
    return "\n".join(lines)


def result_text(rows: list[Row]) -> str:
    """Return the table of the arms, measure by measure, with what each interval says."""
    if not rows:
        return NOT_RUN
    lines = [
        "| measure | arm | mean of seeds | minus vanilla, 95 % interval | detectable | verdict |",
        "|---|---|---|---|---|---|",
    ]
    for measure in dict.fromkeys(row["measure"] for row in rows):
        for row in (each for each in rows if each["measure"] == measure):
            cells = [MEASURES[measure], row["arm"], f"{row['value']:.1f}"]
            if row["difference"] is None:
                cells += ["", "", "baseline"]
            else:
                cells.append(f"{row['difference']:+.1f} ({row['low']:+.1f} to {row['high']:+.1f})")
                cells += ["" if row["detectable"] is None else f"{row['detectable']:.1f}", verdict(row)]
            lines.append(f"| {' | '.join(cells)} |")
    kept = sorted({name for row in rows for name in row["rests_on"]})
    return "\n".join([*lines, *(["", f"Rests on kept results: {', '.join(kept)}."] if kept else [])])


def cost_text(rows: list[Row]) -> str:
    """Return the tokens of a run of each arm, and their ratio to vanilla's."""
    spent = {row["arm"]: (row["generated_tokens"], row["gradient_tokens"]) for row in rows}
    if BASELINE not in spent or any(None in own for own in spent.values()):
        return NOT_RUN
    lines = ["| arm | tokens drawn | of them in the loss |", "|---|---|---|"]
    for arm, own in spent.items():
        cells = [f"{n / 1000:,.0f}k ({n / of:.3f})" for n, of in zip(own, spent[BASELINE], strict=True)]
        lines.append(f"| {' | '.join([arm, *cells])} |")
    return "\n".join(lines)


def verdict(row: Row) -> str:
    """Return what the interval of a difference says: above, below, or not shown to differ."""
    if row["low"] > 0:
        return "above vanilla"
    return "below vanilla" if row["high"] < 0 else "no difference shown"


def counts() -> dict[str, int]:
    """Return the numbers of the preset that the page names."""
    preset = ROOT / "config" / "presets" / "study.yaml"
    study = load(ROOT / "config" / "config.yaml", preset, model=StudyConfig)
    runs = config.read_runs(ROOT / study.runs.table, study)
    arms = {arm: names for arm, names in config.arms_of(runs).items() if arm != PILOT}
    first, world = runs[arms[BASELINE][0]], study.toyworld
    assert world is not None
    return {
        "arms": len(arms),
        "seeds": len(arms[BASELINE]),
        "pilots": len(config.arms_of(runs)[PILOT]),
        "steps": first.steps or 0,
        "prompts": study.grpo.prompts_per_step,
        "drawn": study.grpo.n_clean + study.grpo.n_perturbed,
        "taught": study.grpo.ablation.grad_limit or 0,
        "rooms": len(study.datasets) * world.scans.val_scans,
    }


def page(results: Path) -> tuple[str, bytes | None]:
    """Return the page's text and its figure; None without results."""
    rows, pilot = (read(results / "report" / f"{name}.parquet") for name in ("study", "study_design"))
    commit = subprocess.run(["git", "rev-parse", "--short=12", "HEAD"], cwd=ROOT, capture_output=True, text=True)
    text = Template(WORDS.read_text(encoding="utf-8")).substitute(
        made=f" Commit {commit.stdout.strip()}, preset `study`." if rows or pilot else "",
        design=detects(pilot),
        cost=cost_text(rows),
        result=result_text(rows),
        **counts(),
        figure="\n![Difference of each arm from vanilla](study.svg)\n" if rows else "",
    )
    return text, arms_chart(rows) if rows else None


def main() -> None:
    """Write the page, and the figure if there are results."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("results", nargs="?", type=Path, default=ROOT / "results" / "study", help="a study's folder")
    args = parser.parse_args()
    text, figure = page(args.results)
    PAGE.write_text(text, encoding="utf-8")
    if figure is not None:
        FIGURE.write_bytes(figure)


if __name__ == "__main__":
    main()
