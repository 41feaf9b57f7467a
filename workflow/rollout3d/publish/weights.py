"""Weights in files of the size that the Hub and its clients expect."""

from __future__ import annotations

import json
from pathlib import Path

from rollout3d.model.directory import INDEX, weight_files

MAX_BYTES = 5 * 10**9
"""Bytes of a file of weights, at most, unless one tensor alone has more; clients download the files in parallel."""


def shard(folder: Path, max_bytes: int = MAX_BYTES) -> list[str]:
    """Split the weights of a model's folder into files of at most `max_bytes`, in place; return their names.

    Several files are `model-00001-of-0000N.safetensors`, listed in `model.safetensors.index.json` as transformers does.
    Files that are small enough stay as they are. One new file at a time is held in memory.
    """
    from safetensors import safe_open
    from safetensors.torch import save_file

    given = weight_files(folder)
    if all(path.stat().st_size <= max_bytes for path in given):
        return [path.name for path in given]
    sizes: dict[str, tuple[Path, int]] = {}
    for path in given:
        with safe_open(path, framework="pt") as file:
            for name in file.keys():  # noqa: SIM118 (no mapping)
                tensor = file.get_tensor(name)
                sizes[name] = (path, tensor.numel() * tensor.element_size())
    parts = _parts({name: size for name, (_, size) in sizes.items()}, max_bytes)
    names = [f"model-{i:05d}-of-{len(parts):05d}.safetensors" for i in range(1, len(parts) + 1)]
    for part, name in zip(parts, names, strict=True):
        held = {}
        for path in dict.fromkeys(sizes[tensor][0] for tensor in part):
            with safe_open(path, framework="pt") as file:
                held |= {tensor: file.get_tensor(tensor) for tensor in part if sizes[tensor][0] == path}
        save_file(held, folder / f".{name}", metadata={"format": "pt"})
    for path in given:
        path.unlink()
    for name in names:
        (folder / f".{name}").rename(folder / name)
    where = {tensor: name for part, name in zip(parts, names, strict=True) for tensor in part}
    index = {"metadata": {"total_size": sum(size for _, size in sizes.values())}, "weight_map": where}
    (folder / INDEX).write_text(json.dumps(index, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    return names


def _parts(sizes: dict[str, int], max_bytes: int) -> list[list[str]]:
    """Return names of tensors in order, in parts of at most `max_bytes`, or of one tensor."""
    parts: list[list[str]] = []
    held = 0
    for name, size in sizes.items():
        if not parts or held + size > max_bytes:
            parts.append([])
            held = 0
        parts[-1].append(name)
        held += size
    return parts
