"""The sections of the configuration: one pydantic model each, every value with its source.

Sources: "OCR" = Video Spatial Reasoning with Object-Centric 3D Rollout; "Video-R1" = its released scripts, which OCR
follows where it says nothing; "VSI-Bench" = the benchmark's generator and metric; "assumed" = our choice.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, ConfigDict, Discriminator, Field, Tag, model_validator

from rollout3d.config import question_types
from rollout3d.config.base import From0, NotNegative, Once, Positive, Strict, Text
from rollout3d.config.choices import AnyQuestionType, MapGrid, QuestionType, TypeWithSource
from rollout3d.config.frames import Frames
from rollout3d.config.names import SitePath
from rollout3d.config.question_types import NOT_ASKED, RuleSet, Source

PAPER_DATASETS = ("scannet", "scannetpp", "arkitscenes")
"""Datasets of the default study, the paper's; every known one: `doors.DATASETS.names`."""
SETTINGS = ("frames2", "frames16", "frames16_bev", "frames16_grpo")
"""The four settings of the difficulty filter (OCR, Table 1)."""
SAMPLED = "frames16_sampled"
"""Setting in which a question has several answers, for the resampled set (SpaceR, section 5.2)."""
REASONED = ("frames16_grpo", SAMPLED)
"""Settings whose prompt asks for reasoning."""


class UndeclaredKey(LookupError):
    """Raised where a stage reads a key that it does not declare (`stages/registry.py`): a fault of the code."""


class Section(Strict):
    """A part of the configuration: unknown keys are errors, values are immutable."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    def __getattr__(self, name: str) -> Any:
        # Reached only when ordinary lookup fails: a narrowed configuration (`config.keys.narrow`) lacks the value.
        if name in type(self).model_fields:
            raise UndeclaredKey(
                f"{type(self).__name__}.{name} was read by a stage that does not declare it in stages/registry.py"
            )
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")


class Splits(Section):
    train: list[Literal["train", "val", "test"]] = ["train"]
    """Splits of the dataset whose spaces may be trained on. [VSI-Bench: it tests on the validation splits]"""
    test: list[Literal["train", "val", "test"]] = []
    """Splits whose questions become `questions/test.parquet`. [OCR: it tests on the released VSI-Bench]"""

    @model_validator(mode="after")
    def _disjoint(self) -> Splits:
        if set(self.train) & set(self.test):
            raise ValueError("a split cannot be both train and test")
        for name in ("train", "test"):
            if len(set(getattr(self, name))) < len(getattr(self, name)):
                raise ValueError(f"{name} names a split twice: each of its scans would be read twice")
        return self


class Dataset(Section):
    shards: Positive = 16
    """Number of jobs that share the scans; it is fixed, so that the job graph is known without any data. [assumed]"""
    splits: Splits = Splits()
    max_scans: Positive | None = None
    """Maximum number of scans per split, in the order of the split file; null = all. [assumed]"""


class Scenes(Section):
    """Settings of the step from raw scans to scene tables."""

    agreement: Literal["drop", "flag", "off"] = "drop"
    """Treatment of a scan whose poses, mesh, boxes, colours and depth contradict each other beyond gross limits
    (figures in the table scenes). drop: no question is asked about it; flag: it is counted and logged; off: nothing is
    judged. [assumed]"""


class Video(Section):
    """Frames and pixels of the videos that models read."""

    train_frames: Frames = 16
    """Frames of a video while training and filtering: a number of evenly spaced ones, or a rate with a cap (fps2max16:
    two per second, at least 4 and at most 16). [OCR, implementation details]"""
    eval_frames: Positive = 32
    """Number of frames of a video while evaluating. [OCR, implementation details]"""
    train_max_pixels: Positive = 105_369
    """Maximum pixels per frame while training and filtering: 280x364 for 4:3. [Video-R1: 1.05 * 128 * 28 * 28 in
    effect]"""
    eval_max_pixels: Positive = 256 * 28 * 28
    """Maximum pixels per frame while evaluating, and of the frames that are stored. [Video-R1]"""
    train_min_pixels: Positive = 128 * 28 * 28
    """Minimum pixels per frame while training and filtering; smaller frames are enlarged. [Video-R1]"""
    min_pixels: Positive = 4 * 28 * 28
    """Minimum pixels per frame while evaluating, and of still images; smaller ones are enlarged. [Qwen2.5-VL
    processor]"""
    image_max_pixels: Positive = 256 * 28 * 28
    """Maximum pixels of a still image, the BEV picture among them. [Video-R1]"""
    time_mode: Literal["unit", "true"] = "unit"
    """Temporal position of a patch: one second per patch (unit), or the recording's time (true). [Video-R1: unit]"""

    @model_validator(mode="after")
    def _sizes(self) -> Video:
        if self.train_max_pixels > self.eval_max_pixels:
            raise ValueError(
                f"train_max_pixels: {self.train_max_pixels} is more than eval_max_pixels ({self.eval_max_pixels}), at "
                "which frames are stored: raise that (scans are ingested again), or lower this"
            )
        for least, key in (
            ("train_min_pixels", "train_max_pixels"),
            ("min_pixels", "eval_max_pixels"),
            ("min_pixels", "image_max_pixels"),
        ):
            if getattr(self, least) > getattr(self, key):
                raise ValueError(f"{least}: {getattr(self, least)} is more than {key} ({getattr(self, key)})")
        return self

    @property
    def train_pixels(self) -> tuple[int, int]:
        """Minimum and maximum pixels of a frame while training."""
        return self.train_min_pixels, self.train_max_pixels

    @property
    def eval_pixels(self) -> tuple[int, int]:
        """Minimum and maximum pixels of a frame while evaluating."""
        return self.min_pixels, self.eval_max_pixels

    @property
    def image_pixels(self) -> tuple[int, int]:
        """Minimum and maximum pixels of a still image."""
        return self.min_pixels, self.image_max_pixels


