"""One check on one GPU, at most eight minutes, no network: `make gpu-check [DRY=1] [OUT=folder]`.

A GRPO step of OCR by the trainer's own code, at its true sizes: random weights in the shape of Qwen2.5-VL-3B, 16 frames
of 280x364, a clean and a perturbed view, 8 rollouts, a prompt of about 1,260 tokens, completions of 300 to 768 tokens,
one packed update. Three parts, each in a process of its own, with its seconds and their floors, its peak memory
and that of `rollout3d plan`, and model FLOP utilisation:

- LoRA of rank 64, plain engine, transformers sampling;
- everything trained, as one of eight processes under ZeRO-2 (see `zero2_share.py`), transformers sampling;
- the same with vLLM in the process: seconds to pass the weights to it, and the gap between sampler and trainer. Where
  vLLM cannot be imported: "vLLM not measured".

768 tokens are sampled and the rollouts cut to their lengths. A part that fails, or for which no time is left, is named
with the reason. It runs with the installed torch and reports its version. The result is `gpu_check.md` and
`gpu_check.json` in the folder. Without a GPU, or with DRY=1, a tiny model in float32 takes the same steps on the CPU;
its memory is not measured. This check has not been run on a GPU yet.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

MINUTES = 8.0
PARTS = ("LoRA", "ZeRO-2, one of eight", "ZeRO-2, one of eight, vLLM")
LEAST_S = 60.0
"""Seconds below which no further part begins."""
CODE = Path(__file__).with_name("gpu_check_part.py")


def check(dry: bool, minutes: float = MINUTES) -> dict[str, Any]:
    """Run every part for which there is time; return the content of the files."""
    started = time.monotonic()
    found: dict[str, Any] = {"dry": dry, "machine": {}, "parts": []}
    with tempfile.TemporaryDirectory() as folder:
        for number, name in enumerate(PARTS):
            left = 60 * minutes - (time.monotonic() - started)
            part = {"not_measured": "no time left"} if left < LEAST_S else _part(number, Path(folder), left, dry)
            found["machine"] = found["machine"] or part.pop("machine", {})
            found["dry"] = part.pop("dry", found["dry"])
            part.pop("machine", None)
            found["parts"].append({"name": name, **part})
    found["seconds"] = time.monotonic() - started
    return found


def _part(number: int, folder: Path, left: float, dry: bool) -> dict[str, Any]:
    """Run one part in a process of its own, for at most `left` seconds."""
    if "vLLM" in PARTS[number] and not _installed("vllm"):
        return {"not_measured": "vLLM is not installed here"}
    result = folder / f"{number}.json"
    # All parts start from the same random weights.
    share = left / (len(PARTS) - number)
    command = [sys.executable, str(CODE), str(number), str(folder / "weights"), str(result), str(share)]
    try:
        done = subprocess.run([*command, *(["--dry"] if dry else [])], timeout=left, stderr=subprocess.PIPE, text=True)
    except subprocess.TimeoutExpired:
        return {"not_measured": f"it did not end within {left:.0f} s"}
    if done.returncode or not result.exists():
        print(done.stderr, file=sys.stderr)
        last = [line for line in done.stderr.splitlines() if line.strip()][-1:]
        return {"not_measured": last[0] if last else f"it ended with status {done.returncode}"}
    return json.loads(result.read_text())


def _installed(package: str) -> bool:
    """Return whether there is such a package; a folder of that name alone is none."""
    spec = importlib.util.find_spec(package)
    return spec is not None and spec.origin is not None


def markdown(found: dict[str, Any]) -> Iterator[str]:
    """Yield the lines of the result as a Markdown page."""
    yield "# GPU check" + (
        " (dry: a tiny model on the CPU; its figures are not those of a GPU)" if found["dry"] else ""
    )
    yield ""
    yield ", ".join(f"{name} {value}" for name, value in found["machine"].items())
    yield f"({found['seconds']:.0f} seconds in all)"
    for part in found["parts"]:
        yield ""
        if "not_measured" in part:
            yield f"{'vLLM' if 'vLLM' in part['name'] else part['name']} not measured: {part['not_measured']}"
            continue
        yield f"## {part['name']}"
        yield ""
        yield "| phase | seconds | floor |"
        yield "|---|---|---|"
        for phase, spent in part["seconds"].items():
            floor = part["floors"].get(phase)
            yield f"| {phase} | {spent:.3g} | {'' if floor is None else f'{floor:.3g}'} |"
        yield f"| step | {sum(part['seconds'].values()):.3g} | {sum(part['floors'].values()):.3g} |"
        yield ""
        peak = part["card_peak"]
        yield (
            f"Model FLOP utilisation {part['utilisation']:.1%}, with recomputation "
            f"{part['utilisation_with_recomputation']:.1%}: {part['tflop']:.3g} TFLOP in {part['training_s']:.3g} s, "
            f"{peak['flops'] / 1e12:.3g} TFLOP/s and {peak['bandwidth'] / 1e12:.3g} TB/s at most ({peak['source']})."
        )
        gap = "an unknown number of" if part["gap_nats"] is None else f"{part['gap_nats']:.2g}"
        yield (
            f"Prompt of {part['prompt_tokens']} tokens, {part['visual_tokens']} visual; {part['generated_tokens']} "
            f"tokens generated, {part['trained_tokens']} trained on; sampler and trainer differ by {gap} nats per "
            "token."
        )
        if part["reload_s"] is not None:
            yield f"Passing the weights to vLLM takes {part['reload_s']:.3g} s."
        yield ""
        yield from _memory(part)


def _memory(part: dict[str, Any]) -> Iterator[str]:
    plan = part["planned_gib"]
    yield "| GiB | planned |"
    yield "|---|---|"
    for name, size in plan.items():
        yield f"| {name} | {size:.3g} |"
    yield f"| allocated, planned | {sum(size for name, size in plan.items() if name != 'overhead'):.3g} |"
    for key, named in (("peak_gib", "allocated"), ("reserved_gib", "reserved")):
        size = part[key]
        yield f"| {named}, measured | {'not measured on a CPU' if size is None else f'{size:.3g}'} |"


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("results/gpu_check"), help="folder of the result")
    parser.add_argument("--dry", action="store_true", help="a tiny model on the CPU")
    parser.add_argument("--minutes", type=float, default=MINUTES, help="limit; parts beyond it are left out")
    args = parser.parse_args(arguments)
    found = check(args.dry, args.minutes)
    args.out.mkdir(parents=True, exist_ok=True)
    text = "\n".join(markdown(found)) + "\n"
    (args.out / "gpu_check.md").write_text(text)
    (args.out / "gpu_check.json").write_text(json.dumps(found, indent=2) + "\n")
    print(text, end="")
    failed = [part for part in found["parts"] if "not_measured" in part and "vLLM" not in part["name"]]
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
