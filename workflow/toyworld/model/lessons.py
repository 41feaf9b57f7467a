"""Training data of the small model: rooms rendered straight to frames, with descriptions, facts and questions.

Answers alone do not train a vision tower: one token per video carries too little information about its pixels. What
each cell of a frame shows does (`dense`), and so does a description of each moment. Between these and a question of the
benchmark lie facts: short questions about one thing or two, in a tenth of the tokens. Questions of the benchmark are
answered directly and, further on, with reasoning in the format of the prompt, in the end also with a cognitive map. The
models of the papers can reason in words and draw maps from the start; this one must learn it here. No room is shown
twice, so there is nothing to learn by heart.

The paper's configuration uses none of this, and none of these rooms is a scan of the pipeline.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import partial
from itertools import permutations

import numpy as np

from rollout3d import config as configuration
from rollout3d.config import question_types
from rollout3d.config.frames import most_frames
from rollout3d.geometry.boxes import OrientedBox
from rollout3d.geometry.distance import BoxPoints
from rollout3d.geometry.gridmap import cognitive_map
from rollout3d.model.pixels import TEMPORAL_PATCH
from rollout3d.model.prompts import question_text
from rollout3d.questions import generate, types
from rollout3d.questions.scene import Item, SceneView
from rollout3d.questions.templates import LETTERS, lettered
from rollout3d.scoring.maps import CLOSING, OPENING
from rollout3d.seeding import generator, stable_hash
from rollout3d.tables.rows import QuestionRow
from toyworld.model.dense import Cells
from toyworld.rendering.quick import Film, sample_room
from toyworld.rooms.vocabulary import CATEGORIES, FORMATS
from toyworld.rooms.world import Thing, World
from toyworld.settings import MAP_WORDING, settings_of

DESCRIBE = "Describe what each moment of the video shows."
COUNT_ALL = "List everything in the room with its number."
"""Questions of the description and of the inventory."""
Reason = Callable[..., str | None]
"""Question row -> `<think>..</think> <answer>..</answer>`; None if no reasoning leads to its answer. `most`: greatest
number of sentences, where a course asks for another one than the study."""

CLIP_MOMENTS = 2
"""Largest number of pairs of frames per clip."""
OPTIONS, ORDERED = 4, 3
"""Most things that a fact with a choice names, and fewest of which it asks the order."""


@dataclass(frozen=True)
class Asked:
    """What a room is asked at some time of the training."""

    questions: int
    """Questions of the benchmark that are answered directly."""
    of_type: Mapping[str, int] = field(default_factory=dict)
    """Most questions of a type; 2 of every other."""
    reasoned: int = 0
    """Questions of the benchmark that are answered with reasoning."""
    described: bool = False
    """True if every moment is described."""
    listed: bool = True
    """True if everything in the room is listed."""
    choices: bool = False
    """True if there are facts with a choice among several things."""
    sums: int = 0
    """Calculations of each kind, as reasoning needs them."""
    sentences: int | None = None
    """Most sentences of a thought; None: as many as the study has."""
    mapped: int = 0
    """Questions of the benchmark that are answered with a map and reasoning."""


EARLY = Asked(8, described=True)
LATE = Asked(12, {"object_rel_distance": 4, "obj_appearance_order": 4, "object_size_estimation": 1}, choices=True)
"""Later on, more of what takes longest to be learnt."""
BOTH = replace(LATE, questions=9, reasoned=6, listed=False, sums=2)
"""In the second course, about as many answers with reasoning as direct ones."""
SHORT = replace(BOTH, reasoned=9, sums=0, sentences=3, mapped=2)
"""In the third course thoughts are short: each of their sentences says what a direct answer or a fact says."""
REASONED_A_ROOM = 2
"""Questions per room that are answered with reasoning, before `BOTH`."""
DIRECT_WEIGHT = 3.0
"""Weight of a direct answer in the loss: it is one or two tokens among hundreds, and is not learnt with weight 1."""
REASONED_WEIGHT = 2.0
"""Weight of an answer with reasoning in the loss."""
FACT_WEIGHT = 2.0
"""Weight of a fact in the loss."""
FACTS_OF_A_KIND = 3
"""Facts of each kind per room."""


@dataclass(frozen=True)
class Lesson:
    """One exchange about a room's video."""

    question: str
    answer: str
    weight: float
    """Weight of the answer in the loss."""


@dataclass(frozen=True, eq=False)
class Room:
    """A rendered room and its lessons."""

    frames: np.ndarray
    """(n, H, W, 3) uint8."""
    lessons: tuple[Lesson, ...]
    cells: Cells | None
    """What each cell of the frames shows; None if they are black."""


