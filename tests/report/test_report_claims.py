"""The page's section on claims, and the summary's lines: shares, curves, and answers with marked names."""

import re

import pytest

from report.page_study import CONFIG, build, files_of
from rollout3d.evaluation.claim_shares import OVERALL
from rollout3d.report.claims import changed_sheet, claim_lines, curves, examples, naming, parts, share_sheet
from rollout3d.report.page import render
from rollout3d.report.study import collect
from rollout3d.report.summary import summary


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    root = tmp_path_factory.mktemp("claims")
    return root, collect(files_of(build(root)), CONFIG)


def share(run, view, measure, kind, share, low, high, name=OVERALL, **more):
    row = {"run": run, "benchmark": "synthetic", "view": view, "measure": measure, "kind": kind, "share": share}
    row |= {"low": low, "high": high, "question_type": name, "n": 40, "spaces": 9, "step": None, "last_step": None}
    return row | more


SHARES = [
    share("ocr", "video", "answers", "queried", 0.9, 0.8, 1.0),
    share("ocr", "video", "answers", "context", 0.25, None, None),
    share("ocr", "video", "answers", "absent", 0.0, 0.0, 0.0),
    share("ocr", "drowned", "changed", None, 0.6, 0.5, 0.7),
    share("ocr", "drowned", "changed_minus_context", None, 0.2, -0.1, 0.5),
]


def test_the_summary_has_a_line_per_run():
    assert claim_lines(SHARES, "synthetic") == [
        "Thoughts on synthetic that name an object, percent, with 95 % intervals over rooms:",
        "  ocr: 90 (80 to 100) in the question, 25 in the scene alone, 0 (0 to 0) not in the scene",
        "Answers that change, percent, shown other frames than the true ones:",
        "  ocr: 60 (50 to 70) its objects under noise, 20 (-10 to 50) its objects under noise, "
        "minus other objects under noise",
    ]
    assert claim_lines(SHARES, "vsibench") == []


def test_sheets_have_shares_in_percent_with_intervals_and_what_they_rest_on():
    sheet = share_sheet(SHARES, "synthetic", {"ocr": ["rests on kept filter"]})
    assert sheet.csv.splitlines()[1].startswith("ocr,overall,90.0,80.0,100.0,25.0")
    assert sheet.groups[0].notes == ["rests on kept filter"] and sheet.lines[0].cells[1].interval is None
    changed = changed_sheet(SHARES, "synthetic")
    assert [line.cells[0].value for line in changed.lines] == [pytest.approx(60), pytest.approx(20)]
    assert share_sheet(SHARES, "vsibench") is None and changed_sheet([], "synthetic") is None


def test_rows_are_in_the_order_of_the_question_types():
    names = ("room_size_estimation", "object_counting", "of others", OVERALL)
    rows = [share("ocr", "video", "answers", "queried", 0.5, 0.4, 0.6, name) for name in names]
    lines = [line.name for line in share_sheet(rows, "synthetic").lines]
    assert lines == ["object count", "room size", "of others", "overall"]


def test_a_text_in_pieces_is_the_text():
    mentions = [{"start": 4, "end": 8, "kind": "queried"}, {"start": 8, "end": 11, "kind": "absent"}]
    found = parts("the sofabed.", mentions)
    assert found == [("the ", None), ("sofa", "queried"), ("bed", "absent"), (".", None)]


def test_half_of_the_examples_name_more_than_the_question_does():
    row = {"mentions": [{}], "view": "video", "context": 0, "absent": 0}
    rows = [row, row | {"context": 2}, row | {"absent": 1}, row | {"view": "black"}, row | {"mentions": []}]
    assert naming(rows) == (rows[1:3], rows[:1])
    assert examples([row | {"question_id": "gone"}], []) == []


def test_curves_have_a_panel_per_view_with_three_keys(study):
    panels = curves(study[1].claim_shares)
    assert [panel.title for panel in panels["ocr"]] == ["clean rollouts, percent", "perturbed rollouts, percent"]
    for panel in panels["ocr"]:
        assert [label for label, _ in panel.keys] == ["in the question", "in the scene alone", "not in the scene"]
        assert b"<svg" in panel.svg


def test_the_page_marks_every_name_by_its_kind_and_escapes_the_text(study):
    page = render(study[1])
    section = page[page.index('id="claims"') : page.index('id="training"')]
    assert section.count('class="card claim"') == 10
    for kind in ("queried", "context", "absent", "unknown"):
        assert f'<mark class="{kind}">' in section, f"{kind} stands in the legend"
    assert '<mark class="absent" title="not in the scene">bed</mark>' in section
    assert '<mark class="unknown" title="not counted">coffee table</mark>' in section
    assert "&lt;b&gt;" in section and "<b>bed" not in section and "lamps</mark> &amp; a" in section
    texts = re.findall(r'<p class="think">(.*?)</p>', section, re.S)
    assert len(texts) == 10 and all(text.count("<mark") == 4 for text in texts)


def test_the_page_without_thoughts_says_so(study):
    bare = collect(files_of(build(study[0] / "bare"), claims=[], claim_shares=[]), CONFIG)
    assert "No answer has reasoning." in render(bare)


def test_the_summary_of_a_results_directory_has_the_lines(study):
    text = summary(study[0])
    assert "Thoughts on synthetic that name an object, percent" in text and "Answers that change, percent" in text
