"""The shape of each category: upright blocks in two colours that together span the box of the thing.

A block is (x0, x1, y0, y1, z0, z1, colour) in the thing's own frame: metres, origin in the middle of its footprint on
the floor, front towards -y. Blocks touch but do not overlap, and together they reach all eight corners of the box, so
the minimal oriented box of the vertices is the box itself.
"""

from __future__ import annotations

from collections.abc import Callable

from toyworld.rooms.vocabulary import CATEGORIES, RGB

Block = tuple[float, float, float, float, float, float, RGB]
Panel = tuple[float, float, float, float, RGB]


def blocks_of(category: str, size: tuple[float, float, float]) -> list[Block]:
    """Return the blocks of a thing of a category and size (width, depth, height in metres)."""
    color, accent = CATEGORIES[category].color, CATEGORIES[category].accent
    return _SHAPES[category](size[0] / 2, size[1] / 2, size[2], color, accent)


def _dark(color: RGB, factor: float = 0.55) -> RGB:
    red, green, blue = (int(c * factor) for c in color)
    return red, green, blue


def _front(w: float, d: float, h: float, body: RGB, panels: list[Panel], deep: float = 0.03) -> list[Block]:
    """Return a full box whose front has sunken panels (x0, x1, z0, z1, colour) in one row or one column.

    The rest of the front has the body's colour.
    """
    y, sunk = -d + deep, -d + deep / 2
    blocks: list[Block] = [(-w, w, y, d, 0, h, body)]
    x0, x1 = min(p[0] for p in panels), max(p[1] for p in panels)
    z0, z1 = min(p[2] for p in panels), max(p[3] for p in panels)
    frame = [(-w, w, 0, z0), (-w, w, z1, h), (-w, x0, z0, z1), (x1, w, z0, z1)]
    blocks += [(a, b, -d, y, c, e, body) for a, b, c, e in frame if b - a > 1e-6 and e - c > 1e-6]
    for a, b, c, e, color in panels:
        blocks.append((a, b, sunk, y, c, e, color))
    return blocks


def _legs(w: float, d: float, z: float, thick: float, color: RGB) -> list[Block]:
    return [(x, x + thick, y, y + thick, 0, z, color) for x in (-w, w - thick) for y in (-d, d - thick)]


def _ring(w: float, d: float, thin: float, z0: float, z1: float, color: RGB) -> list[Block]:
    """Return four walls along the footprint."""
    return [
        (-w, w, -d, -d + thin, z0, z1, color),
        (-w, w, d - thin, d, z0, z1, color),
        (-w, -w + thin, -d + thin, d - thin, z0, z1, color),
        (w - thin, w, -d + thin, d - thin, z0, z1, color),
    ]


def _chair(w, d, h, color, accent) -> list[Block]:
    seat, post = 0.48 * h, 0.05
    return [
        *_legs(w, d, seat - 0.07, post, accent),
        (-w, w, -d, d, seat - 0.07, seat, color),
        (-w, w, d - 0.06, d, seat, h, color),
        *[(x, x + post, -d, -d + post, seat, h - 0.06, accent) for x in (-w, w - post)],
        *[(x, x + post, -d, d - 0.06, h - 0.06, h, accent) for x in (-w, w - post)],
    ]


def _table(w, d, h, color, accent) -> list[Block]:
    return [*_legs(w, d, h - 0.06, 0.07, accent), (-w, w, -d, d, h - 0.06, h, color)]


def _sofa(w, d, h, color, accent) -> list[Block]:
    arm, back, seat = 0.18, 0.2, 0.42 * h
    n = 3 if w > 0.95 else 2
    step = 2 * (w - arm) / n
    left = [-w + arm + k * step for k in range(n)]
    return [
        *[(x, x + arm, -d, d, 0, h, color) for x in (-w, w - arm)],
        (-w + arm, w - arm, d - back, d, 0, h, color),
        (-w + arm, w - arm, -d, d - back, 0, seat, color),
        *[(x + 0.02, x + step - 0.02, -d + 0.03, d - back, seat, seat + 0.12, accent) for x in left],
    ]


def _screen(w, d, h, color, accent) -> list[Block]:
    return _front(w, d, h, color, [(-w + 0.05, w - 0.05, 0.05, h - 0.05, accent)])


def _stool(w, d, h, color, accent) -> list[Block]:
    return [*_legs(w, d, h - 0.1, 0.05, accent), (-w, w, -d, d, h - 0.1, h, color)]


def _bed(w, d, h, color, accent) -> list[Block]:
    return [
        (-w, w, -d, d, 0, 0.5 * h, color),
        (-w, w, -d, 0.25 * d, 0.5 * h, h, color),
        (-w, w, 0.25 * d, d, 0.5 * h, h, accent),
    ]