RegionMode = Literal["aabb_none", "aabb_depth", "instance_none", "instance_depth"]


Mix = Annotated[
    Annotated[Literal["paper", "benchmark"], Tag("[name]")]
    | Annotated[dict[AnyQuestionType, Annotated[float, Field(gt=0, lt=1)]], Tag("[shares]")],
    Discriminator(lambda mix: "[shares]" if isinstance(mix, dict) else "[name]"),
    AfterValidator(lambda mix: mix or "paper"),
]
"""A named mix of question types, or shares; no shares at all are those that come out."""


class Questions(Section):
    """Settings of the step from scene tables to questions."""

    sets_per_object: ClassVar[int | None] = None
    """Most option sets of relative distance per object that the rest is measured from; None = all."""
    compat: Literal["corrected", "vsibench"] = "corrected"
    """Generator of questions: corrected, or with the known defects of the benchmark (vsibench). [assumed]"""
    rules: RuleSet = "ocr"
    """Paper whose rules answer the generated questions (docs/rules.md): those of VSI-Bench's generator, which OCR uses
    (ocr), or those of SpaceR or Spatial-R1, for ScanNet alone. [OCR, data construction]"""
    wording: Literal["vsibench", "spacer", "vlm3r"] = "vsibench"
    """Source of the question texts: the benchmark's released rows, or the variants of SpaceR or VLM-3R. [VSI-Bench]"""
    strict: Literal["report", "remove", "off"] = "report"
    """Treatment of questions that the frames shown to a model cannot answer (questions/visible.py). report: they are
    marked and counted; remove: they are left out, too; off, as with `compat: vsibench`: neither. [assumed; the paper
    removes none]"""
    budget_answers: bool = False
    """Store the count that a sampling of the video leads to where it misses some of the instances. [assumed]"""
    distance: Literal["vsibench", "exact"] = "vsibench"
    """Distance of two objects: by the benchmark's sampling of box faces at 5 cm (vsibench), or exact. [VSI-Bench
    generator]"""
    per_scene: dict[QuestionType, NotNegative | None] = {}
    """Most questions per scene, by question type, such as {route_planning: 4}, where it differs from `PER_SCENE` in
    the type's file of questions/types; 0 = not asked; null = no limit. [assumed]"""
    max_value_share: Annotated[float, Field(gt=0, le=1)] = 0.25
    """Share of a type's training questions that one number may answer; a more frequent number is thinned, at most to
    the second most frequent. [SpaceR; share assumed]"""
    text_only_margin: Annotated[float, Field(ge=0, lt=1)] | None = None
    """Maximum margin over chance level by which a guess from the text may score on training questions, which are pruned
    until then; null = 0.05 where `strict` is remove, else none. [assumed]"""
    one_scan_per_space: bool = False
    """Train on one scan of each physical space (a room of ScanNet, a visit of ARKitScenes), drawn by seed. [assumed]"""
    mix: Mix = "paper"
    """Question types in training. paper: as generated under `per_scene`; benchmark: in VSI-Bench's proportions; or the
    share of each type, such as {route_planning: 0.1}, where types left out share the rest as generated.
    [OCR, Figure 3: no numbers]"""
    total: Positive | None = 98_103
    """Number of training questions about scans, spread evenly over the scans within each type; null = all that the mix
    allows. General data count only where `mix` names their types. [OCR, Table 1: correct + wrong]"""
    appearance_gap_s: From0 = 1.0
    """Minimum difference between the first appearances of two categories, in seconds. [VSI-Bench generator]"""
    sources: dict[TypeWithSource, Source] = question_types.SOURCES
    """Source of the questions of these types; without a configured file they are generated, with a warning. [OCR]"""
    errata: SitePath | None = None
    """CSV file of wrong answers, which are removed or corrected at assembly (config/README.md), beside
    resources/errata.csv, which counts where `compat` is corrected; null = none. [assumed]"""

    @property
    def caps(self) -> dict[str, int]:
        """Most questions per scene by question type; a type without a limit is missing."""
        return question_types.caps(self.per_scene)

    @property
    def guessing_margin(self) -> float | None:
        """Margin over chance level that a guess from the text may score in training; None: nothing is pruned."""
        removes = self.strict == "remove" and self.compat != "vsibench"
        return 0.05 if self.text_only_margin is None and removes else self.text_only_margin

    @property
    def gated(self) -> bool:
        """True if questions are marked with the samplings of the video that answer them."""
        return self.strict != "off" and self.compat != "vsibench"

    @model_validator(mode="after")
    def _types_of_rules(self) -> Questions:
        unasked = [name for name, cap in self.per_scene.items() if cap is not None and name in NOT_ASKED[self.rules]]
        if unasked:
            raise ValueError(
                f"per_scene: questions.rules {self.rules} ask no {', '.join(unasked)}: remove the line, or set "
                "questions.rules to ocr"
            )
        return self

    @model_validator(mode="after")
    def _shares(self) -> Questions:
        if isinstance(self.mix, dict) and sum(self.mix.values()) > 1 + 1e-9:
            raise ValueError(f"mix: the shares add up to {sum(self.mix.values()):g}, which is more than 1")
        return self


