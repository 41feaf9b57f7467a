"""Tables saved as CSV and LaTeX: what they hold, and that special signs survive."""

from __future__ import annotations

import csv
import io
import re
import shutil
import subprocess

import pytest

from rollout3d.report.sheet import Cell, Column, Group, Line, Sheet, escape, number, plain_sheet, shown, span

NASTY = 'a & b_c 100% #1 {x} $5 ~ ^ \\ <think> "q" | a, b\nnext δ ≤ ² …'


def parsed(sheet):
    return list(csv.reader(io.StringIO(sheet.csv)))


@pytest.fixture
def scores():
    columns = [Column("Avg."), Column("n"), Column("Why", text=True, limit=8)]
    a = [
        Line("video", [Cell(31.25, 47.5), Cell(1234), Cell(NASTY)], ["run a_1"], "mine"),
        Line("difference", [Cell(-0.04, interval=(-1.26, 2.0), signed=True), Cell(None), Cell("")]),
    ]
    b = [Line("[theirs]", [Cell(None, 41485.0), Cell(0), Cell("short")])]
    groups = [Group("a", a, "32 frames; scorer x"), Group("b", b, notes=["kept sft"])]
    return Sheet(
        "scores", "Scores & more", "Shown", columns, groups, group="Run", notes=["preset demo"], warning="Mixed"
    )


def test_csv_has_columns_for_the_papers_numbers_intervals_and_notes(scores):
    assert parsed(scores) == [
        ["Run", "Shown", "Avg.", "Avg. low", "Avg. high", "Avg. (paper)", "n", "Why", "notes"],
        ["a", "video", "31.2", "", "", "47.5", "1234", NASTY, "32 frames; scorer x; run a_1"],
        ["a", "difference", "0.0", "-1.3", "2.0", "", "", "", "32 frames; scorer x"],
        ["b", "[theirs]", "", "", "", "41485.0", "0", "short", "kept sft"],
    ]


def test_csv_without_notes_or_groups_has_no_columns_for_them():
    sheet = plain_sheet("hard", "Hard", "Transition", [Column("Questions")], [Line("bev", [Cell(3)])])
    assert parsed(sheet) == [["Transition", "Questions"], ["bev", "3"]]


def unescaped(text, sign):
    """Places of a sign that no backslash precedes."""
    return re.findall(rf"(?<!\\){re.escape(sign)}", text)


def test_latex_is_balanced_and_says_what_the_page_says(scores):
    text = scores.latex
    body = text.split(r"\midrule", 1)[1].split(r"\bottomrule")[0]
    rows = [line for line in body.splitlines() if line.endswith(r"\\") and "multicolumn" not in line]
    assert len(rows) == 3 and all(len(unescaped(row, "&")) == 3 for row in rows)
    assert rows[0].startswith(r"\quad video$^{\mathrm{b}}$ & \textbf{31.2} (47.5) & 1,234 & a \& b\_c\ldots{}")
    assert rows[1].startswith(r"\quad difference & \textbf{0.0} {\scriptsize ($-$1.3 to 2.0)} & -- & ")
    assert rows[2] == r"\quad [theirs] & (41,485.0) & 0 & short \\"
    assert r"\multicolumn{4}{l}{\textbf{a}$^{\mathrm{a}}$} \\" in body
    below = text.split(r"\footnotesize ")[1]
    assert below.startswith("Mixed. preset demo. Bold: this study; in brackets: the paper. ")
    assert r"$^{\mathrm{a}}$ 32 frames; scorer x." in below
    assert r"$^{\mathrm{b}}$ run a\_1." in below and r"$^{\mathrm{c}}$ kept sft." in below
    assert text.count("{") - text.count(r"\{") == text.count("}") - text.count(r"\}")
    assert len(unescaped(text, "$")) % 2 == 0 and r"\caption{Scores \& more}" in text
    assert re.findall(r"\\(begin|end)\{(\w+)\}", text) == [
        *(("begin", name) for name in ("table", "tabular")),
        *(("end", name) for name in ("tabular", "table")),
    ]


def test_a_name_in_brackets_is_no_argument_of_the_line_before():
    sheet = plain_sheet("x", "x", "x", [Column("n")], [])
    assert not re.search(r"\\\\\s*[\[*]", sheet.latex)


def test_every_sign_that_latex_reads_is_escaped():
    assert escape("a_b & 50% {x} #1 $2") == r"a\_b \& 50\% \{x\} \#1 \$2"
    assert escape("~ ^ \\ < > | –") == (
        r"\textasciitilde{} \textasciicircum{} \textbackslash{} \textless{} \textgreater{} \textbar{} --"
    )
    assert escape("Küche 2 m² � 😀 \x07 椅子 ≈") == "Küche 2 m$^2$ ? ? ? 椅子 ?"
    assert escape("two\n\nlines") == "two lines", "an empty line would end the paragraph"


@pytest.mark.skipif(not shutil.which("pdflatex"), reason="no LaTeX here")
def test_latex_compiles(scores, tmp_path):
    (tmp_path / "a.tex").write_text(
        "\\documentclass{article}\\usepackage{booktabs}\\begin{document}\n" + scores.latex + "\\end{document}\n"
    )
    done = subprocess.run(["pdflatex", "-halt-on-error", "a.tex"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:]


@pytest.mark.parametrize(
    ("value", "digits", "signed", "text"),
    [
        (None, 1, False, "–"),
        (1234.56, 1, False, "1,234.6"),
        (-1.25, 1, False, "−1.2"),
        (-0.04, 1, False, "0.0"),
        (0.04, 1, True, "0.0"),
        (0.06, 1, True, "+0.1"),
        (-3.0, 0, True, "−3"),
    ],
)
def test_numbers_read_as_numbers(value, digits, signed, text):
    assert number(value, digits, signed) == text


def test_long_texts_are_cut_on_the_page_only():
    column = Column("Text", text=True, limit=10)
    assert shown("a" * 10, column) == "a" * 10 and shown("a" * 11, column) == "a" * 9 + "…"
    sheet = plain_sheet("x", "x", "x", [column], [Line("a", [Cell("b" * 99)])])
    assert parsed(sheet)[1][1] == "b" * 99 and r"b\ldots{}" in sheet.latex
    assert span((-1.0, 2.25)) == "−1.0 to 2.2"
