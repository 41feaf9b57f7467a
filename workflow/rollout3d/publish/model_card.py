"""Card of a published model: how it was trained, its scores beside guesses and unseen videos, terms, departures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rollout3d import doors, tables
from rollout3d.config import Config
from rollout3d.config.former import present_name
from rollout3d.config.keys import has_effect, leaves
from rollout3d.errors import InvalidInput
from rollout3d.evaluation.views import VIDEO, seen_view
from rollout3d.publish import blind, study
from rollout3d.publish.citation import citation
from rollout3d.publish.licences import OWN_KINDS, Licence
from rollout3d.publish.markdown import front_matter, percent, table, with_interval
from rollout3d.report.about import about
from rollout3d.report.lines import PROBE_WORDS
from rollout3d.report.page import PRESETS
from rollout3d.tables.rows import ScoreRow

TASK = "video-text-to-text"
TAGS = ("rollout3d", "qwen2_5_vl", "video", "spatial-reasoning")
METHODS = {"sft": "supervised fine-tuning", "grpo": "GRPO"}
GUESSES = (("random", "random guess"), ("frequent", "frequent answer"))
ROW = "run."
"""Prefix of the cells of a run's row among the values that decided its result."""
NOT_SHOWN = ("job.", "site.", "prompts/", "models.")
"""Prefixes of values that say where a run stands, or that the card states elsewhere."""


