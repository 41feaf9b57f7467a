"""Worlds: separate boxes, walkable floors, and meshes with the true boxes and areas."""

import ctypes
import itertools
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import shapely
from scipy.spatial import Delaunay

from toyworld.rendering.mesh import CEILING, FLOOR, WALL, coarse_mesh_of, mesh_of
from toyworld.rooms.vocabulary import CATEGORIES
from toyworld.rooms.world import Thing, World, build_world

SHAPES = ("rectangle", "l", "t", "flat")
WORLDS = [build_world(seed, shape=shape) for shape in SHAPES for seed in range(6)]
HEAD = 1.9


@pytest.fixture(scope="module")
def open3d():
    libusb_package = pytest.importorskip("libusb_package")
    ctypes.CDLL(str(libusb_package.get_library_path()), mode=ctypes.RTLD_GLOBAL)
    return pytest.importorskip("open3d")


def footprint(thing: Thing) -> shapely.Polygon:
    return shapely.MultiPoint(thing.corners()[:, :2]).convex_hull


def floor_of(world: World) -> shapely.Geometry:
    return shapely.union_all([shapely.Polygon(room) for room in world.rooms])


def solid_walls(world: World) -> shapely.Geometry:
    outlines = shapely.union_all([shapely.Polygon(room).exterior for room in world.rooms])
    doors = shapely.union_all([shapely.LineString([d.start, d.end]).buffer(1e-6) for d in world.doorways])
    return outlines.difference(doors)


def test_the_same_seed_gives_the_same_world_and_bytes_and_another_seed_does_not():
    again = build_world(3, shape="flat")
    world = WORLDS[SHAPES.index("flat") * 6 + 3]
    assert again == world
    for make in (mesh_of, coarse_mesh_of):
        a, b = make(again), make(world)
        for name in ("vertices", "faces", "colors", "thing_ids"):
            assert getattr(a, name).tobytes() == getattr(b, name).tobytes()
    assert build_world(4, shape="flat").things != world.things


def test_the_shape_decides_rooms_and_corners():
    corners = {"rectangle": 4, "l": 6, "t": 8}
    for world, (shape, _) in zip(WORLDS, itertools.product(SHAPES, range(6))):
        if shape == "flat":
            assert len(world.rooms) >= 2 and len(world.doorways) == len(world.rooms) - 1
            assert world.scene_type == "apartment"
        else:
            assert [len(room) for room in world.rooms] == [corners[shape]] and not world.doorways


@pytest.mark.parametrize("world", WORLDS, ids=lambda world: f"{world.seed}-{world.scene_type}")
def test_things_stand_inside_rooms_and_no_two_boxes_intersect(world):
    rooms = [shapely.Polygon(room).buffer(1e-6) for room in world.rooms]
    plans = [footprint(thing) for thing in world.things]
    for thing, plan in zip(world.things, plans):
        assert any(room.contains(plan) for room in rooms)
        low, high = thing.corners()[:, 2].min(), thing.corners()[:, 2].max()
        assert low > -1e-6 and high < world.height
    for (a, p), (b, q) in itertools.combinations(zip(world.things, plans), 2):
        lift = min(a.corners()[:, 2].max(), b.corners()[:, 2].max())
        lift -= max(a.corners()[:, 2].min(), b.corners()[:, 2].min())
        assert lift < 1e-4 or p.intersection(q).area < 1e-9, (a, b)


@pytest.mark.parametrize("world", WORLDS, ids=lambda world: f"{world.seed}-{world.scene_type}")
def test_a_person_can_walk_everywhere(world):
    obstacles = [footprint(t) for t in world.things if t.corners()[:, 2].min() < HEAD]
    blocked = shapely.union_all([*obstacles, solid_walls(world)]).buffer(0.3)
    free = floor_of(world).difference(blocked)
    pieces = sorted((piece.area for piece in shapely.get_parts(free)), reverse=True)
    # Free floor is a 10 cm grid, so corners smaller than a few cells may be cut off.
    assert pieces[0] > 2.0
    assert pieces[0] / sum(pieces) > 0.97
    for room in world.rooms:
        assert free.intersection(shapely.Polygon(room)).area > 0.2


