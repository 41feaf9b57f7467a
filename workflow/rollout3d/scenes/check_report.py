"""Report of check-scan: facts about a scan, its checks, and the data of its picture."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from rollout3d.flags import meaning
from rollout3d.scenes.scan import Room


@dataclass(frozen=True)
class Check:
    """One check. `passed` is None for a check that could not be made, with the cause in `note`."""

    name: str
    passed: bool | None
    value: str = ""
    limit: str = ""
    note: str = ""


@dataclass(frozen=True, eq=False)
class Shot:
    """A frame and a drawing of the mesh from its pose, of one size."""

    index: int
    K: np.ndarray
    """Intrinsics (3,3) at the size of the picture."""
    pose: np.ndarray
    """Camera-to-world pose (4,4)."""
    picture: np.ndarray
    """The frame (H,W,3) u8."""
    drawing: np.ndarray
    """The mesh (H,W,3) u8, grey without colours."""
    owner: np.ndarray
    """Face (H,W) of each pixel of the drawing, -1 = none."""
    depth: np.ndarray | None
    """Depth picture (h,w) of the sensor, metres, 0 = unknown; None without one."""
    mesh_depth: np.ndarray | None
    """Depth (h,w) of the mesh at the pixels of the depth picture, metres, 0 = nothing; None without one."""


@dataclass
class Report:
    """Facts about a scan, its checks, and the data of its picture."""

    dataset: str
    scene_id: str
    found: list[tuple[str, str]] = field(default_factory=list)
    """Facts: name and text."""
    checks: list[Check] = field(default_factory=list)
    shots: list[Shot] = field(default_factory=list)
    positions: np.ndarray = field(default_factory=lambda: np.empty((0, 3)))
    """Positions (N,3) of the camera, NaN for frames without a pose."""
    room: Room = field(default_factory=Room.absent)

    @property
    def passed(self) -> bool:
        """True if no check failed; checks that could not be made do not count."""
        return not any(check.passed is False for check in self.checks)

    def text(self) -> str:
        """Return the report for a terminal."""
        lines = [f"{self.dataset} {self.scene_id}", ""]
        width = max(len(what) for what, _ in self.found)
        for what, value in self.found:
            sentence = meaning(value) if what == "flag" else None
            lines.append(f"  {what:<{width}}  {value}" + (f"  {sentence}" if sentence else ""))
        lines.append("")
        width = max(len(check.name) for check in self.checks)
        for c in self.checks:
            word = {True: "pass", False: "FAIL", None: "  - "}[c.passed]
            figures = f"{c.value:>9}  {c.limit:<14}" if c.passed is not None else f"{'not made':>9}  {'':<14}"
            lines.append(f"  {word}  {c.name:<{width}}  {figures}  {c.note}".rstrip())
        return "\n".join([*lines, "", self.verdict()])

    def verdict(self) -> str:
        """Return the result of all checks in one sentence."""
        made = [check for check in self.checks if check.passed is not None]
        wrong = [check.name for check in made if not check.passed]
        rest = f"; {len(self.checks) - len(made)} could not be made" if len(made) < len(self.checks) else ""
        if wrong:
            return f"FAILED {len(wrong)} of {len(made)} checks: {', '.join(wrong)}{rest}"
        return f"passed {len(made)} checks{rest}"

    def at_least(self, name: str, value: float | None, limit: float, note: str = "") -> None:
        """Add a check of a share, printed in percent; None (not measured) and NaN (nothing to compare) fail."""
        value = float("nan") if value is None else value
        self.checks.append(Check(name, bool(value >= limit), f"{value:.0%}", f"at least {limit:.0%}", note))

    def at_most(self, name: str, value: float | None, limit: float, unit: str = "", note: str = "") -> None:
        """Add a check of a figure; None (not measured) and NaN (nothing to compare) fail."""
        value = float("nan") if value is None else value
        text = "nothing" if value != value else f"{value:.3f}{unit}" if limit < 1 else f"{value:.2f}{unit}"
        self.checks.append(Check(name, bool(value <= limit), text, f"at most {limit:g}{unit}", note))
