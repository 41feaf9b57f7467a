"""What check-scan says about a scan: what was found, the checks, and what the picture shows."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from rollout3d.flags import meaning
from rollout3d.scenes.scan import Room


@dataclass(frozen=True)
class Check:
    """One check. `passed` is None if it could not be made, and `note` then says why."""

    name: str
    passed: bool | None
    value: str = ""
    limit: str = ""
    note: str = ""


@dataclass(frozen=True, eq=False)
class Shot:
    """A frame and what the mesh shows from its pose: pictures (H,W,3) u8 of one size, K of that size, pose.

    `drawing` is grey where the mesh has no colours. depth, mesh_depth (h,w), metres, 0 = unknown: of the depth picture,
    None without one. `owner` (H,W): the face that each pixel shows, -1 = none.
    """

    index: int
    K: np.ndarray
    pose: np.ndarray
    picture: np.ndarray
    drawing: np.ndarray
    owner: np.ndarray
    depth: np.ndarray | None
    mesh_depth: np.ndarray | None


@dataclass
class Report:
    """What was found in a scan, the checks, and what the picture of it shows."""

    dataset: str
    scene_id: str
    found: list[tuple[str, str]] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)
    shots: list[Shot] = field(default_factory=list)
    positions: np.ndarray = field(default_factory=lambda: np.empty((0, 3)))
    room: Room | None = None

    @property
    def passed(self) -> bool:
        """True if no check failed; those that could not be made do not count."""
        return not any(check.passed is False for check in self.checks)

    def text(self) -> str:
        """The report for a terminal."""
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
        """One sentence."""
        made = [check for check in self.checks if check.passed is not None]
        wrong = [check.name for check in made if not check.passed]
        rest = f"; {len(self.checks) - len(made)} could not be made" if len(made) < len(self.checks) else ""
        if wrong:
            return f"FAILED {len(wrong)} of {len(made)} checks: {', '.join(wrong)}{rest}"
        return f"passed {len(made)} checks{rest}"

    def at_least(self, name: str, value: float, limit: float, note: str = "") -> None:
        """Add a check of a share, printed in percent."""
        self.checks.append(Check(name, bool(value >= limit), f"{value:.0%}", f"at least {limit:.0%}", note))

    def at_most(self, name: str, value: float, limit: float, unit: str = "", note: str = "") -> None:
        """Add a check of a figure; NaN, which means that there was nothing to compare, fails."""
        shown = "nothing" if value != value else f"{value:.3f}{unit}" if limit < 1 else f"{value:.2f}{unit}"
        self.checks.append(Check(name, bool(value <= limit), shown, f"at most {limit:g}{unit}", note))
