"""Progress lines in a log."""

from rollout3d import progress


def test_time_left_follows_the_pace_of_this_process(monkeypatch, capsys):
    clock = iter(range(0, 10_000, 10))
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    assert list(progress.progress(iter("abcd"), "questions", total=100, before=96)) == list("abcd")
    # One in 20 s, three in 40 s: the items that an earlier process finished do not count.
    assert capsys.readouterr().err.splitlines() == [
        "questions 97/100, 0:01:00 left",
        "questions 99/100, 0:00:13 left",
        "questions 100/100, 0:00:50 in all",
    ]


def test_a_line_counts_what_was_done_before(capsys):
    assert list(progress.progress([1, 2], "questions", before=3, every_s=0)) == [1, 2]
    assert capsys.readouterr().err.splitlines()[1:] == ["questions 4/5, 0:00:00 left", "questions 5/5, 0:00:00 in all"]
