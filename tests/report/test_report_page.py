"""The page and the summary, from small tables; the results in them are invented."""

from __future__ import annotations

import base64
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from report.page_study import CONFIG, build, files_of
from rollout3d import tables
from rollout3d.report.about import about
from rollout3d.report.lines import pivot, score_sheet
from rollout3d.report.page import PRESETS, render, sample_questions
from rollout3d.report.study import Files, collect
from rollout3d.report.summary import summary
from rollout3d.stages import paper_table as table_stage
from rollout3d.stages import report as report_stage
from rollout3d.stages import summary as summary_stage

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A results directory, and its files by the report's arguments."""
    root = tmp_path_factory.mktemp("results")
    return root, build(root)


class Tags(HTMLParser):
    def __init__(self, page):
        super().__init__()
        self.open, self.links, self.text = [], [], []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        if tag not in ("meta", "img", "br", "input", "source"):
            self.open.append(tag)
        self.links += [value for name, value in attrs if name in ("src", "srcset", "href")]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def test_page_is_well_formed_needs_nothing_from_elsewhere_and_marks_its_preset(study):
    page = render(collect(files_of(study[1]), CONFIG))
    tags = Tags(page)
    assert tags.open == []
    near = ("#", "data:image/", "data:text/csv", "data:application/x-tex")
    assert all(link.startswith(near) for link in tags.links) and "<script" not in page
    assert sum(link.startswith("data:image/") for link in tags.links) > 8
    text = " ".join(tags.text)
    for title in ("Table 1.", "Table 2.", "Table 3.", "Table 4.", "Table 5.", "Figure 3.")[1:5]:
        assert title in text
    assert "must not be compared with the paper" in text and "preset demo" in text
    assert "<think>I look for it.</think>" in text, "a model's text is shown, not interpreted"
    assert "random guess" in text and "black frames" in text


def test_sources_and_what_the_text_gives_away_are_shown(study):
    page = render(collect(files_of(study[1]), CONFIG))
    text = " ".join(Tags(page).text)
    assert "1,234 leak guard: its space is tested by vsibench; 4 missing field" in text
    table = page[page.index('id="bias"') :].split("</table>")[0]
    assert table.count('<td class="bad">') == 3, "one rule is above chance, for each of three types"
    assert "40.0" in table.split('<td class="bad">')[1].split("</td>")[0]
    assert "Turn <Back>, Turn Left, Turn Right 0 (50 %)" in text and "route planning" in text
    without = files_of(study[1], sources=None, bias=None)
    shown = " ".join(Tags(render(collect(without, CONFIG))).text)
    assert "gives away" not in shown and "come from" not in shown


def test_page_of_the_papers_configuration_has_no_preset_banner(study):
    page = render(collect(files_of(study[1]), CONFIG.model_copy(update={"preset": None})))
    assert 'class="banner"' not in page and "preset" not in page


def test_every_preset_says_above_its_results_what_they_are():
    assert {path.stem for path in (ROOT / "config" / "presets").glob("*.yaml")} == set(PRESETS)


def test_page_without_any_results_says_so():
    page = render(collect(Files(), CONFIG))
    text = " ".join(Tags(page).text)
    for line in ("Nothing was evaluated.", "Nothing was trained.", "No questions.", "No object-centric run"):
        assert line in text
    assert "not run" in text


def test_same_tables_give_the_same_page(study):
    assert render(collect(files_of(study[1]), CONFIG)) == render(collect(files_of(study[1]), CONFIG))


def test_samples_show_every_type_before_repeating_one():
    rows = [{"question_type": kind, "question_id": f"{kind}{i}"} for kind in ("b", "a", "c") for i in range(9)]
    drawn = sample_questions(rows, seed=0, n=7)
    kinds = [row["question_type"] for row in drawn]
    assert kinds == ["a", "b", "c", "a", "b", "c", "a"] and len({row["question_id"] for row in drawn}) == 7
    assert sample_questions(rows, 0) == sample_questions(rows, 0) != sample_questions(rows, 1)
    assert len(sample_questions(rows[:2], 0)) == 2


