"""Question tables of all shards -> the training table and the test table."""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from rollout3d import tables
from rollout3d.config import Config, Splits, question_types
from rollout3d.config.frames import train_set
from rollout3d.questions import bias, errata, guard, mix, select, visible
from rollout3d.questions.letters import balance_letters
from rollout3d.questions.verdicts import refuses
from rollout3d.scenes.verdict import CONTRADICTS, Verdict, judge
from rollout3d.seeding import stable_hash
from rollout3d.tables.groups import GROUP
from rollout3d.tables.rows import DroppedQuestionRow, QuestionRow, SceneRow, SourceRow, VerdictRow

_log = logging.getLogger(__name__)

Row = QuestionRow

JUDGED = "dropped by the judge"
"""How the reason begins of every row that the judge spoke against."""
CORRECTED = "answer corrected by errata"
"""The reason beside the fate of a question whose answer is not the one that was generated or imported."""


@dataclass(frozen=True)
class Assembled:
    """Rows of the tables ocr_rl, questions (test side), questions_dropped, and sources.

    `guesses`: what the text of the training questions alone gives away, by type.
    """

    train: list[Row]
    test: list[Row]
    dropped: list[DroppedQuestionRow]
    sources: list[SourceRow]
    guesses: dict[str, mix.Guess]


def assemble(
    questions: Iterable[Row],
    scenes: Iterable[SceneRow],
    config: Config,
    benchmark: Iterable[Row] = (),
    left_out: Iterable[DroppedQuestionRow] = (),
    verdicts: Iterable[VerdictRow] = (),
    corrections: Sequence[errata.Erratum] = (),
    refused: Iterable[DroppedQuestionRow] = (),
) -> Assembled:
    """Return the training table and the test table, whatever the number and order of the tables they came from.

    `questions`: generated and imported rows; `scenes`: rows of all scans (scene_id, space_id, dataset, split, and
    agreement where it is known), those without questions too, for the leak guard; `benchmark`: questions of the
    benchmarks that will test the model; `left_out`: questions_dropped rows of the imports, for the account of sources;
    `verdicts`: the judge's, of which those against a question drop it (a question without one stays); `corrections`:
    errata, which remove questions or correct answers on both sides; `refused`: questions_dropped rows of the
    generators, of which the account takes those that the gate removed (`visible.is_refusal`). In order: equal rows
    count once; verdicts and errata; rows go to the side of their split; imported ones train, if their scan is known and
    does not contradict itself (`scenes.agreement`); held-out spaces leave training; imported categories replace
    generated ones as `questions.sources` says (training only). Then training about scans, to which general data belong
    only where `questions.mix` names their types, loses numbers that answer too often and, if asked for, all but one
    scan of each space and what the text gives away; it is cut to `questions.total` in the mix asked for, evenly over
    the scans. Letters are balanced on each side; training is shuffled, and marked for the frames of training alone
    (`visible.only`), so that other frame sets change nothing in it. What the text of training still gives away is
    measured in any case. Balancing renames options, so question_id changes here; dropped rows carry the id of the
    table they came from.

    Raises guard.LeakError if a space is left on both sides.
    """
    splits = {name: dataset.splits for name, dataset in config.datasets.items()}
    scenes = list(scenes)
    dropped: list[DroppedQuestionRow] = []

    def drop(rows: Iterable[Row], reason: str) -> None:
        dropped.extend({"question_id": row["question_id"], "file": "", "reason": reason} for row in rows)

    rows = sorted({row["question_id"]: row for row in questions}.values(), key=lambda row: row["question_id"])
    rows, unknown = _located(rows, scenes)
    drop(unknown, "its scan is not among the ingested ones")
    rows, contradicted = _agreeing(rows, scenes, config)
    for row, reason in contradicted:
        drop([row], reason)
    against = {verdict["question_id"]: verdict for verdict in verdicts if not verdict["keep"]}
    judged = [r for r in rows if r["question_id"] in against and refuses(against[r["question_id"]], r)]
    for row in judged:
        drop([row], f"{JUDGED}: {against[row['question_id']]['reason']}")
    gone = {row["question_id"] for row in judged}
    rows = [row for row in rows if row["question_id"] not in gone]
    applied = errata.apply(rows, corrections, {row["scene_id"] for row in scenes})
    for row, reason in applied.removed:
        drop([row], reason)
    judged += [row for row, _ in applied.removed]
    rows = applied.rows
    sides: dict[str, list[Row]] = {"train": [], "test": [], "none": []}
    for row in rows:
        sides[_side(row, splits)].append(row)
    drop(sides["none"], "its split is neither trained on nor tested")

    held_out = guard.benchmark_spaces(benchmark, scenes) | guard.held_out_spaces([*scenes, *rows], splits)
    train, leaking = guard.guard(sides["train"], held_out)
    dropped += leaking
    for category, source in sorted(config.questions.sources.items()):
        train, unwanted = _by_source(train, category, source)
        drop(unwanted, f"questions.sources.{category} is {source}")

    if config.questions.one_scan_per_space:
        train, others = _one_scan_per_space(train, config.seed)
        drop(others, "another scan of its space trains: questions.one_scan_per_space")
    train, general = _apart(train, mix.shares(config.questions.mix))
    train, frequent = select.limit_values(train, config.questions.max_value_share, config.seed)
    drop(frequent, f"a number that answers more than questions.max_value_share = {config.questions.max_value_share:g}")
    margin = config.questions.guessing_margin
    if margin is not None:
        train, guessed = bias.debias(train, margin, config.seed)
        drop(guessed, f"guessed from the text: questions.text_only_margin = {margin:g}")
    total = config.questions.total
    for problem in mix.problems(train, total, config.questions.mix):
        _log.warning("%s", problem)
    train, beyond = select.limit_total(train, total, config.seed, mix.shares(config.questions.mix))
    drop(beyond, f"more than questions.total = {total} and questions.mix allow")
    train += general
    kept = train
    train = balance_letters(train, config.seed)
    guesses = bias.best_guesses(train)
    every = [*rows, *unknown, *(row for row, _ in contradicted), *judged]
    sources = _account(every, kept, sides["test"], dropped, left_out, guesses, applied.corrected, refused)
    test = balance_letters(sides["test"], config.seed)
    guard.check_disjoint(train, test)
    train = [visible.only(row, [train_set(config.video)]) for row in train]
    return Assembled(
        select.shuffled(train, config.seed),
        sorted(test, key=_reading_order),
        sorted(dropped, key=lambda row: (row["question_id"], row["reason"])),
        sources,
        guesses,
    )