def test_worlds_have_something_to_ask_in_every_dataset():
    for world in WORLDS:
        assert 15 <= len(world.things) <= 40
        counts = Counter(thing.category for thing in world.things)
        assert list(counts.values()).count(1) >= 5
        for dataset in ("scannet", "scannetpp", "arkitscenes"):
            asked = [n for category, n in counts.items() if dataset in CATEGORIES[category].asked_as]
            assert len(asked) >= 5 and asked.count(1) >= 3 and max(asked) >= 2
        assert [thing.thing_id for thing in world.things] == list(range(len(world.things)))


def test_every_category_occurs_and_those_that_may_repeat_occur_once_and_more_often():
    seen = {category: set() for category in CATEGORIES}
    for seed in range(70):
        for category, n in Counter(thing.category for thing in build_world(seed).things).items():
            seen[category].add(n)
    assert all(seen.values())
    for category, numbers in seen.items():
        assert max(numbers) <= CATEGORIES[category].most
        assert CATEGORIES[category].most == 1 or (1 in numbers and max(numbers) > 1), category


def test_distances_between_centres_spread_over_what_questions_ask():
    distances = np.concatenate(
        [
            [np.linalg.norm(np.subtract(a.center, b.center)) for a, b in itertools.combinations(w.things, 2)]
            for w in WORLDS
        ]
    )
    shares = np.histogram(distances, [0, 1, 2, 3, 4, 5, 99])[0] / len(distances)
    assert shares.min() > 0.02


def test_categories_differ_in_colours_and_in_their_names_in_each_dataset():
    pairs = {name: np.array([category.color, category.accent], dtype=float) for name, category in CATEGORIES.items()}
    for a, b in itertools.combinations(pairs, 2):
        same = np.linalg.norm(pairs[a] - pairs[b], axis=1).max()
        swapped = np.linalg.norm(pairs[a] - pairs[b][::-1], axis=1).max()
        assert min(same, swapped) > 50, (a, b)
    for dataset in ("scannet", "scannetpp", "arkitscenes"):
        asked = [category.asked_as[dataset] for category in CATEGORIES.values() if dataset in category.asked_as]
        assert len(asked) == len(set(asked)) >= 13
        assert all(category.labels.get(dataset) for category in CATEGORIES.values() if dataset in category.asked_as)


@pytest.mark.parametrize("category", CATEGORIES)
@pytest.mark.parametrize("yaw, extreme", [(0.0, "smallest"), (37.0, "largest")])
def test_the_minimal_box_of_a_things_vertices_is_its_box(open3d, category, yaw, extreme):
    size = getattr(CATEGORIES[category], extreme)
    thing = Thing(0, category, (1.5, -0.7, 0.1 + size[2] / 2), size, yaw)
    room = ((-9.0, -9.0), (9.0, -9.0), (9.0, 9.0), (-9.0, 9.0))
    mesh = mesh_of(World("alone", 0, (room,), 3.0, (thing,), "office"), spacing=0.3)
    points = mesh.vertices[mesh.thing_ids == 0]

    inside = (points - thing.center) @ thing.rotation()
    assert (np.abs(inside) <= np.array(size) / 2 + 1e-9).all()
    gaps = np.linalg.norm(points[None] - thing.corners()[:, None], axis=2).min(axis=1)
    assert gaps.max() < 1e-9, "a corner of the box is not reached"

    box = open3d.geometry.PointCloud(open3d.utility.Vector3dVector(points)).get_minimal_oriented_bounding_box()
    corners = np.asarray(box.get_box_points())
    apart = np.linalg.norm(corners[None] - thing.corners()[:, None], axis=2).min(axis=1)
    assert apart.max() < 0.01
    assert np.allclose(sorted(box.extent), sorted(size), atol=0.01)


@pytest.mark.parametrize("world", WORLDS[::3], ids=lambda world: f"{world.seed}-{world.scene_type}")
def test_the_alpha_shape_of_ten_thousand_vertices_has_the_area_of_the_rooms(world):
    vertices = mesh_of(world).vertices
    draw = np.random.default_rng(0).integers(0, len(vertices), 10_000)
    points = np.unique(vertices[draw, :2], axis=0)
    triangles = points[Delaunay(points).simplices]
    a, b, c = (np.linalg.norm(triangles[:, k] - triangles[:, k - 1], axis=1) for k in range(3))
    (x1, y1), (x2, y2) = (triangles[:, 1] - triangles[:, 0]).T, (triangles[:, 2] - triangles[:, 0]).T
    area = np.abs(x1 * y2 - x2 * y1) / 2
    small = a * b * c < 4 * area * 0.2
    outline = shapely.union_all([shapely.Polygon(t) for t in triangles[small & (area > 1e-9)]])
    filled = shapely.union_all([shapely.Polygon(part.exterior) for part in shapely.get_parts(outline)])
    truth = sum(shapely.Polygon(room).area for room in world.rooms)
    assert filled.area == pytest.approx(truth, rel=0.01)