def test_notes_shared_by_all_our_rows_are_lifted_out_of_the_lines():
    def cell(row, ours, note):
        return {"row": row, "column": "Avg.", "paper": 1.0, "ours": ours, "n": 1, "note": note}

    columns, lines, common = pivot(
        [
            cell("x", 1.0, "run x; preset demo"),
            cell("y", 2.0, "run y; preset demo"),
            cell("z", None, "run z; not run"),
        ]
    )
    assert columns == ["Avg."] and common == ["preset demo"]
    assert [line["notes"] for line in lines] == [["run x"], ["run y"], ["run z", "not run"]]
    assert [line["ours"] for line in lines] == [True, True, False]


def test_stages_write_tables_page_and_summary(study, tmp_path, capsys):
    root, files = study
    config = ["--config", CONFIG.model_dump_json()]
    made = []
    for name in ("table1", "table2", "figure3"):
        out = root / "report" / f"{name}.parquet"
        questions = {"figure3": [files["train"], files["sft"]], "table1": [files["train"]]}.get(name, [])
        scores = files["scores"] if name == "table2" else []
        predictions = files["predictions"] if name == "table1" else []
        given = ["--scores", *scores, "--predictions", *predictions, "--questions", *questions]
        table_stage.main([*config, "--table", name, *given, "--out", str(out)])
        made.append(str(out))
    rows = {name: tables.read(tables.REPORT, path) for name, path in zip(("table1", "table2", "figure3"), made)}
    assert next(r for r in rows["table1"] if r["column"] == "Acc.")["n"] == 6
    assert next(r for r in rows["table2"] if r["row"] == "Ours")["note"] == (
        "run ocr; benchmark synthetic; preset demo; scorer tagged; 32 frames uniform; at most 200704 px; "
        "think_video_r1; temperature 0; 1024 tokens; vllm"
    )
    assert sum(r["ours"] for r in rows["figure3"] if r["column"] == "OCR-RL") == 6
    assert set(tables.lineage(made[0])["parents"]) == {"predictions", "questions", "reference", "runs"}

    page = root / "report" / "index.html"
    arguments = ["--tables", *made, "--out", str(page)]
    for name, value in files.items():
        if name != "predictions":
            arguments += [f"--{name.replace('_', '-')}", *([value] if isinstance(value, str) else value)]
    report_stage.main([*config, *arguments])
    first = page.read_bytes()
    report_stage.main([*config, *arguments])
    assert page.read_bytes() == first, "nothing on the page depends on when it is made"
    assert "Figure 3." in page.read_text() and [p.name for p in page.parent.glob(".*")] == []
    capsys.readouterr()
    summary_stage.main(["--results", str(root)])
    text = capsys.readouterr().out
    assert "3 scans (scannet 3), 12 objects, 30 frames" in text
    assert "scans checked: 0, flagged: 0, dropped: 0; 3 not checked" in text
    assert "guessed from the text alone, percent, farthest above (chance): object_counting 50.0 (37.5)\n" in text
    assert "6 to train on" in text and "training: ocr 6 steps, sft 30 steps" in text
    assert str(page) in text


def test_summary_puts_every_run_beside_its_baselines(study):
    lines = summary(study[0]).splitlines()
    start = next(i for i, line in enumerate(lines) if "scores on synthetic" in line)
    assert lines[start + 1].split() == ["run", "video", "black", "random", "frequent", "questions"]
    for run, line in zip(("ocr", "qwen3b", "sft"), lines[start + 2 :]):
        rows = tables.read(tables.SCORES, study[0] / "eval" / run / "synthetic" / "scores.parquet")
        score = {r["view"]: r["score"] for r in rows if r["task"] == "overall"}
        expected = [f"{score[view]:.1f}" for view in ("video", "black", "random", "frequent")]
        assert line.split() == [run, *expected, "6"]
    shared = "32 frames uniform, at most 200704 px, {}, temperature 0, {} tokens, vllm"
    assert [line.strip() for line in lines[start + 5 : start + 7]] == [
        f"settings of ocr, sft: scorer tagged, {shared.format('think_video_r1', 1024)}",
        f"settings of qwen3b: scorer vsibench, {shared.format('direct', 16)}",
    ]