def write_train(
    path: Path | str,
    rows: Sequence[Row],
    files: Iterable[Path | str],
    lineage: tables.Lineage,
    table: tables.Table[Row] = tables.QUESTIONS,
) -> None:
    """Write a training table; media that were read without their bytes are fetched from the tables `files`.

    Imported pictures and frames do not fit into memory together: rows with media are written a few at a time.
    """
    readers, places = [], {}
    wanted = {row["question_id"] for row in rows if row["media"]}
    for file in files if wanted else ():
        readers.append(tables.MediaReader(table, file))
        for place, row in enumerate(tables.read(table, file, ["question_id"])):
            if row["question_id"] in wanted:
                places[row["question_id"]] = (readers[-1], place)

    def whole(row: Row) -> Row:
        if not row["media"]:
            return row
        reader, place = places[row["question_id"]]
        return cast(Row, row | {"media": reader[place]})

    size = GROUP if wanted else len(rows)
    with tables.Writer(tables.OCR_RL, path, lineage) as writer:
        for start in range(0, len(rows), max(size, 1)):
            writer.write([whole(row) for row in rows[start : start + size]])


def _located(rows: Sequence[Row], scenes: Sequence[SceneRow]) -> tuple[list[Row], list[Row]]:
    """Rows with the split and space that the ingested scans say, and imported rows whose scan is not among them."""
    known = {(row["dataset"], row["scene_id"]): row for row in scenes}
    kept, unknown = [], []
    for row in rows:
        if row["source"] == "generated" or row["scene_id"] is None:
            kept.append(row)
            continue
        scene = known.get((row["dataset"], row["scene_id"]))
        if scene is None:
            unknown.append(row)
        else:
            kept.append(row | {"space_id": scene["space_id"], "split": scene["split"]})
    return kept, unknown


def _agreeing(
    rows: Sequence[Row], scenes: Sequence[SceneRow], config: Config
) -> tuple[list[Row], list[tuple[Row, str]]]:
    """Rows to keep, and imported rows with the reason whose scan contradicts itself: poses or frames are wrong there.

    Generated questions of such a scan do not exist (stage `questions`).
    """
    verdicts: dict[tuple[str, str | None], Verdict] = {
        (row["dataset"], row["scene_id"]): judge(row, config.scenes.agreement) for row in scenes
    }
    kept, dropped = [], []
    for row in rows:
        verdict = verdicts.get((row["dataset"], row["scene_id"]))
        if row["source"] == "generated" or verdict is None or verdict.fate != "dropped":
            kept.append(row)
        else:
            dropped.append((row, f"{CONTRADICTS}: {verdict.text}"))
    return kept, dropped


