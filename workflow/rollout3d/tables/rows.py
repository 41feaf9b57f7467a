"""Types of the rows of every table, for type checkers and editors; nothing is checked when a program runs.

Made by `python -m rollout3d.tables` from the declarations in `schema.py` and `results.py`: edit those. Units and other
conventions: `rollout3d.tables`.
"""

from __future__ import annotations

import builtins
from typing import TypedDict


class Agreement(TypedDict):
    poses: float | None
    upright: float | None
    gravity: float | None
    path: float | None
    height_m: float | None
    floor_m: float | None
    in_room: float | None
    in_view: float | None
    colour: float | None
    colour_misfit: float | None
    offset_s: float | None
    depth_m: float | None
    depth_scale: float | None
    depth_misfit: float | None
    boxes_in_room: float | None
    boxes_hold: float | None
    boxes_filled: float | None
    boxes_agree: float | None


class Appearance(TypedDict):
    category: str
    first_seen_s: float


class BudgetAnswer(TypedDict):
    set: str
    answer: str


class CategoryCells(TypedDict):
    category: str
    cells: list[list[int]]


class CategoryCount(TypedDict):
    category: str
    n: int


class CloudDistance(TypedDict):
    object_id: int
    metres: float


class Image(TypedDict):
    bytes: builtins.bytes | None
    path: str | None


class Mention(TypedDict):
    category: str
    object_ids: list[int]


class NamedObject(TypedDict):
    kind: str
    name: str
    category: str | None
    start: int
    end: int


class NamedValue(TypedDict):
    name: str
    value: float


class Point(TypedDict):
    x: float
    y: float
    z: float
    red: int
    green: int
    blue: int


class QuestionColumns(TypedDict):
    """Columns of several tables"""

    question_id: str
    """content hash"""

    scene_id: str | None
    """scan; null for general data"""

    space_id: str | None
    """physical space; null for general data"""

    split: str
    """train | val | test"""

    dataset: str
    """scannet | scannetpp | arkitscenes, or the external source"""

    question_type: str
    """VSI-Bench's name, or the external source's own"""

    answer_type: str
    """choice | number | text | ocr | regression"""

    question: str
    """text without options"""

    options: list[str] | None
    """such as "A. left"; null if none"""

    ground_truth: str
    """the letter, or the number as text, as VSI-Bench has it"""

    objects: list[Mention]
    """categories that the question names, and their objects"""

    media: list[Image] | None
    """own pictures; null for scenes. Paths video/SECONDS.jpg are one video's frames in time order, others stills"""

    source: str
    """generated, or the external file"""

    evidence: str
    """canonical JSON text: the geometry that the answer came from"""


class AnnotationRow(TypedDict):
    """one attempt at writing the reasoning for one hard question"""

    question_id: str
    """question"""

    attempt: int
    """0, 1, ..."""

    teacher: str
    """geometric | openai"""

    model: str
    """model name; geometric for the geometric teacher"""

    prompt_digest: str
    """sha256 of the prompt, media included"""

    request_id: str | None
    """the provider's id of the request"""

    think: str | None
    """the reasoning"""

    answer: str | None
    """the teacher's answer"""

    verdict: str
    """accepted | rejected | failed"""

    reason: str | None
    """why it was not accepted"""

    tokens_in: int
    """prompt tokens billed"""

    tokens_out: int
    """completion tokens billed"""

    usd: float
    """cost"""


class AuditRow(TypedDict):
    """one released question, answered again from the released boxes"""

    id: int
    """the benchmark's id"""

    question_type: str
    """the benchmark's name"""

    ground_truth: str
    """the released answer"""

    recomputed: str | None
    """ours, written as the released one is; null where not auditable"""

    agrees: bool | None
    """true if the two are equal; null where not auditable"""

    note: str
    """why it is not auditable, or what to know about the recomputed answer; empty if nothing"""


class BiasRow(TypedDict):
    """one number about how far the text of one question type gives the answer away"""

    question_type: str
    """question type"""

    measure: str
    """score: of guessing by a rule; letter, answer: share of the questions that have it"""

    name: str
    """`chance`, or name of the rule; the letter; the answer"""

    value: float
    """0 to 1"""

    n: int
    """questions behind it"""


