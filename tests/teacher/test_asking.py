"""Many questions side by side: bounded memory, order, ends."""

from __future__ import annotations

import gc
import os
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest

from rollout3d.teacher.asking import PREPARING, Answered, Asking, TooManyFailed, ask_all, side_by_side
from rollout3d.teacher.errors import TeacherRefused
from rollout3d.teacher.pictures import KEPT_SCENES, Image, ScenePictures
from teacher.server import Chat, serve
from teacher.stage_world import GOOD, World


def good(item):
    return Answered([{"item": item}], True)


def test_few_questions_wait_however_many_there_are():
    taken = []

    def source():
        for n in range(500):
            taken.append(n)
            yield n

    ahead = [len(taken) - done for done, _ in enumerate(side_by_side(lambda n: n, source(), 4))]
    assert len(ahead) == 500 and max(ahead) <= 8 + 4


@pytest.mark.parametrize("workers", [1, 5])
def test_every_question_is_answered_once(workers):
    rows, failed = ask_all(range(200), good, Asking(workers))
    assert sorted(row["item"] for row in rows) == list(range(200)) and failed == []


def test_an_error_ends_the_work_when_what_is_in_flight_has_ended():
    started, ended = [], []

    def ask(n):
        started.append(n)
        if n == 3:
            raise TeacherRefused("no money")
        time.sleep(0.1)
        ended.append(n)
        return good(n)

    with pytest.raises(TeacherRefused, match=r"^no money: \d paid replies$"):
        ask_all(range(500), ask, Asking(4, kept=lambda: f"{len(ended)} paid replies"))
    assert len(started) < 20 and set(ended) == set(started) - {3}


def test_a_share_that_cannot_be_kept_any_more_ends_the_work_at_once():
    asked = []

    def ask(n):
        asked.append(n)
        return Answered([], False, "no")

    with pytest.raises(TooManyFailed, match=r"here: the requests of 11 of 100 questions failed.*MAX_SHARE_FAILED"):
        ask_all(range(100), ask, Asking(1, 0.1, "here"))
    assert len(asked) == 11


def test_progress_shows_done_accepted_failed_dollars_and_time(capsys):
    ask_all([0, 1, 2], lambda n: Answered([], n == 0, "no" if n == 1 else None), Asking(spent_usd=lambda: 1.234))
    assert capsys.readouterr().err == "questions 3/3, 1 accepted, 1 failed, 1.23 dollars, 0:00:00 in all\n"


def test_pictures_are_read_once_per_scene_and_forgotten():
    read = []

    def pictures(scene):
        read.append(scene)
        return [Image(scene.encode(), "image/png", 1, 1)]

    shown = ScenePictures(pictures, kept=2)
    threads = [threading.Thread(target=lambda: shown["a"]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert read == ["a"]
    assert [shown[scene][0].data for scene in "abacb"] == [b"a", b"b", b"a", b"c", b"b"]
    assert read == ["a", "b", "c", "b"], "the scene that was not shown for longest goes first"


def pictures_alive(folder):
    """Pictures in memory at every tenth of 120 questions about 60 scenes."""
    os.environ |= dict.fromkeys(("OPENAI_API_KEY", "ROLLOUT3D_SITE"), "")
    world, alive = World(folder, 120, 60), []

    def plan(body, n):
        if n % 10 == 9:
            gc.collect()  # what only a cycle holds is no memory that grows
            alive.append(sum(type(each) is Image for each in gc.get_objects()))
        return Chat(GOOD)

    with serve(plan) as server:
        world.run(server.base_url, concurrency=3)
    return alive


def test_memory_holds_the_pictures_of_few_scenes_however_many_questions_there_are(tmp_path):
    # In a process of its own: pytest keeps what is logged, and earlier tests may have left handlers that keep more.
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        alive = pool.submit(pictures_alive, tmp_path).result()
    per_scene = 4  # of 60 scenes: those kept, one per worker, one being read and one just forgotten
    assert 0 < max(alive) <= per_scene * (KEPT_SCENES + 3 + PREPARING + 2), alive
