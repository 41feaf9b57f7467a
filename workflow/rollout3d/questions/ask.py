"""From the folder of one scan to its questions: ingest and generation in one step, without a release around it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from rollout3d.config import Config, question_types
from rollout3d.questions import visible
from rollout3d.questions.generate import questions_for_scene
from rollout3d.questions.scene import SceneView
from rollout3d.questions.templates import option_text
from rollout3d.releases import MissingData
from rollout3d.scenes import datasets
from rollout3d.scenes.ingest import ingest_scan
from rollout3d.scenes.locate import locate
from rollout3d.scenes.release import ScanRef
from rollout3d.scenes.rows import SceneTables
from rollout3d.scenes.scan import UNKNOWN_LABEL
from rollout3d.scenes.verdict import CONTRADICTS, Verdict, judge
from rollout3d.tables.rows import DroppedQuestionRow, ObjectRow, QuestionRow, SceneRow


@dataclass
class Asked:
    """Tables of one scan by name, its questions and what kept others out.

    `types`: the question types that were asked; `lost`: what is missing, and at what cost.
    """

    ref: ScanRef
    root: Path
    tables: SceneTables
    questions: list[QuestionRow]
    dropped: list[DroppedQuestionRow]
    types: tuple[str, ...]
    lost: list[str] = field(default_factory=list)

    @property
    def scene(self) -> SceneRow:
        return self.tables["scenes"][0]


def ask(dataset: str, path: Path, config: Config) -> Asked:
    """Read the scan in a folder and generate its questions, by the rules and caps of `config.questions`.

    A scan that contradicts itself has no questions, as in a study (`scenes.verdict`). Split lists and label tables may
    be missing. Raises `UnusableScan` for a folder that is none of a scan, `ScanError`
    for a scan that cannot be read.
    """
    root, ref = locate(dataset, path)
    ref, lost = _listed(dataset, root, replace(ref, alone=True), config)
    found = ingest_scan(datasets.load(dataset), root, ref, config)
    scene = found["scenes"][0]
    verdict = judge(scene, config.scenes.agreement)
    if verdict.fate == "dropped":
        questions: list[QuestionRow] = []
        dropped: list[DroppedQuestionRow] = [
            {"question_id": scene["scene_id"], "file": "", "reason": f"{CONTRADICTS}: {verdict.text}"}
        ]
    else:
        questions, dropped = _questions(found, config)
    lost += [*_judged(verdict), *_lost(scene, found["objects"])]
    return Asked(ref, root, found, questions, dropped, question_types.asked(config.questions.caps), lost)


def _questions(found: SceneTables, config: Config) -> tuple[list[QuestionRow], list[DroppedQuestionRow]]:
    """Return the questions about the scene of some tables, and rows that say what kept others out."""
    view = SceneView.from_rows(found["scenes"][0], found["objects"], found["maps"][0])
    questions, dropped = questions_for_scene(view, config.questions, config.seed)
    gate = visible.Gate.of(config)
    if gate is not None:
        questions, refused = visible.gated(questions, visible.Sights.from_rows(found["visibility"]), gate)
        dropped += refused
    return questions, dropped


def _judged(verdict: Verdict) -> list[str]:
    """Return what a scan that contradicts itself costs."""
    if verdict.fate == "dropped":
        return [f"{CONTRADICTS}: no question is asked, unless scenes.agreement is flag: {verdict.text}"]
    return [f"the scan is flagged, look at it with rollout3d check-scan: {verdict.text}"] if verdict.reasons else []


def _listed(dataset: str, root: Path, ref: ScanRef, config: Config) -> tuple[ScanRef, list[str]]:
    """The scan with split and space of the release's lists, as far as these are there, and what is lost without."""
    for split in ("train", "val", "test"):
        try:
            listed = datasets.load(dataset).list_scans(root, [split], config.site.splits.get(dataset))
        except MissingData:
            continue
        for other in listed:
            if other.scene_id == ref.scene_id:
                return replace(ref, split=ref.split if ref.split == "test" else split, space_id=other.space_id), []
    return ref, [f"no split list names {ref.scene_id}: its split is taken to be {ref.split}"]


def _lost(scene: SceneRow, objects: list[ObjectRow]) -> list[str]:
    """Return what the scene's flags say is missing, with its cost."""
    flags, said = set(scene["flags"]), []
    costs = {
        "no_annotation": "no annotation: only the room's size can be asked about",
        "no_label_table": "no label table (scannetv2-labels.combined.tsv): labels count only if they are category "
        "names themselves, so that some objects cannot be asked about",
        "no_axis_alignment": "no axisAlignment: the room is not turned to the axes",
        "no_poses": "no poses: no object can be found in a frame",
        "no_depth": "no depth: what hides what follows from the mesh",
    }
    said += [text for flag, text in costs.items() if flag in flags]
    unknown = sorted(flag.removeprefix(UNKNOWN_LABEL) for flag in flags if flag.startswith(UNKNOWN_LABEL))
    if unknown:
        n = sum(row["label"] in unknown for row in objects)
        said.append(f"{n} objects have labels that no list explains, and are not asked about: {', '.join(unknown)}")
    return said


def lines(asked: Asked, per_type: int | None) -> Iterator[str]:
    """Yield the scan and its questions with answers by type, for a terminal.

    Of each type the first `per_type` are printed; None: all.
    """
    scene, objects = asked.scene, asked.tables["objects"]
    n_asked = sum(row["category"] is not None for row in objects)
    yield f"{scene['dataset']} {scene['scene_id']} ({scene['split']})"
    yield (
        f"  video    {scene['n_frames']} frames, {scene['fps']:g} per second, {scene['width']}x{scene['height']}"
        f"; room {scene['room_size_m2']:.1f} m2"
    )
    counts = ", ".join(f"{each['category']} {each['n']}" for each in scene["object_counts"])
    yield f"  objects  {len(objects)}, of which {n_asked} can be asked about: {counts or 'none'}"
    yield from (f"  flag     {flag}" for flag in scene["flags"])
    yield from (f"  lost     {text}" for text in asked.lost)
    for kind in asked.types:
        some = [row for row in asked.questions if row["question_type"] == kind]
        yield ""
        if not some:
            why = [row["reason"] for row in asked.dropped if f"/{kind}/" in f"{row['question_id']}/"]
            why += [CONTRADICTS for row in asked.dropped if row["question_id"] == scene["scene_id"]]
            yield f"{kind}: none ({'; '.join(dict.fromkeys(why)) or 'too few objects'})"
            continue
        shown = some[:per_type]
        yield f"{kind}: {len(some)}" + (f", the first {len(shown)}" if 0 < len(shown) < len(some) else "")
        for row in shown:
            yield from _question(row)


def _question(row: QuestionRow) -> Iterator[str]:
    text, *more = row["question"].splitlines()
    yield f"  {text}"
    yield from (f"    {line}" for line in more)
    options = row["options"] or []
    yield from (f"      {option}" for option in options)
    right = next(
        (f" ({option_text(option)})" for option in options if option.startswith(f"{row['ground_truth']}.")), ""
    )
    yield f"    -> {row['ground_truth']}{right}"
    answerable = row.get("answerable")
    if answerable is not None and visible.WHOLE_VIDEO not in answerable:
        yield "    not answered by the video" + (f": {row['refused']}" if row["refused"] else "")