@dataclass(frozen=True)
class Trained:
    """A run and all that its card says. `chain`: the run first, the base model last."""

    results: Path
    chain: Sequence[study.Model]
    values: Mapping[str, Any]
    """The whole configuration, without this machine's paths."""
    licence: Licence
    scores: Sequence[ScoreRow]
    intervals: Mapping[str, Mapping[str, tuple[float, float]]]
    """Benchmark -> task -> interval of the score on its videos, percent."""
    datasets: Sequence[str] = ()
    title: str | None = None

    @property
    def run(self) -> study.Model:
        """The model that is published."""
        return self.chain[0]

    @property
    def base(self) -> study.Model:
        """The model that training started from."""
        return self.chain[-1]

    def card(self, exported: str) -> str:
        """Return the card with its front matter; `exported`: the README that `export_model` wrote, whose sections on
        questions, positions and use follow below."""
        title = self.title or f"{self.run.name}: a Qwen2.5-VL trained on questions about space"
        banner = PRESETS.get(str(self.values.get("preset") or ""))
        usage = exported[exported.index("## What it was asked") :].strip()
        parts = [
            self._front(),
            f"# {title}",
            self._summary(),
            *([f"> {banner}"] if banner else []),
            "## Scores",
            self._scores(),
            "## Training",
            self._training(),
            "## Departures from the papers",
            self._departures(),
            "## Licence",
            self._terms(),
            usage,
            "## Citation",
            citation(),
        ]
        return "\n\n".join(parts) + "\n"

    def _front(self) -> str:
        base = self.base
        # A folder that travels with this package has no page on the Hub.
        of = {"base_model": base.name, "base_model_relation": "finetune"} if base.kind not in OWN_KINDS else {}
        return front_matter(
            {
                "library_name": "transformers",
                "pipeline_tag": TASK,
                **self.licence.metadata,
                **of,
                "datasets": list(self.datasets),
                "language": ["en"],
                "tags": list(TAGS),
                "model-index": self._index(),
            }
        )

    def _index(self) -> list[dict[str, Any]]:
        """Return the entry model-index: scores on videos, on videos that cannot answer, and of guessing, in percent."""
        results = []
        for benchmark in self._benchmarks():
            rows = [row for row in self.scores if row["benchmark"] == benchmark]
            measured = [row for row in rows if row["view"] == VIDEO]
            controls = (*PROBE_WORDS, *(view for view, _ in GUESSES))
            measured += [row for row in rows if row["view"] in controls and row["task"] == "overall"]
            named = {**PROBE_WORDS, **dict(GUESSES)}
            metrics = [
                {
                    "type": "score",
                    "value": round(row["score"], 2),
                    "name": row["task"] + (f", {named[row['view']]}" if row["view"] != VIDEO else ""),
                }
                for row in measured
            ]
            results.append(
                {
                    "task": {"type": TASK, "name": "spatial questions about a video"},
                    "dataset": {"type": self._hub(benchmark), "name": benchmark},
                    "metrics": metrics,
                }
            )
        return [{"name": self.run.name, "results": results}] if results else []

    def _hub(self, benchmark: str) -> str:
        """Return the benchmark's repository on the Hub, if its file names one, else its name."""
        known = benchmark in doors.BENCHMARKS.names
        return (doors.BENCHMARKS.constant(benchmark, "HUB", None) if known else None) or benchmark

    def _start(self) -> str:
        """Return the name of the base model, in words where it is this project's own."""
        own = self.base.kind in OWN_KINDS
        return f"the small model of this project (`{self.base.name}`)" if own else self.base.name

    def _benchmarks(self) -> list[str]:
        return sorted({row["benchmark"] for row in self.scores})

    def _summary(self) -> str:
        stages = " and ".join(METHODS[model.kind] for model in reversed(self.chain) if model.trained)
        origin = about([self.run.path], self.results, self.values)
        commits = [commit for commit in origin.commits if commit != "outside git"]
        of = f", commit {' and '.join(commits)}" if commits else ""
        made = f"Trained with rollout3d {origin.version or 'of unknown version'}{of}"
        software = f" ({', '.join(origin.software)})" if origin.software else ""
        return (
            f"The run `{self.run.name}`: {self._start()}, then {stages}. {made}{software}, configuration "
            f"{origin.digest}. Digest of the weights in the study: `{self.run.about.get('digest')}`."
        )

    def _scores(self) -> str:
        parts = [self._of_benchmark(benchmark) for benchmark in self._benchmarks()]
        if not parts:
            return "None: this run was not evaluated. Nothing is known about its answers, or its use of the video."
        note = (
            "In percent. Intervals (95 %) of scores are by bootstrap over rooms, those of differences hold for all "
            "tasks together. A score is evidence of sight only as far as it is above guessing, and above the score "
            "with videos that cannot answer."
        )
        return "\n\n".join([note, *parts])

    def _of_benchmark(self, benchmark: str) -> str:
        rows = {(row["view"], row["task"]): row for row in self.scores if row["benchmark"] == benchmark}
        tasks = [task for view, task in rows if view == VIDEO]
        probes = [probe for probe in PROBE_WORDS if (probe, "overall") in rows]
        guesses = [(view, name) for view, name in GUESSES if (view, "overall") in rows]
        lines = []
        for task in tasks:
            own = rows[VIDEO, task]
            low, high = self.intervals.get(benchmark, {}).get(task, (None, None))
            line = [task, own["n"], with_interval(own["score"], low, high)]
            line += [self._cell(rows.get((view, task))) for view, _ in guesses]
            for probe in probes:
                line += [self._cell(rows.get((probe, task))), self._cell(rows.get((seen_view(probe), task)), True)]
            lines.append(line)
        columns = ["Task", "questions", "its video", *(name for _, name in guesses)]
        for probe in probes:
            columns += [PROBE_WORDS[probe], "video minus that"]
        shown = rows[VIDEO, tasks[0]]
        how = f"Asked with {shown['settings']}; scorer `{shown['scorer']}`." if shown["settings"] else ""
        probed = {row["n"] for (view, task), row in rows.items() if view in probes and task == "overall"}
        twins = f" Videos that cannot answer were shown for {max(probed):,} of the questions." if probed else ""
        blindness = (
            "" if probed else " Black frames and other rooms were not tried: nothing shows that it uses the video."
        )
        kept = f" Results that were kept from before: {', '.join(shown['rests_on'])}." if shown["rests_on"] else ""
        part = f" Part of the benchmark: {shown['part']}." if shown["part"] else ""
        text = f"{how}{part}{twins}{blindness}{kept}".strip()
        return f"### {benchmark}\n\n{text}\n\n{table(columns, lines, numbers=len(columns) - 1)}"

    def _cell(self, row: ScoreRow | None, signed: bool = False) -> str:
        return percent(None) if row is None else with_interval(row["score"], row["low"], row["high"], signed)

    def _training(self) -> str:
        lines = []
        for model in reversed(self.chain):
            if model.trained:
                own = dict(model.lineage.get("values") or {})
                row = [f"{key.removeprefix(ROW)} {value}" for key, value in sorted(own.items()) if key.startswith(ROW)]
                shown = ", ".join(part for part in row if not part.endswith(" None"))
                lines.append((f"`{model.name}`", METHODS[model.kind], self._questions(model), shown))
        note = f"From {self._start()}, in this order:"
        columns = ["Run", "Method", "Trained on", "Row of the run table"]
        own = dict(self.run.lineage.get("values") or {})
        values = [
            (f"`{key}`", study.text(value)) for key, value in sorted(own.items()) if not key.startswith(NOT_SHOWN)
        ]
        every = table(["Key", "Value"], values)
        return (
            f"{note}\n\n{table(columns, lines)}\n\n<details><summary>All values that decided the last run</summary>\n\n"
            f"{every}\n\n</details>"
        )

    def _questions(self, model: study.Model) -> str:
        path = study.trained_on(self.results, model)
        if path is None:
            return "a table that the results no longer hold"
        of = tables.TABLES[tables.lineage(path)["table"]]
        rows = tables.read_light(of, path)
        sources = Counter(str(row["dataset"]) for row in rows)
        listing = ", ".join(f"{n:,} {name}" for name, n in sources.most_common())
        return f"`{path.stem}`: {len(rows):,} questions ({listing})"

    def _departures(self) -> str:
        """Return the values of the run that are not the paper's, by its own lineage, and what else departs."""
        paper = dict(leaves(Config()))
        changed: dict[tuple[str, str], list[str]] = {}
        for model in reversed(self.chain):
            for key, value in sorted(dict(model.lineage.get("values") or {}).items()):
                now = present_name(key)
                if model.trained and now in paper and has_effect(now) and value != paper[now]:
                    changed.setdefault((now, study.text(value)), []).append(f"`{model.name}`")
        toy = (
            "The rooms are rendered and the model is small: its scores say nothing about the papers' methods.\n\n"
            if self.values.get("toyworld") is not None
            else ""
        )
        if not changed:
            return f"{toy}None in the settings: every value that decided these runs is the paper's."
        lines = [(f"`{k}`", here, study.text(paper[k]), ", ".join(runs)) for (k, here), runs in sorted(changed.items())]
        shown = table(["Key", "Here", "The paper's", "Run"], lines)
        return (
            f"{toy}Values that decided these runs and are not those of the default configuration, which is the paper's "
            f"(OCR, arXiv:2511.13190; `config/README.md` says where each value stands):\n\n{shown}"
        )

    def _terms(self) -> str:
        link = f" ([its text]({self.licence.link}))" if self.licence.link else ""
        data = (
            "It was trained on rendered rooms of this project (Apache-2.0)."
            if self.values.get("toyworld") is not None
            else "It was trained on videos of scans under the terms of their releases, which ask for non-commercial "
            "use of the data (ScanNet, ScanNet++; ARKitScenes by Apple's licence): read them before you use the weights"
            " otherwise. General data, where a table above has them, are under the terms of their own release."
        )
        return f"The licence of the base model covers these weights: {self.licence.about}{link}. {data}"


def describe(
    results: Path,
    chain: Sequence[study.Model],
    values: Mapping[str, Any],
    licence: Licence,
    datasets: Sequence[str] = (),
    title: str | None = None,
) -> Trained:
    """Collect what the card of `chain[0]` says. Raises InvalidInput if its scores are of other weights."""
    run = chain[0]
    scores = blind.score_rows(results, run.name)
    others = {str(row["model_digest"]) for row in scores if row["model_digest"]} - {str(run.about.get("digest"))}
    if others:
        raise InvalidInput(
            f"{results / 'eval' / run.name}: the scores are of the weights {min(others)[:12]}, {run.path} describes "
            f"{str(run.about.get('digest'))[:12]}: evaluate and score again"
        )
    first = {row["benchmark"]: row["scorer"] for row in scores if row["view"] == VIDEO}
    intervals = {name: blind.video_intervals(results, run.name, name, scorer) for name, scorer in first.items()}
    return Trained(results, chain, values, licence, scores, intervals, datasets, title)
