"""Answer a harness's questions as `rollout3d evaluate` answers a benchmark's: the same prompt, frames and pixels.

`rollout3d export lmms-eval` writes a folder that holds a trained model, the settings of its evaluation and a copy of
this package. In the harness, its task calls `release_text` and its model class `Harness.answers`. Both take a question
in the released form of the benchmark; everything behind it is the code of the evaluation itself.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np

from rollout3d.config import Config, Video
from rollout3d.errors import InvalidInput
from rollout3d.evaluation.benchmarks._common import frame_row
from rollout3d.evaluation.benchmarks._vsibench_videos import Source
from rollout3d.evaluation.benchmarks.vsibench import sample_video
from rollout3d.geometry import frames as frame_sets
from rollout3d.model.backends import open_model
from rollout3d.model.encode import Prompt, Text
from rollout3d.model.media import FrameStore
from rollout3d.model.prompts import question_text
from rollout3d.model.sampling import Batch, Sampling
from rollout3d.model.wordings import Style
from rollout3d.tables.rows import FrameRow

SETTINGS = "settings.json"
"""File of an exported folder with `HarnessSettings`."""
MODEL = "model.json"
"""File of an exported folder that names the weights, in its folder `model`."""


@dataclass(frozen=True)
class HarnessSettings:
    """How an exported model is asked."""

    run: str
    """Name of the run."""
    prompt: str
    """Wording, as predictions name it: direct, think_video_r1, ..."""
    frame_set: str
    """Frames of a video that are shown, such as uniform32 (`config/frames.py`)."""
    temperature: float
    max_new_tokens: int
    """Maximum number of tokens per answer."""
    seed: int
    """Seed of the draws, read at a temperature above 0."""
    batch_size: int
    """Number of questions that share a forward of transformers."""
    video: dict[str, Any] = field(default_factory=dict)
    """Values of the section `video` of the configuration: pixels per frame, meaning of time."""

    def write(self, folder: Path) -> None:
        """Write the settings to an exported folder."""
        text = json.dumps(asdict(self), indent=2, sort_keys=True) + "\n"
        (folder / SETTINGS).write_text(text, encoding="utf-8")

    @classmethod
    def read(cls, folder: Path | str) -> HarnessSettings:
        """Read the settings of an exported folder. Raises InvalidInput if it is none."""
        path = Path(folder) / SETTINGS
        try:
            return cls(**json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError) as error:
            raise InvalidInput(f"{path}: no settings of an export ({error}): export the run again") from None

    @property
    def asked(self) -> tuple[Style, str]:
        """Prompt style, and the name of the wording that asks for reasoning; "" for direct answers."""
        return ("direct", "") if self.prompt == "direct" else ("think", self.prompt.removeprefix("think_"))


def release_text(doc: Mapping[str, Any], settings: HarnessSettings) -> str:
    """Return the words of the user's turn for a released question about a video, as the evaluation has them.

    `doc`: its released row, of which the columns `question` and `options` (a list, or null for a number) are read.
    """
    options = list(doc["options"]) if doc.get("options") else None
    row = {
        "question": doc["question"],
        "options": options,
        "answer_type": "choice" if options else "number",
        "scene_id": "",  # a question about a scan may be offered a cognitive map
    }
    style, think = settings.asked
    return question_text(row, ("video",), style, think)


class VideoStore(FrameStore):
    """Frames of video files, chosen, stored and resized as `prepare_benchmark` and `evaluate` do; `scene_id` is a path.

    A frame is stored as a JPEG before the model sees it, because the evaluation reads frames tables.
    """

    def __init__(self, config: Config, capacity: int = 2):
        super().__init__([], capacity=capacity)
        self._config = config

    def _read_rows(self, scene_id: str, frame_set: str) -> list[FrameRow]:
        wanted = [frame_sets.frame_set(frame_set)]
        found = sample_video(Source(Path(scene_id)), wanted, "download it again")
        return [frame_row(scene_id, index, seconds, rgb, names, self._config) for index, seconds, rgb, names in found]


@dataclass(frozen=True)
class Question:
    """A question of a harness: a `key` that names its random draws, the path of its video, and its words."""

    key: str
    video: str
    text: str


class Harness:
    """The model of an exported folder, opened for answering.

    `backend`: hf or vllm. Raises InvalidInput for a folder that is no export, ModelError for damaged weights.
    """

    def __init__(self, folder: Path | str, backend: Literal["hf", "vllm"] = "hf"):
        folder = Path(folder)
        self.settings = HarnessSettings.read(folder)
        config = Config.model_validate({"video": self.settings.video})
        self.policy, self.back_end = open_model(folder / MODEL, config.video, backend)
        self._store = VideoStore(config)
        self._pixels = config.video.eval_pixels
        self._shown = frame_sets.frame_set(self.settings.frame_set)

    def frames(self, video: str) -> np.ndarray:
        """Return the frames (n, H, W, 3) uint8 of a video file as the model sees them. Raises BenchmarkError."""
        return self._store.frames(video, self._shown.name, self._shown.n_shown, self._pixels)

    def prompt(self, question: Question) -> Prompt:
        """Encode a question with its video, as the evaluation does. Raises BenchmarkError for a damaged video."""
        shown = self._shown.name, self._shown.n_shown, self._pixels
        return self.policy.encoder.prompt([self._store.video(question.video, *shown), Text(question.text)])

    def answers(
        self, questions: Sequence[Question], max_new_tokens: int, temperature: float = 0.0, top_p: float = 1.0
    ) -> Iterator[tuple[int, str]]:
        """Yield the place of each question and its answer, video by video.

        Raises BenchmarkError for a damaged video, ValueError for impossible values.
        """
        sampling = Sampling(1, temperature, top_p, max_new_tokens)
        order = sorted(range(len(questions)), key=lambda place: (questions[place].video, place))
        size = self.settings.batch_size if self.back_end.shares_forward else 1
        places: dict[Batch, list[int]] = {}
        for start in range(0, len(order), size):
            chosen = order[start : start + size]
            asked = [questions[place] for place in chosen]
            encode = partial(_encoded, self, asked)
            places[Batch(tuple(each.key for each in asked), encode)] = chosen
        for batch, groups in self.back_end.run(self.policy, places, sampling, self.settings.seed):
            for place, completions in zip(places[batch], groups, strict=True):
                yield place, completions[0].text


def _encoded(harness: Harness, questions: Sequence[Question]) -> list[Prompt]:
    return [harness.prompt(each) for each in questions]


def settings_of(used: Mapping[str, Any], run: str, config: Config, video: Video) -> HarnessSettings:
    """Return the settings that repeat an evaluation.

    `used`: its settings, by column of the table predictions; `video`: sizes and the meaning of time. Raises
    InvalidInput for a prompt that gives a cognitive map, which no harness has.
    """
    if "+" in used["prompt"]:
        raise InvalidInput(
            f"the run {run} was evaluated with the prompt {used['prompt']}, which gives the map of each room, and a "
            "harness has no such maps: name predictions without them, --predictions FILE"
        )
    policy = used["frame_policy"]
    name = f"{policy}{used['frames']}" if policy in ("uniform", "official") else policy
    return HarnessSettings(
        run=run,
        prompt=used["prompt"],
        frame_set=frame_sets.frame_set(name).name,
        temperature=used["temperature"],
        max_new_tokens=used["max_new_tokens"],
        seed=config.seed,
        batch_size=config.generation.batch_size,
        video={
            "min_pixels": video.min_pixels,
            "eval_max_pixels": used["max_pixels"],
            "image_max_pixels": video.image_max_pixels,
            "time_mode": video.time_mode,
            # Not read here; those of training may not fit the sizes of an evaluation.
            "train_min_pixels": video.min_pixels,
            "train_max_pixels": used["max_pixels"],
        },
    )
