"""Tables of the page: one description from which HTML, a CSV file and a LaTeX table are made."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass

MISSING = "–"
"""Text of a cell without a number, on the page and in LaTeX; CSV leaves it empty."""


@dataclass(frozen=True)
class Column:
    """A column of values; the first column, which names the lines, is none."""

    title: str
    text: bool = False
    """True if its cells are text, aligned to the left and wrapped."""
    digits: int = 1
    """Decimals of its numbers; whole numbers (int) have none."""
    limit: int | None = None
    """Characters of a text that page and LaTeX show; CSV holds all."""


@dataclass(frozen=True)
class Cell:
    """A number of this study or a text, with the paper's number, interval and mark."""

    value: float | int | str | None = None
    paper: float | None = None
    """The paper's number."""
    interval: tuple[float, float] | None = None
    mark: str = ""
    """good | bad | empty."""
    signed: bool = False
    """True if a positive number shows its sign."""
    unit: str = ""


@dataclass(frozen=True)
class Line:
    """A line of the table."""

    name: str
    cells: Sequence[Cell]
    notes: Sequence[str] = ()
    """Footnotes of this line."""
    look: str = ""
    """Style of the line on the page: mine | theirs | quiet | guess | empty."""


@dataclass(frozen=True)
class Group:
    """Lines under a heading of their own."""

    name: str
    lines: Sequence[Line]
    settings: str = ""
    """Settings of the group's numbers, if they are not the same for all groups."""
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class Sheet:
    """A table. `name` is its place on the page and the name of its files."""

    name: str
    title: str
    first: str
    """Title of the column that names the lines."""
    columns: Sequence[Column]
    groups: Sequence[Group]
    """One group without a name for a table without headings."""
    group: str = ""
    """Title of the column that names the groups in CSV; empty if they have no names."""
    notes: Sequence[str] = ()
    """Footnotes of the whole table."""
    warning: str = ""
    """Reason why its lines must not be compared; empty if they may be."""

    @property
    def lines(self) -> list[Line]:
        """The lines of all groups."""
        return [line for group in self.groups for line in group.lines]

    def holds(self, column: int, what: str) -> bool:
        """Return whether any cell of a column has a `paper` number or an `interval`."""
        return any(getattr(line.cells[column], what) is not None for line in self.lines)

    @property
    def csv(self) -> str:
        """Comma-separated text: a header, then one row per line.

        The paper's numbers and the ends of intervals have columns of their own. Numbers are rounded as on the page.
        """
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        noted = any(line.notes for line in self.lines) or any(g.notes or g.settings for g in self.groups)
        writer.writerow(
            [*([self.group] if self.group else []), self.first, *self._csv_titles(), *(["notes"] if noted else [])]
        )
        for group in self.groups:
            for line in group.lines:
                cells = [text for i, cell in enumerate(line.cells) for text in self._csv_cells(i, cell)]
                notes = "; ".join([*filter(None, [group.settings]), *group.notes, *line.notes])
                named = [group.name] if self.group else []
                writer.writerow([*named, line.name, *cells, *([notes] if noted else [])])
        return out.getvalue()

    def _csv_titles(self) -> list[str]:
        titles = []
        for i, column in enumerate(self.columns):
            titles.append(column.title)
            if self.holds(i, "interval"):
                titles += [f"{column.title} low", f"{column.title} high"]
            if self.holds(i, "paper"):
                titles.append(f"{column.title} (paper)")
        return titles

    def _csv_cells(self, i: int, cell: Cell) -> list[str]:
        digits = self.columns[i].digits
        texts = [_bare(cell.value, digits)]
        if self.holds(i, "interval"):
            texts += [_bare(end, digits) for end in cell.interval or (None, None)]
        if self.holds(i, "paper"):
            texts.append(_bare(cell.paper, digits))
        return texts

    @property
    def latex(self) -> str:
        r"""A table for `\usepackage{booktabs}` and pdfLaTeX, with its notes below it."""
        letters = {note: chr(ord("a") + i % 26) * (1 + i // 26) for i, note in enumerate(self._own_notes())}
        layout = "l" + "".join(r"p{.3\linewidth}" if column.text else "r" for column in self.columns)
        width = 1 + len(self.columns)
        rows = []
        for k, group in enumerate(self.groups):
            if group.name:
                rows += [r"\midrule"] if k else []
                marks = _marks([*filter(None, [group.settings]), *group.notes], letters)
                rows.append(rf"\multicolumn{{{width}}}{{l}}{{\textbf{{{escape(group.name)}}}{marks}}} \\")
            for line in group.lines:
                # A bracket or a star behind a line break would be read as its argument.
                name = (r"\quad " if group.name else "{}") + escape(line.name) + _marks(line.notes, letters)
                cells = [self._latex_cell(i, cell) for i, cell in enumerate(line.cells)]
                rows.append(" & ".join([name, *cells]) + r" \\")
        titles = [escape(title) for title in (self.first, *(column.title for column in self.columns))]
        paper = any(self.holds(i, "paper") for i in range(len(self.columns)))
        below = [*([self.warning] if self.warning else []), *self.notes]
        below += ["Bold: this study; in brackets: the paper"] if paper else []
        below = [f"{escape(text)}." for text in below]
        below += [rf"$^{{\mathrm{{{letter}}}}}$ {escape(note)}." for note, letter in letters.items()]
        return "\n".join(
            [
                "% \\usepackage{booktabs}",
                r"\begin{table}",
                r"\centering\small\setlength{\tabcolsep}{4pt}",
                rf"\caption{{{escape(self.title)}}}",
                rf"\label{{tab:{self.name}}}",
                rf"\begin{{tabular}}{{{layout}}}",
                r"\toprule",
                " & ".join(titles) + r" \\",
                r"\midrule",
                *rows,
                r"\bottomrule",
                r"\end{tabular}",
                *([r"\par\smallskip\footnotesize " + " ".join(below)] if below else []),
                r"\end{table}",
                "",
            ]
        )

    def _own_notes(self) -> list[str]:
        """Notes of single groups and lines, each once."""
        found: dict[str, None] = {}
        for group in self.groups:
            found |= dict.fromkeys([*filter(None, [group.settings]), *group.notes])
            for line in group.lines:
                found |= dict.fromkeys(line.notes)
        return list(found)

    def _latex_cell(self, i: int, cell: Cell) -> str:
        column = self.columns[i]
        text = escape(shown(cell.value, column, cell.signed) + cell.unit)
        if isinstance(cell.value, str):
            return text
        with_paper = self.holds(i, "paper")
        if cell.value is None and with_paper and cell.paper is not None:
            text = ""
        elif cell.value is not None and with_paper:
            text = rf"\textbf{{{text}}}"
        if cell.interval:
            text += rf" {{\scriptsize ({escape(span(cell.interval, column.digits))})}}"
        if cell.paper is not None:
            text += f" ({escape(number(cell.paper, column.digits))})"
        return text.strip()


def plain_sheet(
    name: str, title: str, first: str, columns: Sequence[Column], lines: Sequence[Line], notes: Sequence[str] = ()
) -> Sheet:
    """Return a table without headings between its lines."""
    return Sheet(name, title, first, columns, [Group("", lines)], notes=notes)


def shown(value: float | int | str | None, column: Column, signed: bool = False) -> str:
    """Return a value as the page shows it."""
    if isinstance(value, str):
        return value if column.limit is None or len(value) <= column.limit else value[: column.limit - 1].rstrip() + "…"
    return number(value, 0 if isinstance(value, int) else column.digits, signed)


def number(value: float | None, digits: int = 1, signed: bool = False) -> str:
    """Return a number with thousands separated and a true minus sign; a dash for None."""
    if value is None:
        return MISSING
    text = f"{value:{'+' if signed else ''},.{digits}f}"
    # -0.04 must not read as "-0.0".
    return (text.lstrip("+-") if not text.strip("+-0.,") else text).replace("-", "\N{MINUS SIGN}")


def span(interval: tuple[float, float], digits: int = 1) -> str:
    """Return an interval as text, such as 0.2 to 12.0."""
    return f"{number(interval[0], digits)} to {number(interval[1], digits)}"


def _bare(value: float | int | str | None, digits: int) -> str:
    """Return a value for other programs: no separators, an ASCII minus sign, empty for None."""
    if value is None or isinstance(value, str):
        return value or ""
    return number(value, 0 if isinstance(value, int) else digits).replace(",", "").replace("\N{MINUS SIGN}", "-")


_SPECIAL = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"''",
    "–": "--",
    "…": r"\ldots{}",
    "\N{MINUS SIGN}": "$-$",
    "δ": r"$\delta$",
    "σ": r"$\sigma$",
    "²": r"$^2$",
    "×": r"$\times$",
    "≤": r"$\le$",
    "≥": r"$\ge$",
    **{sign: f"\\{sign}" for sign in "{}$&#_%"},
}


def escape(text: str) -> str:
    """Return text for LaTeX: special signs escaped, white space (line breaks too) as single spaces.

    Signs beyond Latin-1 that are no letters, which a model may say and pdfLaTeX lacks, become question marks.
    """
    return "".join(_SPECIAL.get(sign) or _known(sign) for sign in " ".join(text.split()))


def _known(sign: str) -> str:
    return sign if sign.isalpha() or (sign.isprintable() and sign <= "\xff") else "?"


def _marks(notes: Sequence[str], letters: dict[str, str]) -> str:
    return rf"$^{{\mathrm{{{','.join(letters[note] for note in notes)}}}}}$" if notes else ""
