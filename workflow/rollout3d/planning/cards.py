"""Peak rates of GPUs, from their makers' data sheets."""

from __future__ import annotations

from dataclasses import dataclass, replace

from rollout3d.planning.shape import Unplannable

NVLINK_3, NVLINK_4, PCIE_4, PCIE_5 = 300e9, 450e9, 32e9, 64e9
"""Bytes per second in one direction between the GPUs of a node."""


@dataclass(frozen=True)
class Card:
    """Peak rates of one GPU."""

    name: str
    flops: float
    """Operations per second in bfloat16, without sparsity."""
    bandwidth: float
    """Bytes per second of its memory."""
    link: float
    """Bytes per second in one direction to the other GPUs of its node."""

    def derated(self, compute: float, memory: float) -> Card:
        """Return the card at shares of its peaks, 0 to 1: `compute` of operations, `memory` of bytes per second."""
        return replace(self, flops=self.flops * compute, bandwidth=self.bandwidth * memory, link=self.link * memory)


CARDS = (
    Card("GH200", 989e12, 4.0e12, NVLINK_4),
    Card("H200 NVL", 835e12, 4.8e12, PCIE_5),
    Card("H200", 989e12, 4.8e12, NVLINK_4),
    Card("H100 NVL", 835e12, 3.9e12, PCIE_5),
    Card("H100 PCIe", 756e12, 2.0e12, PCIE_5),
    Card("H100", 989e12, 3.35e12, NVLINK_4),
    Card("A100 80GB PCIe", 312e12, 1.935e12, PCIE_4),
    Card("A100-SXM4-80GB", 312e12, 2.039e12, NVLINK_3),
    Card("A100", 312e12, 1.555e12, NVLINK_3),
    Card("L40S", 362e12, 0.864e12, PCIE_4),
    Card("RTX A6000", 154.8e12, 0.768e12, PCIE_4),
    Card("RTX 4090", 165.2e12, 1.008e12, PCIE_4),
)
"""Known cards. The name is part of the one that the driver reports; the first match counts. [NVIDIA's data sheets]"""


def known(name: str) -> Card | None:
    """Return the first card whose name is part of `name`; None if there is none."""
    return next((card for card in CARDS if card.name in name), None)


def choose(name: str | None, gib: float) -> Card:
    """Return the card of that name, else one with `gib` GiB: A100-SXM4-80GB, L40S (48) or RTX 4090 (24).

    Raises Unplannable for a name that is not in `CARDS`.
    """
    if name is None:
        name = "A100-SXM4-80GB" if gib > 48 else "L40S" if gib > 24 else "RTX 4090"
    found = known(name)
    if found is None:
        raise Unplannable(f"card '{name}' is not known: one of {', '.join(card.name for card in CARDS)}")
    return found