def make_room(index: int, config: configuration.Config, reason: Reason, asked: Asked = EARLY) -> Room:
    """Make room number `index`: its frames, at the training resolution, and its lessons.

    `reason` writes the reasoning of questions that are answered with it.
    """
    settings = settings_of(config)
    rng = generator(config.seed, "base model", index)
    # Mostly the number of frames of training, sometimes those of the settings of the filter.
    n_frames = int(rng.choice([most_frames(config.video.train_frames)] * 7 + [16] * 2 + [2]))
    film, dataset = film_of(index, config, n_frames, rng)
    view = scene_view(film.world, dataset, film.shown, f"base{index}")
    lessons = [describe(what_moments_show(film, dataset))] if asked.described else []
    lessons += [inventory(view)] if asked.listed else []
    lessons += facts(view, film, dataset, rng)
    lessons += choices(view, film, rng) if asked.choices else []
    lessons += questions(view, film, config, rng, reason, asked)
    lessons += sums(rng, asked.sums)
    if rng.random() < settings.model.blind:
        return Room(np.zeros_like(film.frames), tuple(lessons), None)
    return Room(film.frames, tuple(lessons), Cells.of(film, dataset))


def make_clip(index: int, config: configuration.Config) -> Room:
    """Make clip number `index`: two or four frames, far apart in time, with their description as the only lesson."""
    rng = generator(config.seed, "base model clip", index)
    n_frames = TEMPORAL_PATCH * int(rng.integers(1, CLIP_MOMENTS + 1))
    film, dataset = film_of(index, config, n_frames, rng, what="base model clip")
    return Room(film.frames, (describe(what_moments_show(film, dataset)),), Cells.of(film, dataset))


def film_of(
    index: int, config: configuration.Config, n_frames: int, rng: np.random.Generator, what: str = "base model room"
) -> tuple[Film, str]:
    """Film a world of its own, and draw the dataset in whose words it is spoken of."""
    height, width = frame_size(config.video)
    n_objects = settings_of(config).scans.n_objects
    film = sample_room(stable_hash(config.seed, what, index), n_frames, width, height, n_objects=n_objects)
    return film, str(rng.choice(FORMATS))


def frame_size(video: configuration.Video) -> tuple[int, int]:
    """Return (height, width) of a 4:3 frame at the training resolution, multiples of 28."""
    from rollout3d.resize import smart_size

    return smart_size(480, 640, *video.train_pixels)


def asked_as(thing: Thing, dataset: str) -> str | None:
    """Return the category under which a dataset's questions ask about a thing; None if they never do."""
    return CATEGORIES[thing.category].asked_as.get(dataset)


def scene_view(world: World, dataset: str, shown: Sequence[Sequence[int]], name: str) -> SceneView:
    """Return a world as the question generators read a scan: exact boxes, no walkable grid.

    `shown`: ids of the things in each frame, whose number is the time of a first appearance; `name`: scene and space
    id.
    """
    items: dict[str, list[Item]] = {}
    for thing in world.things:
        called = asked_as(thing, dataset)
        if called:
            box = OrientedBox(np.array(thing.center), np.array(thing.size), thing.rotation().T)
            items.setdefault(called, []).append(Item(thing.thing_id, BoxPoints(box)))
    first: dict[str, float] = {}
    for frame, things in enumerate(shown):
        for called in names_of(things, world, dataset):
            first.setdefault(called, float(frame))
    return SceneView(
        scene_id=name,
        space_id=name,
        dataset=dataset,
        split="train",
        room_size_m2=sum(polygon_area(room) for room in world.rooms),
        counts={called: len(found) for called, found in sorted(items.items())},
        items={called: tuple(found) for called, found in items.items()},
        appearances=first,
    )


