"""Cognitive maps of the training scenes, as far as a run's reward needs them."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from rollout3d import doors
from rollout3d.geometry.gridmap import CognitiveMap
from rollout3d.training.data import NotTrainable


def check_maps(reward: str, maps: Mapping[str, CognitiveMap] | None, scenes: Collection[str], of: str = "") -> None:
    """Raise NotTrainable if a reward needs cognitive maps and none of the training `scenes` has one.

    Every map reward would be 0, and nothing in the run would say why. `maps`: by scene, None if there are none. `of`:
    what these maps have, for the message; empty where they have all of their scenes.
    """
    if not doors.REWARDS.constant(reward, "NEEDS_MAPS", False):
        return
    remedy = "or give the run a reward without maps, such as spacer_no_map"
    if maps is None:
        raise NotTrainable(
            f"reward: {reward} needs the cognitive maps of the training scenes: pass their tables, {remedy}"
        )
    if scenes and not any(scene in maps for scene in scenes):
        raise NotTrainable(
            f"reward: {reward} needs cognitive maps, and none of the {len(scenes)} training scenes is in the tables of "
            f"maps{of and f' with {of}'}: pass those of the datasets that the run trains on, {remedy}"
        )