MAX_SHARE_DROPPED = 0.2
"""Share of a file's rows that cannot be used above which its import stops, from 0 to 1. [assumed]"""


class External(Section):
    """Training files that others released (`site.external` says where they lie)."""

    max_share_dropped: ClassVar[float] = MAX_SHARE_DROPPED
    spatial_types: Annotated[list[QuestionType], Once] = list(question_types.SOURCES)
    """Question types about scans that are taken from files of others. [OCR, data construction]"""
    general: NotNegative = 0
    """Number of questions that are not about scans, drawn from each file by seed. [OCR: none; SpaceR: 60,000 of
    Video-R1-260k]"""


SHIPPED_MODEL = "resources/tiny_qwen"
"""Name of the small Qwen2.5-VL that travels with this package: its folder."""


class Model(Section):
    name: Text
    """Hugging Face name of the model; `site.models` may give a directory instead. resources/tiny_qwen is the small
    model that travels with this package. [OCR]"""
    tiny: bool = False
    """Train a small Qwen2.5-VL from scratch on synthetic rooms instead (preset tiny_qwen). [assumed]"""
    same_as: str | None = None
    """Key of another model that serves for this one, too (presets only). [assumed]"""

    @property
    def shipped(self) -> bool:
        """True for the small model that travels with this package."""
        return self.name == SHIPPED_MODEL

    @property
    def small(self) -> bool:
        """True for a model of a few million parameters, which needs no GPU."""
        return self.tiny or self.shipped