def test_summary_of_nothing_is_empty(tmp_path):
    assert summary(tmp_path) == ""


def links(page, kind):
    """Contents of the files that the page offers, by name."""
    found = re.findall(rf'<a download="([^"]+)" href="data:{kind}[^"]*;base64,([^"]+)"', page)
    return {name: base64.b64decode(data).decode() for name, data in found}


def test_every_table_can_be_saved(study):
    page = render(collect(files_of(study[1]), CONFIG, about([], None, {"seed": 3})))
    sheets = set(re.findall(r'data-sheet="([^"]+)"', page))
    assert sheets >= {
        "scores-synthetic",
        "table2",
        "sources",
        "bias",
        "hard",
        "attempts",
        "rollouts-1",
        "configuration",
    }
    assert page.count("<table") == len(sheets) > 12
    assert set(links(page, "text/csv")) == {f"{name}.csv" for name in sheets}
    assert set(links(page, "application/x-tex")) == {f"{name}.tex" for name in sheets}


def score_rows_of(run, **columns):
    common = {"run": run, "benchmark": "vsibench", "low": None, "high": None, "well_formed": 1.0, "rests_on": []}
    made = [common | {"task": "overall", "view": view, "score": 30.0, "n": 9} for view in ("video", "random")]
    return [row | (columns if row["view"] == "video" else {}) for row in made]


def test_settings_of_scores_stand_above_the_table_if_all_runs_share_them():
    how = {"settings": "32 frames uniform, greedy", "scorer": "vsibench", "part": None}
    sheet = score_sheet([*score_rows_of("a", **how), *score_rows_of("b", **how)], "vsibench")
    assert sheet.notes == ["32 frames uniform, greedy, scorer vsibench"] and not sheet.warning
    assert [group.settings for group in sheet.groups] == ["", "", ""]


def test_mixed_settings_stand_beside_each_run_under_a_warning():
    how = {"settings": "32 frames uniform", "scorer": "vsibench", "part": None}
    rows = [*score_rows_of("a", **how), *score_rows_of("b", **how | {"scorer": "lmms", "part": "scannet, 9 of 99"})]
    sheet = score_sheet(rows, "vsibench")
    assert sheet.warning == "Not comparable: the runs differ in scorer and part"
    assert sheet.notes == ["32 frames uniform"]
    assert [group.settings for group in sheet.groups] == [
        "scorer vsibench, part: whole benchmark",
        "scorer lmms, part: scannet, 9 of 99",
        "",
    ]
    for text in (sheet.csv, sheet.latex):
        assert "scorer lmms, part: scannet, 9 of 99" in text
    assert "Not comparable" in sheet.latex


def test_of_mixed_settings_only_what_differs_stands_beside_a_run():
    direct, think = ({"settings": f"32 frames, {style}, hf", "scorer": "vsibench"} for style in ("direct", "think"))
    rows = [*score_rows_of("a", **direct), *score_rows_of("b", **think), *score_rows_of("c")]
    assert score_sheet(rows[:4], "vsibench").notes == ["32 frames, hf, scorer vsibench"]
    assert [group.settings for group in score_sheet(rows[:4], "vsibench").groups] == ["direct", "think", ""]
    sheet = score_sheet(rows, "vsibench")
    assert [group.settings for group in sheet.groups][2] == "settings unknown, scorer unknown" and sheet.warning


def test_tables_without_settings_are_shown_as_they_are():
    sheet = score_sheet([*score_rows_of("a"), *score_rows_of("b")], "vsibench")
    assert sheet.notes == [] and not sheet.warning and len(sheet.lines) == 3
