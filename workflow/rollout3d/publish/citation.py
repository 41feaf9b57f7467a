"""The section of a card that says what to cite, from CITATION.cff."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import yaml

from rollout3d.resources import shipped

FILE = shipped("CITATION.cff")


def citation() -> str:
    """Return BibTeX entries of this software and of the papers that it implements."""
    about = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    entries = [_entry(about, "software"), *(_entry(each, "article") for each in about["references"])]
    return "Cite the papers, and the software that made this:\n\n```bibtex\n" + "\n".join(entries) + "\n```"


def _entry(about: Mapping[str, Any], kind: str) -> str:
    """Return one entry; `about`: a work as CITATION.cff describes it."""
    authors = about["authors"]
    names = [
        f"{each['family-names']}, {each['given-names']}" if "family-names" in each else f"{{{each['name']}}}"
        for each in authors
    ]
    year = str(about.get("year") or about["date-released"])[:4]
    number = next((each["value"] for each in about.get("identifiers", []) if "arXiv" in each["value"]), None)
    first = re.sub(r"\W", "", str(authors[0].get("family-names") or about["title"].split(":")[0])).lower()
    word = re.sub(r"\W", "", about["title"].split()[0]).lower()
    fields = {
        "title": f"{{{about['title']}}}",
        "author": " and ".join(names) + (" and others" if len(authors) == 1 and kind == "article" else ""),
        "year": year,
        "version": about.get("version"),
        "journal": f"arXiv preprint {number}" if number else None,
        "url": about.get("url"),
        "note": about.get("notes"),
    }
    held = ",\n".join(f"  {name} = {{{value}}}" for name, value in fields.items() if value)
    return f"@{'misc' if kind == 'software' else 'article'}{{{first}{year}{word},\n{held}\n}}"