class ClaimRow(TypedDict):
    """one answer, or one rollout of a training, and the objects that its thought names"""

    run: str
    """run"""

    benchmark: str | None
    """benchmark; null for a rollout"""

    step: int | None
    """optimiser step; null for an answer to a benchmark"""

    question_id: str
    """question"""

    question_type: str
    """question type"""

    space_id: str | None
    """physical space; null for general data"""

    view: str
    """video | a probe; of a rollout: view of the video that the prompt had"""

    sample: int
    """0, 1, ..."""

    text: str
    """completion"""

    queried: int | None
    """names of objects that question or options name; null = not judged"""

    context: int | None
    """names of objects that the scene has and the question does not name"""

    absent: int | None
    """names of objects that the scene does not have, of a category that its dataset counts"""

    unknown: int | None
    """names of things that nobody counts in this dataset"""

    mentions: list[NamedObject]
    """every name: kind, name, category or null, characters [start, end) of the text"""

    reason: str | None
    """why the thought was not judged; null if it was"""


class ClaimShareRow(TypedDict):
    """one share of the answers or of the names in their thoughts, of one run, view and question type"""

    run: str
    """run"""

    benchmark: str | None
    """benchmark; null for rollouts"""

    view: str
    """video | a probe; of rollouts: view of the video that the prompt had"""

    step: int | None
    """first optimiser step of the rollouts; null for answers to a benchmark"""

    last_step: int | None
    """last one"""

    question_type: str
    """question type; overall for all answers"""

    measure: str
    """answers (naming the kind) | mentions (of the kind) | changed | changed_minus_context"""

    kind: str | None
    """queried | context | absent; null for changed answers"""

    share: float
    """0 to 1; a difference: -1 to 1"""

    low: float | None
    """95 % interval, over physical spaces; null = one space"""

    high: float | None
    """its upper end"""

    n: int
    """answers; of mentions: names; of changed: questions"""

    spaces: int
    """physical spaces that these are about"""


class CognitiveMapRow(TypedDict):
    """the cognitive map of one scan at one grid size (SpaceR, appendix A)"""

    scene_id: str
    """scan"""

    space_id: str
    """physical space"""

    dataset: str
    """scannet | scannetpp | arkitscenes"""

    split: str
    """train | val | test; training reads maps of train alone"""

    grid: int
    """M: columns and rows of the map, 5 | 10 | 15 | 20"""

    border: list[float]
    """x_min, y_min, x_max, y_max of the floor, which the cells divide"""

    cells: list[CategoryCells]
    """column (+x) and row (+y), from 0, of every instance's box centre, by category"""


class DroppedQuestionRow(TypedDict):
    """what the stage of `questions` left out, with the reason"""

    question_id: str
    """question or candidate"""

    file: str
    """file at fault, relative to the dataset's root; empty if none"""

    reason: str
    """why it was left out"""


class DroppedSceneRow(TypedDict):
    """what the stage of `scenes` left out, with the reason"""

    scene_id: str
    """scan"""

    file: str
    """file at fault, relative to the dataset's root; empty if none"""

    reason: str
    """why it was left out"""


class FrameRow(TypedDict):
    """one sampled video frame"""

    scene_id: str
    """scan"""

    frame_index: int
    """index in the video"""

    timestamp_s: float
    """frame_index / fps"""

    sets: list[str]
    """frame sets that hold it: uniform16, fps2max16, ... (config/frames.py)"""

    image: Image
    """JPEG, upright, at most video.eval_max_pixels large"""

    width: int
    """of the stored image"""

    height: int
    """of the stored image"""

    source_width: int
    """of the video's frame, upright, before resizing: smaller sizes follow from it"""

    source_height: int
    """of the video's frame, upright, before resizing"""

    K: list[float] | None
    """intrinsics of the stored pixels, integer pixel centres; null for a benchmark's video"""

    pose: list[float] | None
    """camera-to-world in the aligned frame; null where tracking was lost"""


class HardRow(TypedDict):
    """one hard training question"""

    question_id: str
    """question"""

    transition: str
    """frames | bev | fallback: why it is hard (OCR, cold start data construction)"""


