"""Which scan a released record is about: from its fields, and from paths and addresses in any form.

A scan is known by the form of its name (`scene0000_00` ScanNet, ten hexadecimal digits ScanNet++, eight digits
ARKitScenes) wherever it stands in a path, on any machine. Names in another form count only beside their dataset.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import unquote, urlsplit

from rollout3d.config import DATASETS
from rollout3d.imports.records import Unusable, text_of

_SCENE_KEYS = ("scene_name", "scene_id", "scene")
_PATH_KEYS = ("video", "path", "video_path", "videos", "video_id", "images", "image")
_DATASET_KEYS = ("dataset", "data_source", "dataset_name")

_FORMS: dict[str, re.Pattern[str]] = {
    # SpatialEvo names the scans of all datasets as ScanNet's: scene410c470782_00, scene45261725_00.
    "scannet": re.compile(r"(?<![a-z0-9])(scene\d{4}_\d{2})(?!\d)"),
    "scannetpp": re.compile(r"(?<![a-z0-9])(?:scene(?=[0-9a-f]{10}_\d\d(?!\d)))?([0-9a-f]{10})(?![a-z0-9])"),
    "arkitscenes": re.compile(r"(?<![a-z0-9])(?:scene(?=\d{8}_\d\d(?!\d)))?(4\d{7})(?![a-z0-9])"),
}
_PLAIN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_+-]*")
_DATASET = re.compile(r"^(scannetpp|scannet|arkitscenes?)(?:pp)?(?:v\d)?(?:_|$|[^a-z])", re.I)


def scan_of(record: Mapping[str, Any]) -> tuple[str, str]:
    """Dataset and scan of a record. Raises Unusable if there is none, or if two are named."""
    stated = [text_of({key: str(record[key])}, key) for key in _SCENE_KEYS if _is_name(record.get(key))]
    paths = [parts for key in _PATH_KEYS for parts in _paths(record.get(key))]
    if not stated and not paths:
        raise Unusable("unknown scan", "no scene_name, video or path")
    datasets = list(dict.fromkeys(d for text in _said(record, paths) if (d := _dataset(text))))
    names = [[text] for text in stated] + paths
    found = {scan for parts in names if (scan := _scan(parts, datasets))}
    if len(found) > 1:
        raise Unusable("ambiguous scan", " and ".join(sorted("/".join(scan) for scan in found))[:80])
    if found:
        return found.pop()
    name = stated[0] if stated else re.sub(r"\.\w{1,5}$", "", paths[0][-1])
    if len(datasets) != 1 or datasets == ["scannet"] or not _PLAIN_NAME.fullmatch(name):
        raise Unusable("unknown scan", f"{name[:60]}: of which dataset?")
    return datasets[0], name


def _scan(parts: list[str], datasets: list[str]) -> tuple[str, str] | None:
    """The scan that parts of one path name, the last part first; the form must fit the dataset, if one is named."""
    for part in reversed(parts):
        for dataset, form in _FORMS.items():
            match = form.search(part.lower())
            sure = dataset == "scannet" or dataset in datasets
            # Ten digits without a letter are a time as often as a scan of ScanNet++.
            if match and (sure or (not datasets and not (dataset == "scannetpp" and match[1].isdigit()))):
                return dataset, match[1]
    return None


def _said(record: Mapping[str, Any], paths: list[list[str]]) -> Iterator[str]:
    for key in _DATASET_KEYS:
        if isinstance(record.get(key), str):
            yield record[key]
    for parts in paths:
        yield from parts


def _dataset(text: str) -> str | None:
    """The dataset that a field or a part of a path names: "ScanNet++", "scannetppv2", "ARKitScenes_scannet_like"."""
    found = _DATASET.match(text.lower().replace("+", "p").replace("-", "_").replace(" ", ""))
    if not found:
        return None
    name = "arkitscenes" if found[1].startswith("arkit") else found[1]
    return name if name in DATASETS else None


def _paths(value: Any) -> Iterator[list[str]]:
    """Parts of the paths that a field holds: a text, or a list of texts. Schemes, queries and drive letters are cut."""
    for text in value if isinstance(value, list) else [value]:
        if not isinstance(text, str) or not text.strip():
            continue
        text = text_of({"path": text}, "path").replace("\\", "/")
        if "://" in text:
            text = unquote(urlsplit(text).path)
        parts = [
            part for part in text.split("/") if part not in ("", ".", "..") and not re.fullmatch(r"[A-Za-z]:", part)
        ]
        if parts:
            yield parts


def _is_name(value: Any) -> bool:
    return isinstance(value, str | int) and not isinstance(value, bool) and bool(str(value).strip())