def _account(
    rows: Iterable[Row],
    train: Iterable[Row],
    test: Iterable[Row],
    dropped: Iterable[DroppedQuestionRow],
    left_out: Iterable[DroppedQuestionRow],
    guesses: Mapping[str, mix.Guess],
    corrected: Collection[str],
    refused: Iterable[DroppedQuestionRow],
) -> list[SourceRow]:
    """SOURCES rows: how many questions of each source and type trained, test, or were left out, and why.

    `corrected`: question_ids whose answers errata have corrected, counted apart.
    """
    fates = {row["question_id"]: ("train", "") for row in train} | {row["question_id"]: ("test", "") for row in test}
    fates |= {key: (fates[key][0], CORRECTED) for key in corrected if key in fates}
    for row in dropped:
        fates[row["question_id"]] = ("dropped", _kind_of(row["reason"]))
    found = Counter((row["source"], row["question_type"], *fates[row["question_id"]]) for row in rows)
    for row in left_out:
        found[row["question_id"].rsplit("/", 1)[0], "", "unusable", row["reason"].split(": ")[0]] += 1
    made = []
    for (source, kind, fate, reason), n in sorted(found.items()):
        chance, rule, score = guesses.get(kind, (None,) * 3) if fate == "train" else (None,) * 3
        made.append(
            {"source": source, "question_type": kind, "fate": fate, "reason": reason, "n": n}
            | {"chance": chance, "text_only": score, "text_only_rule": rule}
        )
    gone: dict[str, list[str]] = {}
    for row in refused:
        if visible.is_refusal(row["reason"]):
            _, kind, _ = row["question_id"].split("/")
            gone.setdefault(kind, []).append(row["reason"])
    for kind, reasons in gone.items():
        for reason, n in visible.reason_counts(reasons):
            blank = dict.fromkeys(("chance", "text_only", "text_only_rule"))
            found_there = {"source": "generated", "question_type": kind, "fate": "refused", "reason": reason, "n": n}
            made.append(found_there | blank)
    return sorted(made, key=lambda row: (row["source"], row["question_type"], row["fate"], row["reason"]))


def _one_scan_per_space(rows: Sequence[Row], seed: int) -> tuple[list[Row], list[Row]]:
    """Rows of the scan of smallest seeded hash of each space, with the rows that have no scan; and the others."""
    drawn: dict[str | None, tuple[int, str]] = {}
    for row in rows:
        if row["scene_id"] is not None:
            draw = (stable_hash(seed, "one scan", row["scene_id"]), row["scene_id"])
            drawn[row["space_id"]] = min(drawn.get(row["space_id"], draw), draw)

    def stays(row: Row) -> bool:
        return row["scene_id"] is None or drawn[row["space_id"]][1] == row["scene_id"]

    return [row for row in rows if stays(row)], [row for row in rows if not stays(row)]


def _apart(rows: Sequence[Row], shares: Mapping[str, Any]) -> tuple[list[Row], list[Row]]:
    """Return rows that `questions.total` counts, and general data, which a mix that names their types counts, too."""
    general = [row for row in rows if row["scene_id"] is None and row["question_type"] not in shares]
    beside = {row["question_id"] for row in general}
    return [row for row in rows if row["question_id"] not in beside], general


def _kind_of(reason: str) -> str:
    """A reason without what belongs to one question: the judge's or the errata's own words, a scan's figures, the name
    of a space."""
    for whole in (JUDGED, CONTRADICTS, errata.REASON):
        if reason.startswith(f"{whole}: "):
            return whole
    return re.sub(r"\bspace \S+ ", "its space ", reason)


def _side(row: Row, splits: Mapping[str, Splits]) -> str:
    """train, test or none; what others released is for training, wherever the guard lets it."""
    if row["source"] != "generated":
        return "train"
    known = splits.get(row["dataset"], Splits())
    if row["split"] in known.train:
        return "train"
    return "test" if row["split"] in known.test else "none"


def _by_source(rows: Sequence[Row], category: str, source: str) -> tuple[list[Row], list[Row]]:
    """Return rows that stay, and rows of the category from the source that is not wanted.

    "external" without imported rows keeps the generated ones and says so.
    """
    mine = [row for row in rows if row["question_type"] == category]
    imported = any(row["source"] != "generated" for row in mine)
    if source == "external" and not imported:
        if mine:
            _log.warning(
                "%s: no external file is configured (site.external), so %d generated questions stand in for it",
                category,
                len(mine),
            )
        return list(rows), []
    if source == "both":
        return list(rows), []
    unwanted = {row["question_id"] for row in mine if (row["source"] == "generated") == (source == "external")}
    return [r for r in rows if r["question_id"] not in unwanted], [r for r in mine if r["question_id"] in unwanted]


def _reading_order(row: Row) -> tuple:
    kind = row["question_type"]
    names = question_types.NAMES
    rank = names.index(kind) if kind in names else len(names)
    return row["dataset"], row["scene_id"] or "", rank, kind, row["question_id"]
