"""The schema of the tables of models: their answers, their training, their scores. Conventions: `rollout3d.tables`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

from rollout3d.tables.fields import Table
from rollout3d.tables.fields import column as _field
from rollout3d.tables.fields import declare as _declare
from rollout3d.tables.fields import nullable as _null

if TYPE_CHECKING:
    from rollout3d.tables.rows import (
        ClaimRow,
        ClaimShareRow,
        MetricRow,
        PredictionRow,
        ProbeRow,
        ReportRow,
        RolloutRow,
        ScoreRow,
        StudyRow,
    )


_S, _I, _F = pa.string(), pa.int64(), pa.float64()
_STRINGS = pa.list_(pa.string())
_REWARDS = pa.list_(pa.struct([("name", pa.string()), ("value", pa.float64())]))

# --- models and training ---------------------------------------------------------------------------------------------

PROBES: Table[ProbeRow] = _declare(
    "probes",
    "one question with an altered video",
    _field("question_id", _S, "question"),
    _field("probe", _S, "black | shuffled | other_room | drowned | removed | drowned_context | drowned_all"),
    _field("sets", _STRINGS, "frame set whose frames are shown"),
    _null("scene_id", _S, "scene whose frames are shown; null for a question's own pictures, or if there is no twin"),
    _null("order", pa.list_(pa.int64()), "places among the frames shown, in the new order; null = as they are"),
    _null("objects", pa.list_(pa.int64()), "objects drowned in noise; null = none"),
    _null("reason", _S, "why there is no such twin; null if there is"),
    parts="sets",
)

_SETTING_FIELDS = (
    _null("frames", _I, "frames shown, at most: shorter videos have fewer"),
    _null("frame_policy", _S, "rule by which the frames were chosen, such as uniform"),
    _null("max_pixels", _I, "pixels per frame, at most"),
    _null("prompt", _S, "wording: a file of resources/prompts without .txt, such as think_video_r1"),
    _null("prompt_digest", _S, "first 16 hex digits of the sha256 of that file"),
    _null("temperature", _F, "0 = greedy"),
    _null("max_new_tokens", _I, "tokens per answer, at most"),
    _null("backend", _S, "hf | vllm"),
    _null("model_digest", _S, "digest of the weights, from model.json"),
    _null("split", _S, 'full, or the part of the benchmark, such as "scannet, 2071 of 5130"; null without a benchmark'),
)
SETTING_COLUMNS = tuple(each.name for each in _SETTING_FIELDS)
"""Columns of PREDICTIONS that hold the settings of an answer; null where they are unknown, as in version 1."""

PREDICTIONS: Table[PredictionRow] = _declare(
    "predictions",
    "one answer of a model",
    _field("question_id", _S, "question"),
    _field("model", _S, "run or model key"),
    _field(
        "setting",
        _S,
        "what the model is shown: frames2, frames16, frames16_bev, frames16_grpo, uniform32, PROBE32, ...",
    ),
    _field("sample", _I, "0, 1, ..."),
    _field("text", _S, "completion"),
    _null("answer", _S, "the answer extracted from the text; null if none"),
    _field("score", _F, "0 to 1; for people: every later stage scores the text again"),
    _field("scorer", _S, "scorer that gave the score"),
    _field("n_tokens", _I, "tokens generated"),
    *_SETTING_FIELDS,
    _null("given_map", _S, "cognitive map that the prompt gave, as the model read it; null = none"),
    version=3,
    added=(*SETTING_COLUMNS, "given_map"),
    by_version=(len(SETTING_COLUMNS), 1),
    optional=("given_map",),
)

_PROBE_FIELDS = (
    _null("probe_n", _I, "probe questions; null here and below = a step without a probe"),
    _null("probe_video", _F, "mean score of the probe questions with their video, 0 to 1, before the step's update"),
    _null("probe_black", _F, "mean score with black frames"),
    _null("probe_other_room", _F, "mean score with another room's video; null = there is no other room"),
    _null("probe_drowned", _F, "mean score with the queried objects under noise, of the questions that have such"),
    _null("probe_seen", _F, "video minus black frames, on the same questions"),
    _null("probe_seen_low", _F, "95 % interval of that, by bootstrap over rooms; null = one room"),
    _null("probe_seen_high", _F, "upper end of that interval"),
    _null("probe_seen_other_room", _F, "video minus another room's video, on the same questions"),
    _null("probe_seen_other_room_low", _F, "95 % interval of that"),
    _null("probe_seen_other_room_high", _F, "upper end of that interval"),
    _null("probe_seen_drowned", _F, "video minus queried objects under noise, on the same questions"),
    _null("probe_seen_drowned_low", _F, "95 % interval of that"),
    _null("probe_seen_drowned_high", _F, "upper end of that interval"),
)
PROBE_COLUMNS = tuple(each.name for each in _PROBE_FIELDS)
"""Columns of METRICS that only steps with a probe have."""

METRICS: Table[MetricRow] = _declare(
    "metrics",
    "one optimiser step (records time: two runs differ in it)",
    _field("step", _I, "from 0"),
    _field("lr", _F, "learning rate of the step"),
    _field("loss", _F, "objective, negated"),
    _null("kl", _F, "mean k3 estimate per token"),
    _field("rewards", _REWARDS, "mean of each reward part over all rollouts"),
    _null("reward_std", _F, "standard deviation of the reward within groups, mean over groups"),
    _null("frac_zero_std", _F, "share of groups whose rewards are all equal"),
    _null("n_skipped", _I, "groups skipped because all their rewards are equal"),
    _null("acc_clean", _F, "mean correctness over clean rollouts"),
    _null("acc_noisy", _F, "mean correctness over altered rollouts"),
    _null("adv_clean_mean", _F, "mean advantage of the clean rollouts"),
    _null("completion_len_mean", _F, "tokens"),
    _field("grad_norm", _F, "before clipping"),
    _null("delta", _F, "schedule's value delta_t"),
    _null("sigma", _F, "standard deviation of the noise on [0, 255]"),
    _null("n_regions", _I, "objects perturbed, summed over the step's prompts"),
    _null("peak_memory_mb", _F, "peak memory of the accelerator, or of the process without one"),
    _field("seconds", _REWARDS, "seconds of each phase"),
    *_PROBE_FIELDS,
    version=2,
    added=PROBE_COLUMNS,
    optional=PROBE_COLUMNS,
)

ROLLOUTS: Table[RolloutRow] = _declare(
    "rollouts",
    "one rollout",
    _field("step", _I, "optimiser step"),
    _field("rank", _I, "process"),
    _field("question_id", _S, "question"),
    _field("view", _S, "view of the video that the prompt had"),
    _field("sample", _I, "number within the view, from 0"),
    _field("text", _S, "completion"),
    _null("answer", _S, "extracted answer; null if none"),
    _field("rewards", _REWARDS, "reward parts; the part named total is what the advantage used"),
    _field("advantage", _F, "normalised over the pooled group"),
    _field("n_tokens", _I, "completion tokens, end of turn included"),
    _field("perturbed_objects", pa.list_(pa.int64()), "objects perturbed in the view"),
)

_CLAIMS = pa.list_(
    pa.struct(
        [
            ("kind", pa.string()),
            ("name", pa.string()),
            ("category", pa.string()),
            ("start", pa.int64()),
            ("end", pa.int64()),
        ]
    )
)

CLAIMS: Table[ClaimRow] = _declare(
    "claims",
    "one answer, or one rollout of a training, and the objects that its thought names",
    _field("run", _S, "run"),
    _null("benchmark", _S, "benchmark; null for a rollout"),
    _null("step", _I, "optimiser step; null for an answer to a benchmark"),
    _field("question_id", _S, "question"),
    _field("question_type", _S, "question type"),
    _null("space_id", _S, "physical space; null for general data"),
    _field("view", _S, "video | a probe; of a rollout: view of the video that the prompt had"),
    _field("sample", _I, "0, 1, ..."),
    _field("text", _S, "completion"),
    _null("queried", _I, "names of objects that question or options name; null = not judged"),
    _null("context", _I, "names of objects that the scene has and the question does not name"),
    _null("absent", _I, "names of objects that the scene does not have, of a category that its dataset counts"),
    _null("unknown", _I, "names of things that nobody counts in this dataset"),
    _field("mentions", _CLAIMS, "every name: kind, name, category or null, characters [start, end) of the text"),
    _null("reason", _S, "why the thought was not judged; null if it was"),
)

CLAIM_SHARES: Table[ClaimShareRow] = _declare(
    "claim_shares",
    "one share of the answers or of the names in their thoughts, of one run, view and question type",
    _field("run", _S, "run"),
    _null("benchmark", _S, "benchmark; null for rollouts"),
    _field("view", _S, "video | a probe; of rollouts: view of the video that the prompt had"),
    _null("step", _I, "first optimiser step of the rollouts; null for answers to a benchmark"),
    _null("last_step", _I, "last one"),
    _field("question_type", _S, "question type; overall for all answers"),
    _field("measure", _S, "answers (naming the kind) | mentions (of the kind) | changed | changed_minus_context"),
    _null("kind", _S, "queried | context | absent; null for changed answers"),
    _field("share", _F, "0 to 1; a difference: -1 to 1"),
    _null("low", _F, "95 % interval, over physical spaces; null = one space"),
    _null("high", _F, "its upper end"),
    _field("n", _I, "answers; of mentions: names; of changed: questions"),
    _field("spaces", _I, "physical spaces that these are about"),
)

# --- evaluation and report -------------------------------------------------------------------------------------------

SCORES: Table[ScoreRow] = _declare(
    "scores",
    "one score of one run on one benchmark",
    _field("run", _S, "run"),
    _field("benchmark", _S, "benchmark"),
    _field("task", _S, "question type as the benchmark aggregates it; overall for the average"),
    _field("view", _S, "video | a probe; seen, seen_PROBE = video minus black, minus PROBE; random | frequent guess"),
    _field("score", _F, "percent"),
    _null(
        "low",
        _F,
        "percent; 95 % interval of seen, over physical spaces, all tasks together (Bonferroni); null = one space, or "
        "another view",
    ),
    _null("high", _F, "percent"),
    _field("n", _I, "questions"),
    _null("well_formed", _F, "share of answers in the requested format"),
    _null("readable", _F, "share of answers whose thought can be judged: the geometric teacher's words"),
    _null("consistent", _F, "share of the readable thoughts that lead to the answer given"),
    _null("mapped", _F, "share of answers with a cognitive map, given or drawn, whose scene has a true one"),
    _null("map_accuracy", _F, "mean accuracy of those maps, 0 to 1 (SpaceR, equation 4)"),
    _null("map_accuracy_code", _F, "the same by the rule of SpaceR's release"),
    _field(
        "rests_on",
        _STRINGS,
        "results that the user keeps (key `keep`) and the score depends on; empty = this study made all of them",
    ),
    _null("scorer", _S, "scorer of the texts; the first of a run is the official one; null for guesses"),
    _null("settings", _S, "settings of the answers, in one line; null for guesses"),
    _null("part", _S, 'part of the benchmark, such as "scannet, 2071 of 5130"; null = the whole'),
    _null("model_digest", _S, "digest of the weights, from model.json; null for guesses, or where it is unknown"),
    version=6,
    optional=("mapped", "map_accuracy", "map_accuracy_code"),
)

REPORT: Table[ReportRow] = _declare(
    "report",
    "one cell of a table of a paper",
    _field("table", _S, "file of report/paper, such as table1 or spacer_table1"),
    _field("row", _S, "row label"),
    _field("column", _S, "column label"),
    _null("paper", _F, "the paper's number; null = it prints none"),
    _null("ours", _F, "ours; null = not run"),
    _null("n", _I, "questions behind ours"),
    _field("note", _S, "remark for the reader: not run, preset, fallback"),
)

STUDY: Table[StudyRow] = _declare(
    "study",
    "one measure of one arm of a study, and its paired difference from the baseline",
    _field("arm", _S, "arm: runs that differ by seed alone, such as vanilla; pilot in the table of the design"),
    _field("measure", _S, "score | a probe whose score it is | seen, seen_PROBE | queried, context, absent (of names)"),
    _field("value", _F, "percent, mean over seeds"),
    _null("difference", _F, "points, arm minus baseline; null for baseline and pilot"),
    _null("low", _F, "95 % interval of the difference, over seeds and rooms"),
    _null("high", _F, "its upper end"),
    _null("error", _F, "standard error of the difference, points"),
    _null("by_seed", pa.list_(pa.float64()), "difference of each seed, points"),
    _null(
        "detectable", _F, "smallest difference that the design detects, points, stated from the pilot; null = no pilot"
    ),
    _field("seeds", _I, "seeds of the arm"),
    _field("rooms", _I, "physical spaces that its answers are about"),
    _null(
        "generated_tokens", _F, "tokens that a run of the arm drew in its training, mean over seeds; null = not given"
    ),
    _null("gradient_tokens", _F, "those of rollouts in the loss"),
    _field("rests_on", _STRINGS, "kept rules and runs that it depends on"),
    version=2,
    added=("generated_tokens", "gradient_tokens"),
)