def _toilet(w, d, h, color, accent) -> list[Block]:
    tank, bowl, rail = 0.2, 0.5 * h, 0.035
    return [
        (-w, w, -d, d - tank, 0, 0.05, color),
        (-0.6 * w, 0.6 * w, -0.6 * d, d - tank, 0.05, bowl - 0.1, color),
        (-w, w, -d, d - tank, bowl - 0.1, bowl, color),
        (-0.7 * w, 0.7 * w, -0.8 * d, d - tank, bowl, bowl + 0.04, accent),
        (-w, w, d - tank, d, 0, h - 0.06, color),
        (-w, w, d - tank, d, h - 0.06, h, accent),
        *[(x, x + rail, -d, -d + rail, bowl, h - rail, accent) for x in (-w, w - rail)],
        *[(x, x + rail, -d, d - tank, h - rail, h, accent) for x in (-w, w - rail)],
    ]


def _stove(w, d, h, color, accent) -> list[Block]:
    top, rim, mid = h - 0.03, 0.06, 0.04
    burners = [
        (x0, x1, y0, y1, top, h - 0.01, accent)
        for x0, x1 in ((-w + rim, -mid), (mid, w - rim))
        for y0, y1 in ((-d + rim, -mid), (mid, d - rim))
    ]
    window = [(-w + 0.1, w - 0.1, 0.25 * h, 0.7 * h, accent)]
    return [*_front(w, d, top, color, window), *burners, *_ring(w, d, rim, top, h, color)]


def _bathtub(w, d, h, color, accent) -> list[Block]:
    rim = 0.1
    return [
        *_ring(w, d, rim, 0, 0.3 * h, color),
        *_ring(w, d, rim, 0.3 * h, 0.65 * h, accent),
        *_ring(w, d, rim, 0.65 * h, h, color),
        (-w + rim, w - rim, -d + rim, d - rim, 0, 0.75 * h, accent),
    ]


def _washer(w, d, h, color, accent) -> list[Block]:
    r = min(0.25 * h, w - 0.08)
    middle, cut, y = 0.47 * h, 0.6 * r, -d + 0.03
    porthole = [
        (-r, -cut, middle - cut, middle + cut, accent),
        (-cut, cut, middle - r, middle + r, accent),
        (cut, r, middle - cut, middle + cut, accent),
    ]
    # The three panels approximate an octagon, whose four corners keep the body's colour.
    bounds = [(middle - r, middle - cut), (middle + cut, middle + r)]
    return [
        *_front(w, d, h - 0.04, color, porthole),
        *[(a, b, -d, y, c, e, color) for a, b in ((-r, -cut), (cut, r)) for c, e in bounds],
        (-w, w, -d, 0.3 * d, h - 0.04, h, color),
        (-w, w, 0.3 * d, d, h - 0.04, h, accent),
    ]


def _refrigerator(w, d, h, color, accent) -> list[Block]:
    x0, x1, split = -w + 0.06, -w + 0.14, 0.62 * h
    grips = [
        (x0, x1, 0.25 * h, split - 0.05, accent),
        (x0, x1, split - 0.05, split + 0.05, _dark(color)),
        (x0, x1, split + 0.05, 0.9 * h, accent),
    ]
    return _front(w, d, h, color, grips)


def _fireplace(w, d, h, color, accent) -> list[Block]:
    jamb, shelf, hearth = 0.24, 0.12, 0.1
    soot, back = (30, 24, 22), d - 0.08
    flames = [
        (x0, x1, 0.0, 0.25 * d, hearth, hearth + tall * h, accent)
        for x0, x1, tall in ((-0.45 * w, -0.15 * w, 0.3), (-0.15 * w, 0.15 * w, 0.48), (0.15 * w, 0.45 * w, 0.36))
    ]
    return [
        (-w, w, -d, d, 0, hearth, color),
        *[(x, x + jamb, -d, d, hearth, h - shelf, color) for x in (-w, w - jamb)],
        (-w + jamb, w - jamb, back, d, hearth, h - shelf, soot),
        *flames,
        (-w, w, -d, d, h - shelf, h, _dark(color, 0.75)),
    ]


def _dishwasher(w, d, h, color, accent) -> list[Block]:
    return [
        *_front(w, d, h - 0.03, color, [(-w + 0.04, w - 0.04, 0.78 * h, 0.92 * h, accent)]),
        (-w, w, -d, -0.4 * d, h - 0.03, h, accent),
        (-w, w, -0.4 * d, d, h - 0.03, h, color),
    ]