class InventoryRow(TypedDict):
    """state of one scan of a release, by the headers of its files"""

    dataset: str
    """scannet | scannetpp | arkitscenes"""

    scene_id: str
    """scan"""

    space_id: str
    """physical space"""

    split: str
    """train | val | test; unlisted: on disk, but in no split list"""

    state: str
    """usable | missing | damaged | left_out (by the release itself)"""

    asset: str
    """what is missing or damaged: scan, meta, mesh, annotation, trajectory, video; empty if usable"""

    file: str
    """file at fault, relative to the dataset's root; empty if usable"""

    reason: str
    """why it cannot be used, with the remedy; empty if usable"""

    flags: list[str]
    """forms of assets that are not the usual ones, and damaged files that they replace"""


class MapRow(TypedDict):
    """the views from above of one scan"""

    scene_id: str
    """scan"""

    bev: Image
    """PNG 432x432: orthographic top view, +x right, +y up, black background"""

    m_per_px: float
    """metres per BEV pixel"""

    x0: float
    """world x of the centre of BEV pixel column 0"""

    y0: float
    """world y of the centre of BEV pixel row 0 (the top row)"""

    floor_rect: list[float]
    """x_min, y_min, x_max, y_max of the floor"""

    walkable: builtins.bytes
    """bit grid, row-major, most significant bit first, row 0 = lowest y"""

    cell_m: float
    """side of a grid cell"""

    grid_origin: list[float]
    """world x, y of the lower corner of cell (0, 0)"""

    grid_size: list[int]
    """columns (x), rows (y)"""

    points: list[Point]
    """at most 20,000 coloured points, for viewing"""

    appearances: list[Appearance]
    """first time that each category is visible"""


class MetricRow(TypedDict):
    """one optimiser step (records time: two runs differ in it)"""

    step: int
    """from 0"""

    lr: float
    """learning rate of the step"""

    loss: float
    """objective, negated"""

    kl: float | None
    """mean k3 estimate per token"""

    rewards: list[NamedValue]
    """mean of each reward part over all rollouts"""

    reward_std: float | None
    """standard deviation of the reward within groups, mean over groups"""

    frac_zero_std: float | None
    """share of groups whose rewards are all equal"""

    n_skipped: int | None
    """groups skipped because all their rewards are equal"""

    acc_clean: float | None
    """mean correctness over clean rollouts"""

    acc_noisy: float | None
    """mean correctness over altered rollouts"""

    adv_clean_mean: float | None
    """mean advantage of the clean rollouts"""

    completion_len_mean: float | None
    """tokens"""

    grad_norm: float
    """before clipping"""

    delta: float | None
    """schedule's value delta_t"""

    sigma: float | None
    """standard deviation of the noise on [0, 255]"""

    n_regions: int | None
    """objects perturbed, summed over the step's prompts"""

    peak_memory_mb: float | None
    """peak memory of the accelerator, or of the process without one"""

    seconds: list[NamedValue]
    """seconds of each phase"""

    probe_n: int | None
    """probe questions; null here and below = a step without a probe"""

    probe_video: float | None
    """mean score of the probe questions with their video, 0 to 1, before the step's update"""

    probe_black: float | None
    """mean score with black frames"""

    probe_other_room: float | None
    """mean score with another room's video; null = there is no other room"""

    probe_drowned: float | None
    """mean score with the queried objects under noise, of the questions that have such"""

    probe_seen: float | None
    """video minus black frames, on the same questions"""

    probe_seen_low: float | None
    """95 % interval of that, by bootstrap over rooms; null = one room"""

    probe_seen_high: float | None
    """upper end of that interval"""

    probe_seen_other_room: float | None
    """video minus another room's video, on the same questions"""

    probe_seen_other_room_low: float | None
    """95 % interval of that"""

    probe_seen_other_room_high: float | None
    """upper end of that interval"""

    probe_seen_drowned: float | None
    """video minus queried objects under noise, on the same questions"""

    probe_seen_drowned_low: float | None
    """95 % interval of that"""

    probe_seen_drowned_high: float | None
    """upper end of that interval"""


