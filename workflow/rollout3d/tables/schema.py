"""The schema of the tables of scans, scenes and questions. Units and other conventions: `rollout3d.tables`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa

from rollout3d.tables.fields import IMAGE, Table
from rollout3d.tables.fields import column as _field
from rollout3d.tables.fields import declare as _declare
from rollout3d.tables.fields import nullable as _null
from rollout3d.tables.fields import vector as _vector

if TYPE_CHECKING:
    from rollout3d.tables.rows import (
        AnnotationRow,
        AuditRow,
        BiasRow,
        CognitiveMapRow,
        DroppedQuestionRow,
        DroppedSceneRow,
        FrameRow,
        HardRow,
        InventoryRow,
        MapRow,
        ObjectRow,
        QuestionRow,
        RawFileRow,
        RegionRow,
        ReleasedAuditRow,
        ScanFileRow,
        SceneRow,
        SftRow,
        SourceRow,
        VerdictRow,
        VisibilityRow,
    )


_S, _I, _F, _B = pa.string(), pa.int64(), pa.float64(), pa.bool_()
_STRINGS = pa.list_(pa.string())
_COUNTS = pa.list_(pa.struct([("category", pa.string()), ("n", pa.int64())]))
_MENTIONS = pa.list_(pa.struct([("category", pa.string()), ("object_ids", pa.list_(pa.int64()))]))
_CELLS = pa.list_(pa.struct([("category", pa.string()), ("cells", pa.list_(pa.list_(pa.int64(), 2)))]))
_CLOUDS = pa.list_(pa.struct([("object_id", pa.int64()), ("metres", pa.float64())]))
_APPEARANCES = pa.list_(pa.struct([("category", pa.string()), ("first_seen_s", pa.float64())]))
_POINTS = pa.list_(
    pa.struct([(axis, pa.float32()) for axis in "xyz"] + [(c, pa.uint8()) for c in ("red", "green", "blue")])
)
_FIGURES = "poses upright gravity path height_m floor_m in_room in_view colour colour_misfit offset_s depth_m"
_FIGURES += " depth_scale depth_misfit boxes_in_room boxes_hold boxes_filled boxes_agree"
_AGREEMENT = pa.struct([(name, pa.float64()) for name in _FIGURES.split()])


def _dropped(name: str, key: str, meaning: str) -> Table[Any]:
    return _declare(
        f"{name}_dropped",
        f"what the stage of `{name}` left out, with the reason",
        _field(key, _S, meaning),
        _field("file", _S, "file at fault, relative to the dataset's root; empty if none"),
        _field("reason", _S, "why it was left out"),
    )


# --- scans -----------------------------------------------------------------------------------------------------------

SCANS: Table[ScanFileRow] = _declare(
    "scans",
    "one file of a synthetic release (the raw scans themselves are the datasets' own formats)",
    _field("dataset", _S, "scannet | scannetpp | arkitscenes"),
    _field("scene_id", _S, "scan that the file belongs to; empty for files of the whole release"),
    _field("file", _S, "path relative to the dataset's root"),
    _field("n_bytes", _I, "size"),
    _field("sha256", _S, "digest of the bytes"),
)

RAW_FILES: Table[RawFileRow] = _declare(
    "raw_files",
    "one path outside the workflow that a stage opened, listed or looked for (records time: no stage reads it)",
    _field("root", _S, "key of the configuration's `site` that names the directory, such as roots.scannet"),
    _field("path", _S, "relative to that directory"),
    _field("kind", _S, "file: was opened; folder: was listed; absent: was looked for"),
    _null("n_bytes", _I, "size of a file"),
    _null("mtime_ns", _I, "time of a file's last change, nanoseconds since 1970"),
    _null("n_entries", _I, "entries of a folder, hidden ones left out"),
    _null("names", _S, "sha256 of the sorted names of a folder's entries"),
)

INVENTORY: Table[InventoryRow] = _declare(
    "inventory",
    "state of one scan of a release, by the headers of its files",
    _field("dataset", _S, "scannet | scannetpp | arkitscenes"),
    _field("scene_id", _S, "scan"),
    _field("space_id", _S, "physical space"),
    _field("split", _S, "train | val | test; unlisted: on disk, but in no split list"),
    _field("state", _S, "usable | missing | damaged | left_out (by the release itself)"),
    _field("asset", _S, "what is missing or damaged: scan, meta, mesh, annotation, trajectory, video; empty if usable"),
    _field("file", _S, "file at fault, relative to the dataset's root; empty if usable"),
    _field("reason", _S, "why it cannot be used, with the remedy; empty if usable"),
    _field("flags", _STRINGS, "forms of assets that are not the usual ones, and damaged files that they replace"),
)

# --- scenes ----------------------------------------------------------------------------------------------------------

SCENES: Table[SceneRow] = _declare(
    "scenes",
    "one scan; read from published boxes alone (ingest-meta), its columns from mesh and video are null",
    _field("scene_id", _S, "scan id, unique within a dataset"),
    _field("space_id", _S, "physical space: sceneXXXX, visit_id, else scene_id; splits and leak guard use it"),
    _field("dataset", _S, "scannet | scannetpp | arkitscenes"),
    _field("split", _S, "train | val | test, from the dataset's own split files"),
    _null("scene_type", _S, "room type, where the dataset states one"),
    _null("fps", _F, "frames per second of the video"),
    _null("n_frames", _I, "frames of the video"),
    _null("width", _I, "pixels, upright, before resizing"),
    _null("height", _I, "pixels, upright, before resizing"),
    _null("rotation_deg", _I, "clockwise rotation that made the frames upright: 0, 90, 180 or 270"),
    _null("to_aligned", _vector(16), "4x4 raw world to aligned world"),
    _null("room_size_m2", _F, "floor area: alpha shape of the points seen from above, holes filled"),
    _null("room_center", _vector(3), "centre of the minimal oriented bounding box of the points"),
    _field("object_counts", _COUNTS, "instances per category; uniqueness and counting read this, never the boxes"),
    _field("flags", _STRINGS, "oddities met while reading, such as no_axis_alignment (docs/flags.md)"),
    _null(
        "agreement", _AGREEMENT, "agreement of poses, mesh, boxes, colours and depth, by measure; null: not measured"
    ),
    _null("floor_area_m2", _F, "summed alpha-shape triangles of the floor points; null: questions.rules needs none"),
    version=3,
    added=("agreement", "floor_area_m2"),
    by_version=(1, 1),
    optional=("floor_area_m2",),
)

OBJECTS: Table[ObjectRow] = _declare(
    "objects",
    "one annotated object of a scan",
    _field("scene_id", _S, "scan"),
    _field("object_id", _I, "the dataset's own instance id"),
    _field("label", _S, "raw label"),
    _null("category", _S, "VSI-Bench category; null: no question names it"),
    _field("perturbable", _B, "not wall, floor, ceiling, split or remove"),
    _field("centroid", _vector(3), "centre of the oriented box"),
    _field("axes_lengths", _vector(3), "full side lengths of the oriented box"),
    _field("normalized_axes", _vector(9), "rows are the axes of the oriented box"),
    _field(
        "aabb_min",
        _vector(3),
        "axis-aligned box: of the vertices (ScanNet), else of the oriented box",
    ),
    _field("aabb_max", _vector(3), "axis-aligned box in the aligned frame"),
    _null("n_points", _I, "mesh vertices of the instance"),
    _null(
        "point_distances",
        _CLOUDS,
        "nearest vertices of each object with a larger id, metres; null: not measured, for questions.rules needs none",
    ),
    _null(
        "first_labelled_frame",
        _I,
        "first frame of the video whose released label picture has the object's label; null: none, or not read",
    ),
    version=3,
    added=("point_distances", "first_labelled_frame"),
    by_version=(1, 1),
    optional=("point_distances", "first_labelled_frame"),
)

FRAMES: Table[FrameRow] = _declare(
    "frames",
    "one sampled video frame",
    _field("scene_id", _S, "scan"),
    _field("frame_index", _I, "index in the video"),
    _field("timestamp_s", _F, "frame_index / fps"),
    _field("sets", _STRINGS, "frame sets that hold it: uniform16, fps2max16, ... (config/frames.py)"),
    _field("image", IMAGE, "JPEG, upright, at most video.eval_max_pixels large"),
    _field("width", _I, "of the stored image"),
    _field("height", _I, "of the stored image"),
    _field("source_width", _I, "of the video's frame, upright, before resizing: smaller sizes follow from it"),
    _field("source_height", _I, "of the video's frame, upright, before resizing"),
    _null("K", _vector(9), "intrinsics of the stored pixels, integer pixel centres; null for a benchmark's video"),
    _null("pose", _vector(16), "camera-to-world in the aligned frame; null where tracking was lost"),
    version=3,
    per_scene=True,
    parts="sets",
)

REGIONS: Table[RegionRow] = _declare(
    "regions",
    "the pixels that one object covers in one frame",
    _field("scene_id", _S, "scan"),
    _field("frame_index", _I, "index in the video"),
    _field("sets", _STRINGS, "frame sets that hold the frame"),
    _field("object_id", _I, "object"),
    _field("n_visible", _I, "pixels of the mask"),
    _field("box", pa.list_(pa.int64(), 4), "x_min, y_min, x_max, y_max of the mask, inclusive"),
    _field("mask", pa.binary(), "uint32 little-endian run lengths, row-major, starting with zeros, stored size"),
    version=2,
    per_scene=True,
    parts="sets",
)

MAPS: Table[MapRow] = _declare(
    "maps",
    "the views from above of one scan",
    _field("scene_id", _S, "scan"),
    _field("bev", IMAGE, "PNG 432x432: orthographic top view, +x right, +y up, black background"),
    _field("m_per_px", _F, "metres per BEV pixel"),
    _field("x0", _F, "world x of the centre of BEV pixel column 0"),
    _field("y0", _F, "world y of the centre of BEV pixel row 0 (the top row)"),
    _field("floor_rect", _vector(4), "x_min, y_min, x_max, y_max of the floor"),
    _field("walkable", pa.binary(), "bit grid, row-major, most significant bit first, row 0 = lowest y"),
    _field("cell_m", _F, "side of a grid cell"),
    _field("grid_origin", _vector(2), "world x, y of the lower corner of cell (0, 0)"),
    _field("grid_size", pa.list_(pa.int64(), 2), "columns (x), rows (y)"),
    _field("points", _POINTS, "at most 20,000 coloured points, for viewing"),
    _field("appearances", _APPEARANCES, "first time that each category is visible"),
    per_scene=True,
)

COGNITIVE_MAPS: Table[CognitiveMapRow] = _declare(
    "cognitive_maps",
    "the cognitive map of one scan at one grid size (SpaceR, appendix A)",
    _field("scene_id", _S, "scan"),
    _field("space_id", _S, "physical space"),
    _field("dataset", _S, "scannet | scannetpp | arkitscenes"),
    _field("split", _S, "train | val | test; training reads maps of train alone"),
    _field("grid", _I, "M: columns and rows of the map, 5 | 10 | 15 | 20"),
    _field("border", _vector(4), "x_min, y_min, x_max, y_max of the floor, which the cells divide"),
    _field("cells", _CELLS, "column (+x) and row (+y), from 0, of every instance's box centre, by category"),
)

VISIBILITY: Table[VisibilityRow] = _declare(
    "visibility",
    "visibility of one object in the whole video, or in one of the stored frame sets",
    _field("scene_id", _S, "scan"),
    _field("object_id", _I, "object"),
    _field("sampling", _S, "full: the whole video, several frames per second; or the name of a frame set"),
    _field("n_frames", _I, "frames with a known pose that were examined"),
    _field("n_clear", _I, "frames among them that show it clearly, on at least CLEAR_SHARE of the picture"),
    _null("first_clear_s", _F, "first time that it is clearly seen; null = never"),
    _null("last_clear_s", _F, "last time that it is clearly seen"),
    _null("first_faint_s", _F, "earliest time at which it may cover FAINT_SHARE of the picture; null = never"),
    _field("largest_share", _F, "share of the picture that it covers in the frame that shows it largest"),
    _field("mean_share", _F, "share of the picture that it covers, mean over the frames that show it at least faintly"),
    _field(
        "room_share",
        _F,
        "share of the room's plan, in cells of half a metre, that the frames show: equal for all objects",
    ),
    per_scene=True,
    parts="sampling",
)

# --- questions -------------------------------------------------------------------------------------------------------

_QUESTION_FIELDS = (
    _field("question_id", _S, "content hash"),
    _null("scene_id", _S, "scan; null for general data"),
    _null("space_id", _S, "physical space; null for general data"),
    _field("split", _S, "train | val | test"),
    _field("dataset", _S, "scannet | scannetpp | arkitscenes, or the external source"),
    _field("question_type", _S, "VSI-Bench's name, or the external source's own"),
    _field("answer_type", _S, "choice | number | text | ocr | regression"),
    _field("question", _S, "text without options"),
    _null("options", _STRINGS, 'such as "A. left"; null if none'),
    _field("ground_truth", _S, "the letter, or the number as text, as VSI-Bench has it"),
    _field("objects", _MENTIONS, "categories that the question names, and their objects"),
    _null(
        "media",
        pa.list_(IMAGE),
        "own pictures; null for scenes. Paths video/SECONDS.jpg are one video's frames in time order, others stills",
    ),
    _field("source", _S, "generated, or the external file"),
    _field("evidence", _S, "canonical JSON text: the geometry that the answer came from"),
)

_MARK_FIELDS = (
    _null(
        "answerable", _STRINGS, "samplings of the video that lead to the answer: full, uniform16, ...; null: unknown"
    ),
    _null(
        "refused",
        _S,
        "why a sampling that training or evaluation uses does not lead to the answer; null: all do, or unknown",
    ),
    _null(
        "budget_answers",
        pa.list_(pa.struct([("set", pa.string()), ("answer", pa.string())])),
        "answers that other samplings lead to, as text of the option or number; null: none, or not requested",
    ),
)
MARKS = tuple(each.name for each in _MARK_FIELDS)
"""Columns of QUESTIONS and OCR_RL that `questions/visible.py` fills; rows of other sources leave them out."""

_MARKED = {"version": 2, "added": MARKS, "optional": MARKS}
QUESTIONS: Table[QuestionRow] = _declare("questions", "one question", *_QUESTION_FIELDS, *_MARK_FIELDS, **_MARKED)
OCR_RL: Table[QuestionRow] = _declare("ocr_rl", "one training question", *_QUESTION_FIELDS, *_MARK_FIELDS, **_MARKED)

SOURCES: Table[SourceRow] = _declare(
    "sources",
    "number of questions of one source, type and fate",
    _field("source", _S, "generated, or the external file"),
    _field("question_type", _S, "question type; empty for records that could not be read"),
    _field("fate", _S, "train | test | dropped (at assembly) | unusable (at import) | refused (questions.strict)"),
    _field("reason", _S, "why it was left out, or that its answer was corrected; else empty"),
    _field("n", _I, "questions"),
    _null("chance", _F, "0 to 1: score of guessing blindly on this type's training questions; null for other fates"),
    _null("text_only", _F, "0 to 1: score of the rule that guesses best from their text alone"),
    _null("text_only_rule", _S, "that rule, as `bias` names it"),
    version=2,
    added=("chance", "text_only", "text_only_rule"),
)

BIAS: Table[BiasRow] = _declare(
    "bias",
    "one number about how far the text of one question type gives the answer away",
    _field("question_type", _S, "question type"),
    _field("measure", _S, "score: of guessing by a rule; letter, answer: share of the questions that have it"),
    _field("name", _S, "`chance`, or name of the rule; the letter; the answer"),
    _field("value", _F, "0 to 1"),
    _field("n", _I, "questions behind it"),
)

HARD: Table[HardRow] = _declare(
    "hard",
    "one hard training question",
    _field("question_id", _S, "question"),
    _field("transition", _S, "frames | bev | fallback: why it is hard (OCR, cold start data construction)"),
)

ANNOTATIONS: Table[AnnotationRow] = _declare(
    "annotations",
    "one attempt at writing the reasoning for one hard question",
    _field("question_id", _S, "question"),
    _field("attempt", _I, "0, 1, ..."),
    _field("teacher", _S, "geometric | openai"),
    _field("model", _S, "model name; geometric for the geometric teacher"),
    _field("prompt_digest", _S, "sha256 of the prompt, media included"),
    _null("request_id", _S, "the provider's id of the request"),
    _null("think", _S, "the reasoning"),
    _null("answer", _S, "the teacher's answer"),
    _field("verdict", _S, "accepted | rejected | failed"),
    _null("reason", _S, "why it was not accepted"),
    _field("tokens_in", _I, "prompt tokens billed"),
    _field("tokens_out", _I, "completion tokens billed"),
    _field("usd", _F, "cost"),
)

OCR_SFT: Table[SftRow] = _declare(
    "ocr_sft",
    "one cold-start sample",
    *_QUESTION_FIELDS,
    _field("think", _S, "reasoning"),
    _field("target", _S, "completion to learn: <think>..</think> <answer>..</answer>"),
)

VERDICTS: Table[VerdictRow] = _declare(
    "verdicts",
    "a judge's opinion of one question",
    _field("question_id", _S, "question"),
    _field("keep", _B, "true if it may be used in training"),
    _field("reason", _S, "why"),
)

AUDIT: Table[AuditRow] = _declare(
    "audit",
    "one released question, answered again from the released boxes",
    _field("id", _I, "the benchmark's id"),
    _field("question_type", _S, "the benchmark's name"),
    _field("ground_truth", _S, "the released answer"),
    _null("recomputed", _S, "ours, written as the released one is; null where not auditable"),
    _null("agrees", _B, "true if the two are equal; null where not auditable"),
    _field("note", _S, "why it is not auditable, or what to know about the recomputed answer; empty if nothing"),
)

AUDIT_RELEASED: Table[ReleasedAuditRow] = _declare(
    "audit_released",
    "one record of another release, answered again from boxes; where a distance decides, one row per definition of it",
    _field("record", _S, "file and number of the record in it, from 0: spacer.jsonl/17"),
    _null("question_type", _S, "the benchmark's name; null if the text is of no type"),
    _null("dataset", _S, "scannet | scannetpp | arkitscenes; null if the record was not read so far"),
    _null("scene_id", _S, "scan that the question is about; null if the record was not read so far"),
    _null("ground_truth", _S, "the released answer as it stands, at most 200 characters"),
    _null("definition", _S, "definition of distance: vsibench | exact | centres; null where no distance decides"),
    _null("recomputed", _S, "ours, in the question's unit, or the letter; null where not matched"),
    _null("difference", _F, "released minus ours: metres, square metres, objects; null for letters"),
    _null("agrees", _B, "true if the two are equal up to rounding; null where not matched"),
    _field("note", _S, "why the record could not be matched; empty if it was"),
)

SCENES_DROPPED: Table[DroppedSceneRow] = _dropped("scenes", "scene_id", "scan")
QUESTIONS_DROPPED: Table[DroppedQuestionRow] = _dropped("questions", "question_id", "question or candidate")