class Prompts(Section):
    think: Literal["video_r1", "plain", "map", "plain_map"] = "video_r1"
    """Wording that asks for reasoning, by its file resources/prompts/think_<name>.txt. map: questions about scans offer
    a cognitive map, with SpaceR's steps and rules in our words; other questions have Video-R1's wording. plain and
    plain_map: for models too small to read these. [Video-R1]"""
    map_grid: MapGrid = 10
    """M: number of columns and rows of cognitive maps, in prompts and in rewards. [SpaceR, section 5.1; others: Table
    6]"""
    leak_keys: bool = False
    """List in the map prompt of GRPO the categories of the scene's own map, which gives away what is in the room, in
    place of the fixed list of evaluation (ablation). [assumed; SpaceR's release lists them]"""

    GENERAL: ClassVar[Mapping[str, str]] = {"map": "video_r1", "plain_map": "plain"}
    """Wordings that offer a map -> the wording of questions that are not about scans."""

    @model_validator(mode="after")
    def _lists_somewhere(self) -> Prompts:
        if self.leak_keys and not self.offers_map:
            raise ValueError(
                f"leak_keys: the list of categories stands in the map prompt, and think is {self.think}: set think to "
                "map, or remove leak_keys"
            )
        return self

    @property
    def offers_map(self) -> bool:
        """True if questions about scans offer a cognitive map."""
        return self.think in self.GENERAL

    @property
    def leaks(self) -> bool:
        """True if prompts of GRPO list the categories of the scene's own map."""
        return self.offers_map and self.leak_keys

    @property
    def wording(self) -> str:
        """Name of the wording as answers record it: that of the map prompt has its grid size, such as map10."""
        return f"{self.think}{self.map_grid}" if self.offers_map else self.think

    @property
    def files(self) -> tuple[str, ...]:
        """The NAME of every file think_NAME.txt that prompts may use."""
        return (self.think, self.GENERAL[self.think]) if self.offers_map else (self.think,)

    def keys(self, rewarded: bool = False, rl: bool = False) -> tuple[str, ...]:
        """Return the keys that decide a prompt that asks for reasoning. `rewarded`: a reward compares answers with
        maps, so their grid counts; `rl`: the prompt is one of GRPO."""
        grid = ("prompts.map_grid",) if rewarded or self.offers_map else ()
        return ("prompts.think", *grid, *(("prompts.leak_keys",) if rl and self.offers_map else ()))


class Generation(Section):
    """Generation of text by models, in all stages."""

    backend: Literal["hf", "vllm"] = "vllm"
    """Program that generates the filter's answers, those of evaluation and rollouts: transformers (hf) or vLLM.
    [assumed]"""
    shards: Positive = 8
    """Number of jobs that share the questions of a setting of the filter, or of a run on a benchmark. [assumed]"""
    batch_size: Positive = 8
    """Number of questions that transformers answer together; vLLM forms its own batches. [assumed]"""
    max_new_tokens: Positive = 1024
    """Maximum length of an answer with reasoning, in tokens; rollouts have `grpo.max_new_tokens`. [Video-R1: its
    evaluation; SpaceR: the same]"""
    max_new_tokens_direct: Positive = 16
    """Maximum length of an answer without reasoning, in tokens. [VSI-Bench]"""


class Difficulty(Section):
    """Settings of the filter model."""

    model: str = "filter_base"
    """Key of the filter model before GRPO. [OCR: Qwen2.5-VL-7B-Instruct]"""
    run: str = "filter"
    """Run that trains the filter model with GRPO, for the setting frames16_grpo. [OCR: 2000 steps]"""


class Runs(Section):
    table: SitePath = "config/runs.tsv"
    """Run table: one row per run. [assumed]"""
    select: Annotated[list[str], Field(min_length=1), Once] = ["qwen3b", "sft", "ocr"]
    """Runs that `all` evaluates; the runs that they start from are trained, too. [OCR, Table 2: ocr; others assumed]"""
    recipes: bool = True
    """Lay recipes over the configuration of their runs; false in presets of small models, whose settings are for all
    runs. [assumed]"""
    max_steps: Positive | None = None
    """Maximum number of steps of every GRPO run (presets); null = the run table's. [OCR: 2000]"""