class ObjectRow(TypedDict):
    """one annotated object of a scan"""

    scene_id: str
    """scan"""

    object_id: int
    """the dataset's own instance id"""

    label: str
    """raw label"""

    category: str | None
    """VSI-Bench category; null: no question names it"""

    perturbable: bool
    """not wall, floor, ceiling, split or remove"""

    centroid: list[float]
    """centre of the oriented box"""

    axes_lengths: list[float]
    """full side lengths of the oriented box"""

    normalized_axes: list[float]
    """rows are the axes of the oriented box"""

    aabb_min: list[float]
    """axis-aligned box: of the vertices (ScanNet), else of the oriented box"""

    aabb_max: list[float]
    """axis-aligned box in the aligned frame"""

    n_points: int | None
    """mesh vertices of the instance"""

    point_distances: list[CloudDistance] | None
    """nearest vertices of each object with a larger id, metres; null: not measured, for questions.rules needs none"""

    first_labelled_frame: int | None
    """first frame of the video whose released label picture has the object's label; null: none, or not read"""


class PredictionRow(TypedDict):
    """one answer of a model"""

    question_id: str
    """question"""

    model: str
    """run or model key"""

    setting: str
    """what the model is shown: frames2, frames16, frames16_bev, frames16_grpo, uniform32, PROBE32, ..."""

    sample: int
    """0, 1, ..."""

    text: str
    """completion"""

    answer: str | None
    """the answer extracted from the text; null if none"""

    score: float
    """0 to 1; for people: every later stage scores the text again"""

    scorer: str
    """scorer that gave the score"""

    n_tokens: int
    """tokens generated"""

    frames: int | None
    """frames shown, at most: shorter videos have fewer"""

    frame_policy: str | None
    """rule by which the frames were chosen, such as uniform"""

    max_pixels: int | None
    """pixels per frame, at most"""

    prompt: str | None
    """wording: a file of resources/prompts without .txt, such as think_video_r1"""

    prompt_digest: str | None
    """first 16 hex digits of the sha256 of that file"""

    temperature: float | None
    """0 = greedy"""

    max_new_tokens: int | None
    """tokens per answer, at most"""

    backend: str | None
    """hf | vllm"""

    model_digest: str | None
    """digest of the weights, from model.json"""

    split: str | None
    """full, or the part of the benchmark, such as "scannet, 2071 of 5130"; null without a benchmark"""

    given_map: str | None
    """cognitive map that the prompt gave, as the model read it; null = none"""


class ProbeRow(TypedDict):
    """one question with an altered video"""

    question_id: str
    """question"""

    probe: str
    """black | shuffled | other_room | drowned | removed | drowned_context | drowned_all"""

    sets: list[str]
    """frame set whose frames are shown"""

    scene_id: str | None
    """scene whose frames are shown; null for a question's own pictures, or if there is no twin"""

    order: list[int] | None
    """places among the frames shown, in the new order; null = as they are"""

    objects: list[int] | None
    """objects drowned in noise; null = none"""

    reason: str | None
    """why there is no such twin; null if there is"""


class QuestionRow(QuestionColumns):
    """one training question"""

    answerable: list[str] | None
    """samplings of the video that lead to the answer: full, uniform16, ...; null: unknown"""

    refused: str | None
    """why a sampling that training or evaluation uses does not lead to the answer; null: all do, or unknown"""

    budget_answers: list[BudgetAnswer] | None
    """answers that other samplings lead to, as text of the option or number; null: none, or not requested"""


class RawFileRow(TypedDict):
    """one path outside the workflow that a stage opened, listed or looked for (records time: no stage reads it)"""

    root: str
    """key of the configuration's `site` that names the directory, such as roots.scannet"""

    path: str
    """relative to that directory"""

    kind: str
    """file: was opened; folder: was listed; absent: was looked for"""

    n_bytes: int | None
    """size of a file"""

    mtime_ns: int | None
    """time of a file's last change, nanoseconds since 1970"""

    n_entries: int | None
    """entries of a folder, hidden ones left out"""

    names: str | None
    """sha256 of the sorted names of a folder's entries"""


class RegionRow(TypedDict):
    """the pixels that one object covers in one frame"""

    scene_id: str
    """scan"""

    frame_index: int
    """index in the video"""

    sets: list[str]
    """frame sets that hold the frame"""

    object_id: int
    """object"""

    n_visible: int
    """pixels of the mask"""

    box: list[int]
    """x_min, y_min, x_max, y_max of the mask, inclusive"""

    mask: builtins.bytes
    """uint32 little-endian run lengths, row-major, starting with zeros, stored size"""


