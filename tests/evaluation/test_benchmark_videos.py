"""Videos of the benchmark: as files or members of archives, whole or damaged."""

from __future__ import annotations

import struct
import zipfile

import pytest

from evaluation import vsibench_release
from evaluation.prepared import AGAIN, own_folder, prepare
from evaluation.vsibench_release import write_video
from rollout3d.evaluation.benchmarks import BenchmarkError
from rollout3d.evaluation.benchmarks._videos import Packed, Source, sample_video
from rollout3d.geometry.frames import frame_set


def patch(path, box, offset, data):
    """Overwrite bytes of an MP4 box's body."""
    content = bytearray(path.read_bytes())
    at = content.index(box) + 4 + offset
    content[at : at + len(data)] = data
    path.write_bytes(bytes(content))


def sample(path, n):
    shown = [frame_set(f"uniform{n}")]
    return [found[:3] for found in sample_video(Source(path), shown, "download it again")]


def test_rotation_stated_by_the_container_makes_frames_upright(tmp_path):
    path = tmp_path / "turned.mp4"
    write_video(path, n=2, corner=True)
    _, _, stored = sample(path, 1)[0]
    assert stored.shape == (64, 96, 3) and stored[8, 8].min() > 200
    # Display matrix of "turn a quarter clockwise": x' = -y + 64, y' = x.
    patch(path, b"tkhd", 40, struct.pack(">9i", 0, 1 << 16, 0, -1 << 16, 0, 0, 64 << 16, 0, 1 << 30))
    _, _, upright = sample(path, 1)[0]
    assert upright.shape == (96, 64, 3)
    assert upright[8, -8].min() > 200 and upright[8, 8].max() < 50 and upright[-8, -8].max() < 50


def test_indices_count_the_frames_that_an_edit_list_shows(tmp_path):
    path = tmp_path / "cut.mp4"
    write_video(path)
    patch(path, b"elst", 12, struct.pack(">i", 4096))  # the edit list starts at frame 4 of 12
    got = sample(path, 2)
    assert [index for index, _, _ in got] == [0, 7]
    assert [seconds for _, seconds, _ in got] == pytest.approx([0, 0.7])
    assert abs(got[0][2].mean() - 80) < 6 and abs(got[1][2].mean() - 220) < 6


def test_a_cut_video_is_named_with_the_remedy(release):
    content = own_folder(release, "scannetpp")
    (release / "scannetpp").mkdir()
    for scene, data in content.items():
        (release / "scannetpp" / f"{scene}.mp4").write_bytes(data)
    first = release / "scannetpp" / f"{sorted(content)[0]}.mp4"
    write_video(first, faststart=True)
    first.write_bytes(first.read_bytes()[:-60])
    with pytest.raises(BenchmarkError, match=f"{first}: .*1[012] .*delete it, and run `{AGAIN}"):
        list(prepare(release, {"datasets": ["scannetpp"]}).frames)
    first.write_bytes(b"not a video")
    with pytest.raises(BenchmarkError, match=f"{first}: cannot be opened as a video.*{AGAIN}"):
        list(prepare(release, {"datasets": ["scannetpp"]}).frames)


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("folder", ["scannetpp", "vsi/scannetpp", "."])
def test_archives_are_read_as_downloaded(release, folder, compression):
    part = {"datasets": ["scannetpp"]}
    unpacked = list(prepare(release, part).frames)
    vsibench_release.pack(release, "scannetpp", own_folder(release, "scannetpp"), folder, compression)
    before = sorted(release.rglob("*"))
    assert list(prepare(release, part).frames) == unpacked
    assert sorted(release.rglob("*")) == before, "nothing is extracted"


def test_a_damaged_member_names_archive_and_member(release):
    content = own_folder(release, "scannetpp")
    vsibench_release.pack(release, "scannetpp", content)
    archive, name = release / "scannetpp.zip", sorted(content)[7]
    data = bytearray(archive.read_bytes())
    with zipfile.ZipFile(archive) as opened:
        at = opened.getinfo(f"scannetpp/{name}.mp4").header_offset
    data[at + 500] ^= 4
    archive.write_bytes(bytes(data))
    with pytest.raises(BenchmarkError, match=rf"{archive}: member scannetpp/{name}\.mp4 is damaged .*{AGAIN}"):
        list(prepare(release, {"datasets": ["scannetpp"]}).frames)


def test_a_cut_archive_is_named(release):
    vsibench_release.pack(release, "scannetpp", own_folder(release, "scannetpp"))
    archive = release / "scannetpp.zip"
    archive.write_bytes(archive.read_bytes()[:-1000])
    with pytest.raises(BenchmarkError, match=rf"{archive}: not a readable zip archive .*{AGAIN}"):
        prepare(release, {"datasets": ["scannetpp"]})


@pytest.mark.parametrize("name", ["../evil.mp4", "/etc/evil.mp4", "scannetpp\\..\\evil.mp4"])
def test_names_that_leave_the_archive_are_refused(release, name):
    vsibench_release.pack(release, "scannetpp", own_folder(release, "scannetpp"))
    with zipfile.ZipFile(release / "scannetpp.zip", "a") as archive:
        archive.writestr(name, b"x")
    with pytest.raises(BenchmarkError, match=r"scannetpp\.zip: member .*evil\.mp4' points out of the archive"):
        prepare(release, {"datasets": ["scannetpp"]})


def test_a_video_that_an_archive_holds_twice_is_refused(release):
    content = own_folder(release, "scannetpp")
    vsibench_release.pack(release, "scannetpp", content)
    with zipfile.ZipFile(release / "scannetpp.zip", "a") as archive:
        archive.writestr(f"old/{sorted(content)[0]}.mp4", b"x")
    prepare(release, {"datasets": ["scannetpp"]})  # the folder tells which one is meant
    with zipfile.ZipFile(release / "scannetpp.zip", "a") as archive:
        archive.writestr(f"b/scannetpp/{sorted(content)[0]}.mp4", b"x")
    with pytest.raises(BenchmarkError, match="3 members are the video"):
        prepare(release, {"datasets": ["scannetpp"]})


def test_an_unpacked_video_is_held_against_its_archive(release):
    """A flipped bit that the decoder does not notice: the archive's checksum does."""
    content = own_folder(release, "scannetpp")
    vsibench_release.pack(release, "scannetpp", content)
    (release / "scannetpp").mkdir()
    first = release / "scannetpp" / f"{sorted(content)[0]}.mp4"
    first.write_bytes(content[first.stem])
    assert len(list(prepare(release, {"datasets": ["scannetpp"]}).frames)) == 50 * 4
    data = bytearray(content[first.stem])
    data[-1] ^= 1
    first.write_bytes(bytes(data))
    with pytest.raises(BenchmarkError, match=f"{first}: not the video that scannetpp.zip holds as scannetpp/"):
        list(prepare(release, {"datasets": ["scannetpp"]}).frames)


def test_a_member_of_zeros_is_refused_before_it_is_unpacked(tmp_path, monkeypatch):
    """200 kB that would be 200 MB."""
    path = tmp_path / "scannetpp.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("a.mp4", "w") as member:
        for _ in range(200):
            member.write(bytes(1 << 20))
    with zipfile.ZipFile(path) as archive:
        source = Source(None, Packed(path, archive.getinfo("a.mp4")))
    monkeypatch.setattr(zipfile.ZipFile, "read", lambda *_: pytest.fail("unpacked"))
    with pytest.raises(BenchmarkError, match=rf"{path}: member a\.mp4 claims {200 << 20} bytes, too many for a video"):
        source.open("download it again")
