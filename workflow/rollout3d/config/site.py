"""The section of the configuration that names places on this machine."""

from __future__ import annotations

from typing import Literal

from rollout3d.config.base import Share
from rollout3d.config.choices import RELEASED_BENCHMARKS, DatasetName, ReleasedBenchmark
from rollout3d.config.names import Address, SitePath
from rollout3d.config.sections import PAPER_DATASETS, Section

ExternalName = Literal["spacer", "vlm3r_route", "vlm3r_order", "video_r1", "video_r1_cot"]


class Site(Section):
    """Paths of this machine and the state of its data, for config/local.yaml."""

    roots: dict[DatasetName, SitePath] = {name: f"data/{name}" for name in PAPER_DATASETS}
    """Directory of each release, as downloaded. [assumed]"""
    splits: dict[DatasetName, SitePath] = {}
    """Folder of a release's split lists (ARKitScenes: of its tables), by dataset, if they lie neither in the release
    nor beside it, such as Tasks/Benchmark of a clone of ScanNet's repository. [assumed]"""
    max_drop_share: Share = 0.05
    """Share of a dataset's scans on disk that may be damaged; each is dropped with its reason. A job sees a part of the
    dataset (a shard; the metadata files of ingest-meta, audit and questions) and stops with one error when so many of
    its scans are damaged that this would happen in less than 1 such part of 100 if the dataset had this share. 0 = none
    may be; 1 = never stop. [assumed]"""
    benchmarks: dict[ReleasedBenchmark, SitePath] = {name: f"data/{name}" for name in RELEASED_BENCHMARKS}
    """Directory of each released benchmark. [assumed]"""
    boxes: SitePath | None = None
    """VSI-Bench's published boxes: its *_meta_info_val.json, or the folder that holds them. True maps of its scenes
    (evaluation.given_map, accuracy of drawn maps) are made of them; null = of the raw scans, as far as
    datasets.<name>.splits.test holds them. [assumed]"""
    external: dict[ExternalName, SitePath] = {}
    """Released training files, by source: spacer, vlm3r_route, vlm3r_order, video_r1, video_r1_cot. [assumed]"""
    models: dict[str, SitePath] = {}
    """Directory of a model, by model key; without one the Hugging Face name is loaded. [assumed]"""
    python: dict[Literal["scenes", "train", "vllm", "api", "report"], SitePath] = {}
    """Interpreter of an environment (a file of envs/), such as `vllm: /envs/vllm/bin/python`, for rules that name that
    environment; the others run in the one that runs Snakemake. `--sdm conda` makes its own instead. [assumed]"""
    openai_base_url: Address | None = None
    """Address of an OpenAI-compatible server; null = OpenAI. The key comes from OPENAI_API_KEY. [assumed]"""