class ReleasedAuditRow(TypedDict):
    """one record of another release, answered again from boxes; where a distance decides, one row per definition of
    it"""

    record: str
    """file and number of the record in it, from 0: spacer.jsonl/17"""

    question_type: str | None
    """the benchmark's name; null if the text is of no type"""

    dataset: str | None
    """scannet | scannetpp | arkitscenes; null if the record was not read so far"""

    scene_id: str | None
    """scan that the question is about; null if the record was not read so far"""

    ground_truth: str | None
    """the released answer as it stands, at most 200 characters"""

    definition: str | None
    """definition of distance: vsibench | exact | centres; null where no distance decides"""

    recomputed: str | None
    """ours, in the question's unit, or the letter; null where not matched"""

    difference: float | None
    """released minus ours: metres, square metres, objects; null for letters"""

    agrees: bool | None
    """true if the two are equal up to rounding; null where not matched"""

    note: str
    """why the record could not be matched; empty if it was"""


class ReportRow(TypedDict):
    """one cell of a table of a paper"""

    table: str
    """file of report/paper, such as table1 or spacer_table1"""

    row: str
    """row label"""

    column: str
    """column label"""

    paper: float | None
    """the paper's number; null = it prints none"""

    ours: float | None
    """ours; null = not run"""

    n: int | None
    """questions behind ours"""

    note: str
    """remark for the reader: not run, preset, fallback"""


class RolloutRow(TypedDict):
    """one rollout"""

    step: int
    """optimiser step"""

    rank: int
    """process"""

    question_id: str
    """question"""

    view: str
    """view of the video that the prompt had"""

    sample: int
    """number within the view, from 0"""

    text: str
    """completion"""

    answer: str | None
    """extracted answer; null if none"""

    rewards: list[NamedValue]
    """reward parts; the part named total is what the advantage used"""

    advantage: float
    """normalised over the pooled group"""

    n_tokens: int
    """completion tokens, end of turn included"""

    perturbed_objects: list[int]
    """objects perturbed in the view"""


class ScanFileRow(TypedDict):
    """one file of a synthetic release (the raw scans themselves are the datasets' own formats)"""

    dataset: str
    """scannet | scannetpp | arkitscenes"""

    scene_id: str
    """scan that the file belongs to; empty for files of the whole release"""

    file: str
    """path relative to the dataset's root"""

    n_bytes: int
    """size"""

    sha256: str
    """digest of the bytes"""


class SceneRow(TypedDict):
    """one scan; read from published boxes alone (ingest-meta), its columns from mesh and video are null"""

    scene_id: str
    """scan id, unique within a dataset"""

    space_id: str
    """physical space: sceneXXXX, visit_id, else scene_id; splits and leak guard use it"""

    dataset: str
    """scannet | scannetpp | arkitscenes"""

    split: str
    """train | val | test, from the dataset's own split files"""

    scene_type: str | None
    """room type, where the dataset states one"""

    fps: float | None
    """frames per second of the video"""

    n_frames: int | None
    """frames of the video"""

    width: int | None
    """pixels, upright, before resizing"""

    height: int | None
    """pixels, upright, before resizing"""

    rotation_deg: int | None
    """clockwise rotation that made the frames upright: 0, 90, 180 or 270"""

    to_aligned: list[float] | None
    """4x4 raw world to aligned world"""

    room_size_m2: float | None
    """floor area: alpha shape of the points seen from above, holes filled"""

    room_center: list[float] | None
    """centre of the minimal oriented bounding box of the points"""

    object_counts: list[CategoryCount]
    """instances per category; uniqueness and counting read this, never the boxes"""

    flags: list[str]
    """oddities met while reading, such as no_axis_alignment (docs/flags.md)"""

    agreement: Agreement | None
    """agreement of poses, mesh, boxes, colours and depth, by measure; null: not measured"""

    floor_area_m2: float | None
    """summed alpha-shape triangles of the floor points; null: questions.rules needs none"""