def polygon_area(polygon: tuple[tuple[float, float], ...]) -> float:
    """Return the area of a simple polygon (shoelace formula), square metres."""
    x, y = np.array(polygon).T
    return float(abs(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2)


def names_of(things: Iterable[int], world: World, dataset: str) -> list[str]:
    """Return the categories, in a dataset's words, of those of `things` (ids) that its questions ask about."""
    called = (asked_as(world.things[i], dataset) for i in things)
    return [name for name in called if name]


def what_moments_show(film: Film, dataset: str) -> tuple[Mapping[str, int], ...]:
    """Return the counts by category in each pair of frames; a pair is one temporal patch of the vision tower."""
    pairs = (film.shown[k : k + TEMPORAL_PATCH] for k in range(0, len(film.shown), TEMPORAL_PATCH))
    return tuple(Counter(names_of(sorted({i for shown in pair for i in shown}), film.world, dataset)) for pair in pairs)


def describe(moments: Sequence[Mapping[str, int]]) -> Lesson:
    """Return the lesson that describes each moment, in order."""
    said = (f"{k}: {listing(shown) or 'nothing'}." for k, shown in enumerate(moments, start=1))
    return Lesson(DESCRIBE, " ".join(said), 1.0)


def listing(counts: Mapping[str, int]) -> str:
    """Return counts by category as text, sorted by name, such as "1 bed, 2 chair"."""
    return ", ".join(f"{n} {name}" for name, n in sorted(counts.items()))


def inventory(view: SceneView) -> Lesson:
    """Return the lesson that lists every category with its count."""
    return Lesson(COUNT_ALL, f"{listing(view.counts)}.", 1.0)


def facts(view: SceneView, film: Film, dataset: str, rng: np.random.Generator) -> Iterator[Lesson]:
    """Yield short questions about what a film shows, `FACTS_OF_A_KIND` of each kind where there are as many.

    They ask what an answer of the benchmark is put together from: moments of a thing, its number and its size, which of
    two comes first, the distance of two, the nearest thing.
    """
    shown = sorted(view.appearances)
    whole = all_shown(view, film)
    single = [name for name in shown if view.counts[name] == 1]
    moments = what_moments_show(film, dataset)

    def some(names: Sequence[str], n: int = 1) -> list[tuple[str, ...]]:
        """Draw different groups of `n` names."""
        groups = list(permutations(names, n))
        return [groups[i] for i in rng.permutation(len(groups))[:FACTS_OF_A_KIND]]

    for (name,) in some(shown):
        seen = " ".join(str(k) for k, counts in enumerate(moments, start=1) if name in counts)
        yield Lesson(f"When is the {name}?", seen, FACT_WEIGHT)
    # Most categories are single: those of several things first, or counting would be a habit.
    several = [name for name in whole if view.counts[name] > 1]
    for (name,) in some(several or whole):
        yield Lesson(f"Number of {name}?", str(view.counts[name]), FACT_WEIGHT)
    for (name,) in some(single):
        longest = max(view.box(name).axes_lengths)
        yield Lesson(f"Size of the {name}?", str(round(100 * float(longest))), FACT_WEIGHT)
    for pair in some(shown, 2):
        times = [view.appearances[name] for name in pair]
        if times[0] != times[1]:
            yield Lesson(f"First: {pair[0]} or {pair[1]}?", pair[int(np.argmin(times))], FACT_WEIGHT)
    for a, b in some(single, 2):
        yield Lesson(f"From {a} to {b}?", f"{view.distance(a, b, 'exact'):.1f}", FACT_WEIGHT)
    for (name,) in some(single if len(single) > 1 else ()):
        nearest = min((view.distance(name, other, "exact"), other) for other in single if other != name)[1]
        yield Lesson(f"Nearest to the {name}?", nearest, FACT_WEIGHT)


def choices(view: SceneView, film: Film, rng: np.random.Generator) -> Iterator[Lesson]:
    """Yield facts with a choice among four things, `FACTS_OF_A_KIND` of each kind where there are as many.

    Half-way to questions with options: the nearest of four, by name and by letter, and three or four in the order of
    their first appearance.
    """
    whole = all_shown(view, film)
    single = [name for name in whole if view.counts[name] == 1]
    for _ in range(FACTS_OF_A_KIND if single and len(whole) > OPTIONS else 0):
        name = str(rng.choice(single))
        others = [str(each) for each in rng.choice([each for each in whole if each != name], OPTIONS, replace=False)]
        nearest = min((view.distance(name, other, "exact"), other) for other in others)[1]
        yield Lesson(f"Nearest to the {name}: {', '.join(others)}?", nearest, FACT_WEIGHT)
        listed = " ".join(lettered(others))
        yield Lesson(f"Nearest to the {name}? {listed}", LETTERS[others.index(nearest)], FACT_WEIGHT)
    at: dict[float, list[str]] = {}
    for name in sorted(view.appearances):
        at.setdefault(view.appearances[name], []).append(name)
    for _ in range(FACTS_OF_A_KIND if len(at) >= ORDERED else 0):
        times = sorted(rng.choice(sorted(at), min(len(at), OPTIONS), replace=False))
        order = [str(rng.choice(at[time])) for time in times]
        some = [order[i] for i in rng.permutation(len(order))]
        yield Lesson(f"Order of {', '.join(some)}?", ", ".join(order), FACT_WEIGHT)


def all_shown(view: SceneView, film: Film) -> list[str]:
    """Return the categories of which a film shows every thing."""
    seen = {i for things in film.shown for i in things}
    return [name for name, found in sorted(view.items.items()) if all(item.object_id in seen for item in found)]


def questions(
    view: SceneView,
    film: Film,
    config: configuration.Config,
    rng: np.random.Generator,
    reason: Reason,
    asked: Asked,
) -> Iterator[Lesson]:
    """Yield questions of the benchmark about a room, first one per task: direct ones, then with reasoning.

    Left out are those that the film cannot answer: about a category of which it does not show every thing.
    """
    few = {**dict.fromkeys(question_types.PER_SCENE, 2), **asked.of_type}
    rules = config.questions.model_copy(update={"distance": "exact", "appearance_gap_s": 0.5, "per_scene": few})
    whole = set(all_shown(view, film))
    rows, _ = generate.questions_for_scene(view, rules, config.seed)
    rows = [row for row in rows if whole.issuperset(mention["category"] for mention in row["objects"])]
    rows = one_of_each_first([rows[i] for i in rng.permutation(len(rows))])
    thought = reason if asked.sentences is None else partial(reason, most=asked.sentences)
    for row in rows[: asked.questions]:
        yield Lesson(question_text(row), row["ground_truth"], DIRECT_WEIGHT)
    if not asked.reasoned:
        return
    again = one_of_each_first([rows[i] for i in rng.permutation(len(rows))])
    for row in again[: asked.reasoned]:
        reasoning = thought(row)
        if reasoning is not None:
            yield Lesson(question_text(row, style="think", think=config.prompts.wording), reasoning, REASONED_WEIGHT)
    if not asked.mapped:
        return
    drawn, wording = map_of(view, film, config.prompts.map_grid), f"{MAP_WORDING}{config.prompts.map_grid}"
    for row in again[-asked.mapped :]:
        reasoning = thought(row)
        if reasoning is not None:
            answer = reasoning.replace("<think>", f"<think>{OPENING}{drawn}{CLOSING} ", 1)
            yield Lesson(question_text(row, style="think", think=wording), answer, REASONED_WEIGHT)


def map_of(view: SceneView, film: Film, grid: int) -> str:
    """Return the cognitive map of the categories of which a film shows every thing, as JSON without blanks.

    It lies over the smallest rectangle around all rooms. Cells of a category are sorted, so that their order can be
    known.
    """
    corners = np.concatenate([np.array(room) for room in film.world.rooms])
    centres = {name: [item.box.centroid.tolist() for item in view.items[name]] for name in all_shown(view, film)}
    drawn = cognitive_map(centres, (*corners.min(axis=0), *corners.max(axis=0)), grid)
    return json.dumps({name: sorted(cells) for name, cells in drawn.items()}, separators=(",", ":"))


def sums(rng: np.random.Generator, n: int) -> Iterator[Lesson]:
    """Yield `n` calculations of each kind that reasoning does, by themselves, since in a thought they are few words."""
    for _ in range(n):
        a, b = (Decimal(int(each)) / 10 for each in sorted(rng.integers(1, 100, 2), reverse=True))
        yield Lesson(f"{a:.1f} minus {b:.1f}?", f"{a - b:.1f}", FACT_WEIGHT)
        x, y = (Decimal(int(each)) / 10 for each in rng.integers(1, 70, 2))
        product = (x * y).quantize(Decimal("0.1"))
        yield Lesson(f"{x:.1f} m times {y:.1f} m?", f"{product}", FACT_WEIGHT)
        terms = rng.integers(1, 4, int(rng.integers(2, 5)))
        yield Lesson(f"{' plus '.join(map(str, terms))}?", str(terms.sum()), FACT_WEIGHT)
        length = int(rng.integers(20, 300))
        yield Lesson(f"{Decimal(length) / 100:.2f} m in centimeters?", str(length), FACT_WEIGHT)


def one_of_each_first(rows: Sequence[QuestionRow]) -> list[QuestionRow]:
    """Return rows with the first of every task first, then the second of each, and so on.

    By task and not by question type, since the three types of relative direction would be a third of the questions.
    """
    seen: Counter[str] = Counter()
    rank = []
    for row in rows:
        task = types.load(row["question_type"]).scored_as.name
        rank.append(seen[task])
        seen[task] += 1
    return [rows[i] for i in sorted(range(len(rows)), key=rank.__getitem__)]