def _cabinet(w, d, h, color, accent) -> list[Block]:
    n, seam = (3 if w > 0.55 else 2), 0.02
    step = 2 * (w - 0.04) / n
    doors = []
    for k in range(n):
        x = -w + 0.04 + k * step
        doors += [(x, x + seam, 0.06, h - 0.1, accent), (x + seam, x + step, 0.06, h - 0.1, _dark(color, 0.9))]
    return [*_front(w, d, h - 0.04, color, doors), (-w, w, -d, d, h - 0.04, h, accent)]


def _bookshelf(w, d, h, color, accent) -> list[Block]:
    side, n = 0.05, 4
    step = (h - side) / n
    colors = (accent, (225, 70, 60), (70, 110, 220), accent, (240, 190, 60))
    blocks: list[Block] = [
        *[(x, x + side, -d, d, 0, h, color) for x in (-w, w - side)],
        (-w + side, w - side, d - 0.03, d, 0, h, _dark(color, 0.7)),
    ]
    for k in range(n + 1):
        blocks.append((-w + side, w - side, -d, d - 0.03, k * step, k * step + side, color))
    inner, per = 2 * (w - side), 3
    for k in range(n):
        for j in range(per):
            x = -w + side + inner * j / per
            tall = (0.85, 0.6, 0.75)[(j + k) % 3] * (step - side)
            book = colors[(j * 2 + k) % len(colors)]
            z = k * step + side
            blocks.append((x + 0.01, x + 0.85 * inner / per, -d + 0.05, d - 0.03, z, z + tall, book))
    return blocks


def _nightstand(w, d, h, color, accent) -> list[Block]:
    drawers = [
        (-w + 0.05, w - 0.05, 0.08, 0.46 * h, accent),
        (-w + 0.05, w - 0.05, 0.46 * h, 0.52 * h, color),
        (-w + 0.05, w - 0.05, 0.52 * h, h - 0.06, accent),
    ]
    return _front(w, d, h, color, drawers)


def _door(w, d, h, color, accent) -> list[Block]:
    panels = [
        (-0.6 * w, 0.6 * w, 0.1 * h, 0.42 * h, accent),
        (-0.6 * w, 0.6 * w, 0.42 * h, 0.52 * h, color),
        (-0.6 * w, 0.6 * w, 0.52 * h, 0.9 * h, accent),
    ]
    return _front(w, d, h, color, panels)


def _radiator(w, d, h, color, accent) -> list[Block]:
    n = 9
    step = 2 * w / n
    fins: list[Block] = []
    for k in range(n):
        x0, x1 = -w + k * step, -w + (k + 1) * step
        fins.append((x0, x1, -d, d, 0, h, accent) if k % 2 == 0 else (x0, x1, -d + 0.03, d, 0.04, h - 0.04, color))
    return fins


def _plant(w, d, h, color, accent) -> list[Block]:
    pot = 0.34 * h
    leaf = _dark(color, 0.75)
    return [
        (-w, w, -d, d, 0, 0.06, accent),
        (-0.8 * w, 0.8 * w, -0.8 * d, 0.8 * d, 0.06, pot, accent),
        (-0.15 * w, 0.15 * w, -0.15 * d, 0.15 * d, pot, 0.42 * h, leaf),
        (-0.75 * w, 0.75 * w, -0.75 * d, 0.75 * d, 0.42 * h, 0.6 * h, leaf),
        (-w, w, -d, d, 0.6 * h, 0.85 * h, color),
        *[(x, x + 0.6 * w, y, y + 0.6 * d, 0.85 * h, h, color) for x in (-w, 0.4 * w) for y in (-d, 0.4 * d)],
        (-0.3 * w, 0.3 * w, -0.3 * d, 0.3 * d, 0.85 * h, 0.95 * h, leaf),
    ]


def _bin(w, d, h, color, accent) -> list[Block]:
    thin = 0.025
    return [
        *_ring(w, d, thin, 0, 0.45 * h, color),
        *_ring(w, d, thin, 0.45 * h, 0.75 * h, accent),
        *_ring(w, d, thin, 0.75 * h, h, color),
        (-w + thin, w - thin, -d + thin, d - thin, 0, 0.4 * h, _dark(color)),
    ]


def _backpack(w, d, h, color, accent) -> list[Block]:
    y = -0.4 * d
    return [
        (-w, w, y, d, 0, h - 0.05, color),
        (-w, w, -d, y, 0, 0.06, color),
        (-0.75 * w, 0.75 * w, -d + 0.01, y, 0.06, 0.55 * h, accent),
        (-w, w, -d + 0.03, y, 0.6 * h, h - 0.05, color),
        (-w, -0.5 * w, -d, d, h - 0.05, h, color),
        (-0.5 * w, 0.5 * w, -d + 0.03, d, h - 0.05, h - 0.01, accent),
        (0.5 * w, w, -d, d, h - 0.05, h, color),
    ]