def test_the_released_mesh_has_a_whole_fine_floor_and_every_thing():
    world = WORLDS[1]
    mesh = mesh_of(world)
    assert set(np.unique(mesh.thing_ids)) == {FLOOR, WALL, CEILING, *range(len(world.things))}
    assert 15_000 < len(mesh.vertices) < 60_000
    floor = mesh.faces[mesh.thing_ids[mesh.faces[:, 0]] == FLOOR]
    corners = mesh.vertices[floor]
    assert np.abs(corners[:, :, 2]).max() == 0
    edges = corners - np.roll(corners, 1, axis=1)
    assert np.abs(edges).max() <= 0.06 + 1e-9
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    assert (normals[:, 2] > 0).all()
    assert normals[:, 2].sum() / 2 == pytest.approx(floor_of(world).area)
    assert floor_of(world).buffer(1e-6).contains(shapely.MultiPoint(mesh.vertices[:, :2]))


def test_both_meshes_are_the_same_surface_but_for_the_ceiling():
    world = WORLDS[-1]

    def areas(mesh):
        a, b, c = (mesh.vertices[mesh.faces[:, k]] for k in range(3))
        area = np.linalg.norm(np.cross(b - a, c - a), axis=1) / 2
        owner = mesh.thing_ids[mesh.faces[:, 0]]
        return {k: area[owner == k].sum() for k in np.unique(owner)}

    fine, coarse = areas(mesh_of(world)), areas(coarse_mesh_of(world))
    assert fine.pop(CEILING) < 0.7 * coarse.pop(CEILING)
    assert fine == pytest.approx(coarse)


def test_openings_are_open_up_to_the_lintel():
    world = next(w for w in WORLDS if w.doorways)
    mesh = coarse_mesh_of(world)
    doorway = world.doorways[0]
    middle = (np.array(doorway.start) + doorway.end) / 2
    along = np.subtract(doorway.end, doorway.start) / np.linalg.norm(np.subtract(doorway.end, doorway.start))
    walls = mesh.vertices[mesh.faces[mesh.thing_ids[mesh.faces[:, 0]] == WALL]]

    def covered(z: float) -> bool:
        point = np.array([*middle, z])
        for corners in walls:
            normal = np.cross(corners[1] - corners[0], corners[2] - corners[0])
            if abs(normal @ (point - corners[0])) > 1e-6 * np.linalg.norm(normal):
                continue
            flat = np.column_stack([(corners[:, :2] - middle) @ along, corners[:, 2] - z])
            in_plane = abs((corners[:, :2] - middle) @ (-along[1], along[0])).max() < 1e-6
            if in_plane and shapely.Polygon(flat).buffer(1e-9).contains(shapely.Point(0, 0)):
                return True
        return False

    assert not covered(1.0) and not covered(doorway.height - 0.05)
    assert covered(doorway.height + 0.05)


def test_pale_rooms_vary_with_the_seed_and_stay_paler_than_things():
    tones = []
    for seed in range(5):
        mesh = coarse_mesh_of(replace(WORLDS[0], seed=seed))
        room = mesh.colors[mesh.thing_ids < 0].astype(int)
        assert np.ptp(room, axis=1).max() < 45 and room.min() > 120
        tones.append(tuple(room.mean(axis=0)))
    assert len(set(tones)) == 5


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"n_objects": (5, 4)}, "n_objects"),
        ({"n_objects": (0, 4)}, "n_objects"),
        ({"shape": "round"}, "shape must be one of rectangle, l, t, flat"),
        ({"n_objects": (500, 500)}, "at most"),
    ],
)
def test_impossible_worlds_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        build_world(0, **arguments)


def test_a_world_may_hold_very_few_things():
    assert len(build_world(0, (1, 1)).things) == 1
    assert 3 <= len(build_world(1, (3, 5), "flat").things) <= 5