class ScoreRow(TypedDict):
    """one score of one run on one benchmark"""

    run: str
    """run"""

    benchmark: str
    """benchmark"""

    task: str
    """question type as the benchmark aggregates it; overall for the average"""

    view: str
    """video | a probe; seen, seen_PROBE = video minus black, minus PROBE; random | frequent guess"""

    score: float
    """percent"""

    low: float | None
    """percent; 95 % interval of seen, over physical spaces, all tasks together (Bonferroni); null = one space, or
    another view"""

    high: float | None
    """percent"""

    n: int
    """questions"""

    well_formed: float | None
    """share of answers in the requested format"""

    readable: float | None
    """share of answers whose thought can be judged: the geometric teacher's words"""

    consistent: float | None
    """share of the readable thoughts that lead to the answer given"""

    mapped: float | None
    """share of answers with a cognitive map, given or drawn, whose scene has a true one"""

    map_accuracy: float | None
    """mean accuracy of those maps, 0 to 1 (SpaceR, equation 4)"""

    map_accuracy_code: float | None
    """the same by the rule of SpaceR's release"""

    rests_on: list[str]
    """results that the user keeps (key `keep`) and the score depends on; empty = this study made all of them"""

    scorer: str | None
    """scorer of the texts; the first of a run is the official one; null for guesses"""

    settings: str | None
    """settings of the answers, in one line; null for guesses"""

    part: str | None
    """part of the benchmark, such as "scannet, 2071 of 5130"; null = the whole"""

    model_digest: str | None
    """digest of the weights, from model.json; null for guesses, or where it is unknown"""


class SftRow(QuestionColumns):
    """one cold-start sample"""

    think: str
    """reasoning"""

    target: str
    """completion to learn: <think>..</think> <answer>..</answer>"""


class SourceRow(TypedDict):
    """number of questions of one source, type and fate"""

    source: str
    """generated, or the external file"""

    question_type: str
    """question type; empty for records that could not be read"""

    fate: str
    """train | test | dropped (at assembly) | unusable (at import) | refused (questions.strict)"""

    reason: str
    """why it was left out, or that its answer was corrected; else empty"""

    n: int
    """questions"""

    chance: float | None
    """0 to 1: score of guessing blindly on this type's training questions; null for other fates"""

    text_only: float | None
    """0 to 1: score of the rule that guesses best from their text alone"""

    text_only_rule: str | None
    """that rule, as `bias` names it"""


class StudyRow(TypedDict):
    """one measure of one arm of a study, and its paired difference from the baseline"""

    arm: str
    """arm: runs that differ by seed alone, such as vanilla; pilot in the table of the design"""

    measure: str
    """score | a probe whose score it is | seen, seen_PROBE | queried, context, absent (of names)"""

    value: float
    """percent, mean over seeds"""

    difference: float | None
    """points, arm minus baseline; null for baseline and pilot"""

    low: float | None
    """95 % interval of the difference, over seeds and rooms"""

    high: float | None
    """its upper end"""

    error: float | None
    """standard error of the difference, points"""

    by_seed: list[float] | None
    """difference of each seed, points"""

    detectable: float | None
    """smallest difference that the design detects, points, stated from the pilot; null = no pilot"""

    seeds: int
    """seeds of the arm"""

    rooms: int
    """physical spaces that its answers are about"""

    generated_tokens: float | None
    """tokens that a run of the arm drew in its training, mean over seeds; null = not given"""

    gradient_tokens: float | None
    """those of rollouts in the loss"""

    rests_on: list[str]
    """kept rules and runs that it depends on"""


class VerdictRow(TypedDict):
    """a judge's opinion of one question"""

    question_id: str
    """question"""

    keep: bool
    """true if it may be used in training"""

    reason: str
    """why"""


class VisibilityRow(TypedDict):
    """visibility of one object in the whole video, or in one of the stored frame sets"""

    scene_id: str
    """scan"""

    object_id: int
    """object"""

    sampling: str
    """full: the whole video, several frames per second; or the name of a frame set"""

    n_frames: int
    """frames with a known pose that were examined"""

    n_clear: int
    """frames among them that show it clearly, on at least CLEAR_SHARE of the picture"""

    first_clear_s: float | None
    """first time that it is clearly seen; null = never"""

    last_clear_s: float | None
    """last time that it is clearly seen"""

    first_faint_s: float | None
    """earliest time at which it may cover FAINT_SHARE of the picture; null = never"""

    largest_share: float
    """share of the picture that it covers in the frame that shows it largest"""

    mean_share: float
    """share of the picture that it covers, mean over the frames that show it at least faintly"""

    room_share: float
    """share of the room's plan, in cells of half a metre, that the frames show: equal for all objects"""
