"""Training files that others publish and a user downloads, and the error for released data that are not there.

Datasets and benchmarks state for themselves how they are downloaded: `scenes/datasets`, `evaluation/benchmarks`.
"""

from __future__ import annotations

from pathlib import Path

from rollout3d.errors import UserError

_FILES = {
    "spacer": (
        "SpaceR-151k.jsonl",
        "follow https://github.com/OuyangKun10/SpaceR to the dataset, and unpack its general data beside the file",
    ),
    "vlm3r_route": (
        "merged_qa_route_plan_train.json",
        "follow https://github.com/VITA-Group/VLM-3R to the dataset, folder vsibench_train",
    ),
    "vlm3r_order": (
        "the JSON file of appearance orders",
        "follow https://github.com/VITA-Group/VLM-3R to the dataset, folder vsibench_train",
    ),
    "video_r1": (
        "Video-R1-260k.json",
        "`hf download Video-R1/Video-R1-data --repo-type dataset --local-dir DIR` (309 GB, "
        "https://huggingface.co/datasets/Video-R1/Video-R1-data), and unpack each archive in the folder where it lies",
    ),
    "video_r1_cot": (
        "Video-R1-COT-165k.json",
        "`hf download Video-R1/Video-R1-data --repo-type dataset --local-dir DIR` (309 GB, "
        "https://huggingface.co/datasets/Video-R1/Video-R1-data), and unpack each archive in the folder where it lies",
    ),
}
"""Training file by its key in `site.external` -> its name, and how to get it."""

_VIDEO_R1 = (
    "Video-R1's release, whose code is under Apache-2.0; its pictures and videos stay under the terms of the "
    "collections that it gathers"
)
_TERMS = {
    "spacer": "SpaceR's release, CC BY-NC 4.0; its scans are ScanNet's, its general data Video-R1's",
    "video_r1": _VIDEO_R1,
    "video_r1_cot": _VIDEO_R1,
}
"""Key of `_FILES` -> terms of the release, where they are known."""


def terms_of(file: str) -> str:
    """Return the terms of an imported training file, by its name; what to do where they are not known."""
    known = {name: _TERMS[source] for source, (name, _) in _FILES.items() if source in _TERMS}
    return known.get(file, "its terms are not known here, so read those of its release before you pass them on")


class MissingData(UserError, FileNotFoundError):
    """Released data are not at the configured path; the message says how to get them."""


def missing_file(source: str, path: str | None) -> str | None:
    """Return a message for the user if the training file `source` is not at `path`; None if it is there.

    `path`: None if none is configured.
    """
    name, how = _FILES[source]
    if path and Path(path).is_file():
        return None
    fault = f"no file {path}" if path else "not configured"
    return (
        f"{source}: {fault}. To get it: {how}. Then set site.external.{source} to the path of {name} in "
        "config/local.yaml (config/README.md)"
    )
