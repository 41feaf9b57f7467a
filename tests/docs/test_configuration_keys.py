"""Configuration keys that documents name exist."""

import re
from pathlib import Path

from rollout3d import config

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "config" / "README.md", *sorted((ROOT / "docs").glob("**/*.md"))]
SECTIONS = {name for name, info in config.Config.model_fields.items() if hasattr(info.annotation, "model_fields")}
NAMED = re.compile(rf"`((?:{'|'.join(sorted(SECTIONS))})\.[\w.]+)[`: ,)]")
NO_KEYS = re.compile(r"\.(py|md|tsv|csv|yaml|json|parquet|zip|NAME)$")


def exists(key: str) -> bool:
    """Return whether a dotted key leads to a field; below a dictionary every name does."""
    model = config.Config
    for name in key.split("."):
        if not hasattr(model, "model_fields"):
            return True
        if name not in model.model_fields:
            return False
        model = model.model_fields[name].annotation
    return True


def test_keys_that_documents_name_exist():
    found = [
        f"{page.relative_to(ROOT)}: {key}"
        for page in PAGES
        for key in NAMED.findall(page.read_text())
        if not NO_KEYS.search(key) and not exists(key)
    ]
    assert not found, "\n".join(found)
    assert exists("grpo.beta") and not exists("grpo.nothing")


def test_every_preset_is_listed():
    listed = re.findall(r"^\| `(\w+)` \|", (ROOT / "config" / "README.md").read_text(), re.MULTILINE)
    missing = [path.stem for path in (ROOT / "config" / "presets").glob("*.yaml") if path.stem not in listed]
    assert not missing
