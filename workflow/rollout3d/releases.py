"""Where the raw releases are expected, and how a user gets them: texts shared by the Snakefile and the readers."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

_HOW = {
    "scannet": (
        "scans",
        "sign the ScanNet Terms of Use (http://www.scan-net.org), then download with the script you are sent: .sens, "
        ".txt, _vh_clean_2.ply, segs.json and aggregation.json of each scan into scans/, with "
        "scannetv2-labels.combined.tsv and scannetv2_{train,val}.txt beside it",
    ),
    "scannetpp": (
        "data",
        "apply for ScanNet++ (https://kaldir.vc.in.tum.de/scannetpp), then download the iphone and scans assets into "
        "data/, with splits/ and metadata/ beside it",
    ),
    "arkitscenes": (
        "raw",
        "download ARKitScenes (https://github.com/apple/ARKitScenes, Apple's licence): raw/ with vga_wide, "
        "lowres_depth, trajectories, meshes and annotations, and raw/metadata.csv",
    ),
    "vsibench": (
        "",
        "download nyu-visionx/VSI-Bench from Hugging Face: the question file, and scannet.zip, scannetpp.zip and "
        "arkitscenes.zip as they are (unpacked folders <dataset>/<scene>.mp4 do, too)",
    ),
}

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
"""Training file, by its key in `site.external` -> its name, and how to get it."""


SPLITS = ("train", "val", "test")

SCANNET_SPLITS = ("scannetv2_{}.txt", "scannetv1_{}.txt")
"""Split files of ScanNet's two versions, by split."""
SCANNET_LABELS = ("scannetv2-labels.combined.tsv", "scannet-labels.combined.tsv")
"""Label tables of both versions; the download of version 2 holds both, and its own goes first."""
SCANNETPP_SPLITS = {"train": "nvs_sem_train.txt", "val": "nvs_sem_val.txt", "test": "sem_test.txt"}
"""Files in ScanNet++'s splits/, by split."""


class MissingData(FileNotFoundError):
    """A release is not where the configuration says; the message is all that a user needs."""


def missing(name: str, root: Path | str) -> str | None:
    """What to tell the user if the release `name` is not at `root`; None if it is there."""
    folder, how = _HOW[name]
    expected = Path(root) / folder
    if expected.is_dir() or (name == "arkitscenes" and (Path(root) / "3dod").is_dir()):
        return None
    return (
        f"{name}: nothing at {expected}. To get it: {how}. "
        f"If it lies elsewhere, say so in config/local.yaml (config/README.md): site.{_key(name)}.{name}"
    )


def missing_lists(name: str, root: Path | str, splits: Iterable[str]) -> list[str]:
    """Messages about lists that the release at `root` lacks: scans of each split, and ScanNet's label table.

    Empty if nothing is missing. ARKitScenes needs none: its folders say what they are.
    """
    root = Path(root)
    wanted: list[tuple[Path, list[Path]]] = []
    if name == "scannet":
        wanted = [(root, [root / file.format(split) for file in SCANNET_SPLITS]) for split in splits]
        wanted.append((root, [root / file for file in SCANNET_LABELS]))
    elif name == "scannetpp":
        wanted = [(root / "splits", [root / "splits" / SCANNETPP_SPLITS[split]]) for split in splits]
    return [
        f"{name}: no {files[0].name} in {folder}. It comes with the download: {_HOW[name][1]}"
        for folder, files in wanted
        if not any(file.is_file() for file in files)
    ]


def missing_benchmark(name: str, root: Path | str, datasets: Iterable[str] = ()) -> list[str]:
    """Messages about what the benchmark `name` at `root` lacks: question files, videos of `datasets` (default: all)."""
    absent = missing(name, root)
    if absent or name != "vsibench":
        return [absent] if absent else []
    root, how = Path(root), _HOW[name][1]
    found = []
    if not (root / "test.jsonl").is_file() and not any(root.glob("test*.parquet")):
        found.append(f"{name}: no questions (test.jsonl or test*.parquet) in {root}. To get them: {how}")
    for dataset in list(datasets) or ("scannet", "scannetpp", "arkitscenes"):
        if not (root / f"{dataset}.zip").is_file() and not any((root / dataset).glob("*.mp4")):
            found.append(f"{name}: no videos in {root / dataset}, and no {dataset}.zip. To get them: {how}")
    return found


def missing_file(source: str, path: str | None) -> str | None:
    """What to tell the user if the training file `source` is not configured (None) or not at `path`; None if it is."""
    name, how = _FILES[source]
    if path and Path(path).is_file():
        return None
    fault = f"no file {path}" if path else "not configured"
    return (
        f"{source}: {fault}. To get it: {how}. Then set site.external.{source} to the path of {name} in "
        "config/local.yaml (config/README.md)"
    )


def _key(name: str) -> str:
    return "benchmarks" if name == "vsibench" else "roots"


def require(name: str, root: Path | str) -> None:
    """Raise `MissingData` if the release `name` is not at `root`."""
    message = missing(name, root)
    if message:
        raise MissingData(message)