def _pillow(w, d, h, color, accent) -> list[Block]:
    return [
        (-w, -0.5 * w, -d, d, 0, h, color),
        (-0.5 * w, 0.5 * w, -d, d, 0, h, accent),
        (0.5 * w, w, -d, d, 0, h, color),
    ]


def _lamp(w, d, h, color, accent) -> list[Block]:
    return [
        (-w, w, -d, d, 0, 0.05, accent),
        (-0.2 * w, 0.2 * w, -0.2 * d, 0.2 * d, 0.05, 0.45 * h, accent),
        (-w, w, -d, d, 0.45 * h, h, color),
    ]


def _monitor(w, d, h, color, accent) -> list[Block]:
    foot, y = 0.22 * h, -0.2 * d
    return [
        (-w, w, -d, d, 0, 0.02, color),
        (-0.15 * w, 0.15 * w, -0.1 * d, 0.5 * d, 0.02, foot, color),
        (-w, w, y + 0.01, d, foot, h - 0.03, color),
        (-w + 0.03, w - 0.03, y, y + 0.01, foot + 0.03, h - 0.03, accent),
        (-w, w, -d, d, h - 0.03, h, color),
    ]


def _keyboard(w, d, h, color, accent) -> list[Block]:
    rim = 0.025
    return [
        (-w, w, -d, d, 0, 0.5 * h, color),
        *_ring(w, d, rim, 0.5 * h, h, color),
        (-w + rim, 0.4 * w, -d + rim, d - rim, 0.5 * h, 0.9 * h, accent),
    ]


def _mouse(w, d, h, color, accent) -> list[Block]:
    return [(-w, w, -d, 0.3 * d, 0, h, color), (-w, w, 0.3 * d, d, 0, h, accent)]


def _printer(w, d, h, color, accent) -> list[Block]:
    return [
        *_front(w, d, h - 0.04, color, [(-0.8 * w, 0.8 * w, 0.2 * h, 0.55 * h, accent)]),
        (-w, w, -d, -0.2 * d, h - 0.04, h, accent),
        (-w, w, -0.2 * d, d, h - 0.04, h, color),
    ]


def _microwave(w, d, h, color, accent) -> list[Block]:
    panels = [
        (-w + 0.03, 0.4 * w, 0.04, h - 0.07, accent),
        (0.4 * w, 0.5 * w, 0.04, h - 0.07, color),
        (0.5 * w, w - 0.03, 0.04, h - 0.07, (200, 215, 235)),
    ]
    return [
        *_front(w, d, h - 0.03, color, panels),
        (-w, 0.4 * w, -d, d, h - 0.03, h, accent),
        (0.4 * w, w, -d, d, h - 0.03, h, color),
    ]


def _clock(w, d, h, color, accent) -> list[Block]:
    y, rim, hand = -d + 0.02, 0.05, 0.02
    middle = h / 2
    return [
        (-w, w, y, d, 0, h, color),
        (-w, w, -d, y, 0, rim, color),
        (-w, w, -d, y, h - rim, h, color),
        (-w, -w + rim, -d, y, rim, h - rim, color),
        (w - rim, w, -d, y, rim, h - rim, color),
        (-w + rim, -hand, y - 0.01, y, rim, h - rim, accent),
        (-hand, hand, y - 0.005, y, middle, h - rim - 0.02, color),
        (-hand, hand, y - 0.01, y, rim, middle, accent),
        (hand, w - rim, y - 0.01, y, rim, h - rim, accent),
    ]


def _ceiling_light(w, d, h, color, accent) -> list[Block]:
    return [
        (-w, w, -d, d, 0, 0.45 * h, color),
        (-0.9 * w, 0.9 * w, -0.9 * d, 0.9 * d, 0.45 * h, 0.8 * h, accent),
        (-w, w, -d, d, 0.8 * h, h, accent),
    ]


_SHAPES: dict[str, Callable[..., list[Block]]] = {
    "chair": _chair,
    "table": _table,
    "sofa": _sofa,
    "tv": _screen,
    "stool": _stool,
    "bed": _bed,
    "toilet": _toilet,
    "stove": _stove,
    "bathtub": _bathtub,
    "washer": _washer,
    "refrigerator": _refrigerator,
    "fireplace": _fireplace,
    "dishwasher": _dishwasher,
    "cabinet": _cabinet,
    "bookshelf": _bookshelf,
    "nightstand": _nightstand,
    "door": _door,
    "radiator": _radiator,
    "plant": _plant,
    "trash bin": _bin,
    "backpack": _backpack,
    "pillow": _pillow,
    "lamp": _lamp,
    "monitor": _monitor,
    "keyboard": _keyboard,
    "computer mouse": _mouse,
    "printer": _printer,
    "microwave": _microwave,
    "clock": _clock,
    "ceiling light": _ceiling_light,
}
