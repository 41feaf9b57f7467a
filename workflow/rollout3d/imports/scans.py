"""Which scan a released record is about: from its fields, and from paths and addresses in any form.

A scan is known by the form of its name, which its dataset states (`Release.scan_form`), wherever it stands in a path,
on any machine. Names in another form count only beside their dataset.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any
from urllib.parse import unquote, urlsplit

from rollout3d.doors import DATASETS
from rollout3d.imports.records import Unusable, text_of
from rollout3d.scenes import datasets
from rollout3d.scenes.release import Release

_SCENE_KEYS = ("scene_name", "scene_id", "scene")
_PATH_KEYS = ("video", "path", "video_path", "videos", "video_id", "images", "image")
_DATASET_KEYS = ("dataset", "data_source", "dataset_name")

_PLAIN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_+-]*")


@cache
def _releases() -> dict[str, Release]:
    """Releases by dataset; those whose form of names no other dataset has come first."""
    found = [datasets.load(name).RELEASE for name in DATASETS.names]
    return {release.name: release for release in sorted(found, key=lambda release: not release.own_form)}


@cache
def _spelling() -> re.Pattern[str]:
    """Pattern of a text that begins with a dataset's name, in any of its spellings."""
    names = sorted({name for each in _releases().values() for name in (each.name, *each.spellings)}, key=len)
    return re.compile(rf"^({'|'.join(reversed(names))})(?:pp)?(?:v\d)?(?:_|$|[^a-z])", re.I)


def scan_of(record: Mapping[str, Any]) -> tuple[str, str]:
    """Dataset and scan of a record. Raises Unusable if there is none, or if two are named."""
    stated = [text_of({key: str(record[key])}, key) for key in _SCENE_KEYS if _is_name(record.get(key))]
    paths = [parts for key in _PATH_KEYS for parts in _paths(record.get(key))]
    if not stated and not paths:
        raise Unusable("unknown scan", "no scene_name, video or path")
    stated_as = list(dict.fromkeys(d for text in _said(record, paths) if (d := _dataset(text))))
    names = [[text] for text in stated] + paths
    found = {scan for parts in names if (scan := _scan(parts, stated_as))}
    if len(found) > 1:
        raise Unusable("ambiguous scan", " and ".join(sorted("/".join(scan) for scan in found))[:80])
    if found:
        return found.pop()
    name = stated[0] if stated else re.sub(r"\.\w{1,5}$", "", paths[0][-1])
    if len(stated_as) != 1 or _releases()[stated_as[0]].own_form or not _PLAIN_NAME.fullmatch(name):
        raise Unusable("unknown scan", f"{name[:60]}: of which dataset?")
    return stated_as[0], name


def _scan(parts: list[str], named: list[str]) -> tuple[str, str] | None:
    """Return the scan that parts of one path name, the last part first; its form must fit a named dataset, if any."""
    for part in reversed(parts):
        for dataset, release in _releases().items():
            sure = release.own_form or dataset in named
            form = release.scan_form if sure else "" if named else release.scan_form_alone or release.scan_form
            match = re.search(form, part.lower()) if form else None
            if match:
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
    found = _spelling().match(text.lower().replace("+", "p").replace("-", "_").replace(" ", ""))
    if not found:
        return None
    return next(each.name for each in _releases().values() if found[1].lower() in (each.name, *each.spellings))


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
