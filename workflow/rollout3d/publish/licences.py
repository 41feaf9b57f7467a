"""Licences of what is published: of a base model's weights, and of questions made from releases with terms."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from rollout3d.errors import InvalidInput
from rollout3d.report.about import LICENCE

OTHER = "other"
"""The Hub's identifier of a licence that is not on its list."""
FILE = "LICENSE.md"
"""File of a published dataset with the terms of its sources."""
OWN_KINDS = ("shipped", "tiny")
"""Kinds of models that this project trained from scratch, on rooms of its own."""
NO_REDISTRIBUTION = ("scannet", "scannetpp")
"""Releases whose terms forbid to pass on pictures of their scans."""


@dataclass(frozen=True)
class Licence:
    """Licence of weights or data. `id`: as the Hub writes it; `name`, `link`: of a licence that is not on its list."""

    id: str
    name: str | None = None
    link: str | None = None
    about: str = ""
    """One sentence for readers, without a full stop."""

    @property
    def metadata(self) -> dict[str, str | None]:
        """Entries of the front matter."""
        return {"license": self.id, "license_name": self.name, "license_link": self.link}


_QWEN = "https://huggingface.co/Qwen/Qwen2.5-VL-{}-Instruct/blob/main/LICENSE"
BASES = {
    "Qwen/Qwen2.5-VL-3B-Instruct": Licence(
        OTHER,
        "qwen-research",
        _QWEN.format("3B"),
        "Qwen RESEARCH LICENSE AGREEMENT, which allows research and evaluation and no commercial use",
    ),
    "Qwen/Qwen2.5-VL-7B-Instruct": Licence("apache-2.0", about="Apache-2.0"),
}
"""Base model -> licence of its weights, which covers what is trained from them. [the models' pages on the Hub]"""


def of_base(name: str, kind: str, given: str | None = None, link: str | None = None) -> Licence:
    """Return the licence of a base model's weights.

    `given`, `link`: what the user states, for a base model whose licence is not known here. Raises InvalidInput without
    it, for a statement that contradicts a known licence, and for a licence outside the Hub's list without a link.
    """
    known = (
        Licence(LICENCE.lower(), about=f"{LICENCE} (this project trained it from scratch)")
        if kind in OWN_KINDS
        else None
    )
    known = known or BASES.get(name)
    if known:
        if given and given.lower() not in (known.id, known.name):
            raise InvalidInput(f"--license {given}: the licence of {name} is {known.name or known.id}; leave it out")
        return known
    if not given:
        raise InvalidInput(
            f"the licence of the base model {name} is not known here: read it, and state it with --license ID, such as "
            "--license apache-2.0; of a licence that is not on the Hub's list, its name and --license-link URL"
        )
    if link:
        return Licence(OTHER, given.lower(), link, f"{given}, as stated by whoever published this model")
    return Licence(given.lower(), about=f"{given}, as stated by whoever published this model")


def of_data(synthetic: bool, sources: Collection[str], general: bool) -> Licence:
    """Return the licence of published questions: ours if all of it was rendered and generated here, else the terms of
    the sources. `sources`: values of the column `source`."""
    if synthetic and not general and set(sources) <= {"generated"}:
        return Licence(LICENCE.lower(), about=LICENCE)
    return Licence(OTHER, "terms-of-the-sources", FILE, "the terms of the sources, listed below")
