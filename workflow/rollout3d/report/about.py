"""Origin of the page's results: date, version, commits, software, configuration, licence.

The page does not hold the time at which it was made, so that the same results give the same page. Its date is the day
of the newest result that it shows, from the notes beside the results (`rollout3d.provenance`). The time of the page
itself is noted there too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rollout3d import provenance, tables
from rollout3d.config import Config
from rollout3d.config.keys import has_effect, leaves
from rollout3d.resources import version
from rollout3d.scenes import datasets

LICENCE = "Apache-2.0"
"""Licence of the code; a test compares it with pyproject.toml."""
NOT_SHOWN = ("site", "results", "rebuild")
"""Keys that are paths of a machine, or decide where results are stored."""
SOFTWARE = ("torch", "transformers", "vllm", "numpy", "pyarrow")


@dataclass(frozen=True)
class About:
    """Facts on the page about the study as a whole."""

    date: str | None = None
    """Day (UTC) of the newest result; None without results."""
    version: str | None = None
    """Version of rollout3d."""
    commits: tuple[str, ...] = ()
    """Commits that made the results, that of the newest result last; `+` marks a clone with changes of its own."""
    software: tuple[str, ...] = ()
    digest: str = ""
    """First digits of a digest of the configuration, this machine's paths left out."""
    changed: tuple[tuple[str, str, str], ...] = ()
    """Keys whose value is not the paper's: key, value, the paper's value."""
    licences: tuple[str, ...] = ()


def about(files: Iterable[Path | str], results: Path | None, values: Mapping[str, Any]) -> About:
    """Collect the origin of the tables `files` of the folder `results`.

    `values`: every key of the configuration. Without notes beside the results (stages run by hand) the date is that of
    the newest file, and the commit is this clone's.
    """
    made = sorted(_notes(list(files), results), key=lambda note: note["at"])
    commits = list(dict.fromkeys(note["commit"] or "outside git" for note in reversed(made)))[::-1]
    software = {name: {n["versions"][name] for n in made if name in n["versions"]} for name in SOFTWARE}
    config = Config.model_validate({**values, "site": {}})
    shown = {key: value for key, value in leaves(config) if has_effect(key) and key.split(".")[0] not in NOT_SHOWN}
    return About(
        date=made[-1]["at"].strftime("%Y-%m-%d") if made else None,
        version=version(),
        commits=tuple(commits or [provenance.commit() or "outside git"]),
        software=tuple(f"{name} {' and '.join(sorted(found))}" for name, found in software.items() if found),
        digest=tables.digest(shown)[:12],
        changed=tuple(_changed(shown)),
        licences=tuple(_licences(config)),
    )


def _notes(files: Sequence[Path | str], results: Path | None) -> list[dict[str, Any]]:
    """Return the notes on how tables were made (`at`, `commit`, `versions`); file times alone if there are no notes."""
    found = []
    for path in files:
        if results is None:
            break
        lineage = tables.Lineage.from_dict(tables.lineage(path))
        noted = provenance.read(results, lineage.stage, lineage.identity)
        if noted:
            at = datetime.fromisoformat(noted["started"]).astimezone(UTC)
            found.append({"at": at, "commit": noted["commit"], "versions": noted["versions"]})
    if found:
        return found
    times = [datetime.fromtimestamp(Path(path).stat().st_mtime, UTC) for path in files]
    return [{"at": at, "commit": commit, "versions": {}} for commit in [provenance.commit()] for at in times]


def _changed(shown: Mapping[str, Any]) -> Iterable[tuple[str, str, str]]:
    paper = dict(leaves(Config()))
    for key, value in shown.items():
        if key not in paper or value != paper[key]:
            yield key, _text(value), _text(paper[key]) if key in paper else "no such key"
    for key in paper:
        replaced = key in shown or any(each.startswith(f"{key}.") for each in shown)
        if not replaced and has_effect(key) and key.split(".")[0] not in NOT_SHOWN:
            yield key, "left out", _text(paper[key])


def _text(value: Any) -> str:
    return value if isinstance(value, str) else tables.canonical_json(value)


def _licences(config: Config) -> Iterable[str]:
    yield f"Code: {LICENCE}."
    if config.toyworld is not None:
        yield "The scenes are synthetic, made by that code."
        return
    terms = ", ".join(datasets.load(name).RELEASE.terms for name in config.datasets)
    yield f"Pictures, maps and questions made from scans stay under the terms of their release: {terms}."
    yield "Read them before you pass this page on."
