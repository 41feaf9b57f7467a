"""Damage of zip archives, pictures and videos that a decoder or packer still reads, and bombs for them."""

from __future__ import annotations

import io
import random
import struct
import zipfile
import zlib
from collections.abc import Callable
from functools import cache

import av
import cv2
import numpy as np

from fuzzing.mutations import BYTES, Mutation

# --- zip archives ----------------------------------------------------------------------------------------------------


def _members(data: bytes) -> list[tuple[str, bytes]]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return [(info.filename, archive.read(info)) for info in archive.infolist()]


def packed(members: list[tuple[str, bytes]], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compression) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return out.getvalue()


def zip_without_members(data, rng):
    return packed([])


def zip_member_lost(data, rng):
    members = _members(data)
    del members[rng.randrange(len(members))]
    return packed(members)


def zip_member_renamed(data, rng):
    members = _members(data)
    at = rng.randrange(len(members))
    name = members[at][0]
    folder, _, file = name.rpartition("/")
    names = (f"x/{file}", file, f"../{name}", f"/{name}", f"..\\{file}", f"{folder}/{file}.txt", f"{folder}/-1.png")
    members[at] = (rng.choice((*names, f"{folder}/999999999.png", "C:/x")), members[at][1])
    return packed(members)


def zip_member_twice(data, rng):
    members = _members(data)
    return packed([*members, (members[0][0], rng.choice(members)[1])])


def zip_member_damaged(data, rng):
    members = _members(data)
    at = rng.randrange(len(members))
    members[at] = members[at][0], rng.choice(BYTES)(members[at][1], rng)
    return packed(members)


def zip_member_of_other_content(data, rng):
    members = _members(data)
    at = rng.randrange(len(members))
    members[at] = members[at][0], rng.choice(PICTURES)(members[at][1], rng)
    return packed(members)


def zip_checksum_wrong(data, rng):
    at = data.find(b"PK\x01\x02")
    return data if at < 0 else data[: at + 16] + rng.randbytes(4) + data[at + 20 :]


def zip_encrypted(data, rng):
    at = data.find(b"PK\x01\x02")
    return data if at < 0 else data[: at + 8] + bytes([data[at + 8] | 1]) + data[at + 9 :]


def zip_size_forged(data, rng):
    at = data.find(b"PK\x01\x02")
    return (
        data if at < 0 else data[: at + 24] + struct.pack("<I", rng.choice((0, 1, 2**31, 2**32 - 2))) + data[at + 28 :]
    )


@cache
def _zeros(megabytes: int, wbits: int) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, wbits)
    return b"".join(packer.compress(bytes(1 << 20)) for _ in range(megabytes)) + packer.flush()


def zip_bomb(data, rng):
    """The first member once more alone, as 300 MB of zeros in 300 kB."""
    name, body, size = _members(data)[0][0].encode(), _zeros(300, -15), 300 << 20
    about = (8, 0, 0, 0, len(body), size, len(name))  # deflate, no time, no checksum
    local = struct.pack("<4s5H3I2H", b"PK\x03\x04", 20, 0, *about, 0) + name
    central = struct.pack("<4s6H3I5H2I", b"PK\x01\x02", 20, 20, 0, *about, *(0,) * 6) + name
    end = struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, 1, 1, len(central), len(local) + len(body), 0)
    return local + body + central + end


ZIP: list[Mutation] = [
    *(zip_without_members, zip_member_lost, zip_member_renamed, zip_member_renamed, zip_member_twice),
    *(zip_member_damaged, zip_member_of_other_content, zip_checksum_wrong, zip_encrypted, zip_size_forged, zip_bomb),
]


# --- pictures --------------------------------------------------------------------------------------------------------


def _redrawn(change: Callable[[np.ndarray, random.Random], np.ndarray]) -> Mutation:
    def mutation(data: bytes, rng: random.Random) -> bytes:
        picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED) if data else None
        if picture is None:
            return data
        suffix = ".png" if data.startswith(b"\x89PNG") else ".jpg"
        return cv2.imencode(suffix, change(picture, rng))[1].tobytes()

    mutation.__name__ = change.__name__
    return mutation


@_redrawn
def picture_of_another_size(picture, rng):
    height, width = picture.shape[:2]
    return cv2.resize(picture, rng.choice(((width // 2, height // 2), (width, height + 1), (height, width), (1, 1))))


@_redrawn
def picture_of_other_depth(picture, rng):
    return (picture // 256).astype(np.uint8) if picture.dtype == np.uint16 else picture.astype(np.uint16) * 257


@_redrawn
def picture_of_other_channels(picture, rng):
    return np.dstack([picture] * 3) if picture.ndim == 2 else picture[..., 0]


@_redrawn
def picture_with_alpha(picture, rng):
    return picture if picture.ndim == 2 else np.dstack([picture, picture[..., :1]])


@_redrawn
def picture_of_nothing(picture, rng):
    return np.zeros_like(picture)


def picture_in_another_format(data, rng):
    picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if data else None
    return (
        data if picture is None else cv2.imencode(rng.choice((".bmp", ".jpg", ".png", ".webp")), picture)[1].tobytes()
    )


def picture_claims_gigabytes(data, rng):
    width, height = rng.choice(((60_000, 60_000), (2**31 - 1, 2**31 - 1), (1, 2**31), (0, 0), (65_535, 65_535)))
    if data.startswith(b"\x89PNG"):
        head = data[12:16] + struct.pack(">II", width, height) + data[24:29]
        return data[:12] + head + struct.pack(">I", zlib.crc32(head)) + data[33:]
    at = next((data.find(bytes((0xFF, each))) for each in (0xC0, 0xC2) if bytes((0xFF, each)) in data), -1)
    return data if at < 0 else data[: at + 5] + struct.pack(">HH", min(height, 65_535), 65_535) + data[at + 9 :]


def picture_of_a_gigapixel(data, rng):
    """A grey PNG of one bit per pixel: 100 kB, and gigabytes once decoded."""
    side = 30_000
    body = _zeros(side * (1 + side // 8) // (1 << 20) + 1, 15)
    parts = [(b"IHDR", struct.pack(">II5B", side, side, 1, 0, 0, 0, 0)), (b"IDAT", body), (b"IEND", b"")]
    chunks = [
        struct.pack(">I", len(each)) + kind + each + struct.pack(">I", zlib.crc32(kind + each)) for kind, each in parts
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


PICTURES: list[Mutation] = [
    picture_of_a_gigapixel,
    *(picture_of_another_size, picture_of_other_depth, picture_of_other_channels, picture_with_alpha),
    *(picture_of_nothing, picture_in_another_format, picture_claims_gigabytes),
]


# --- videos ----------------------------------------------------------------------------------------------------------


def _reencoded(change: Callable[[list[np.ndarray], random.Random], list[np.ndarray]]) -> Mutation:
    def mutation(data: bytes, rng: random.Random) -> bytes:
        with av.open(io.BytesIO(data)) as container:
            name = "matroska" if "matroska" in container.format.name else "mp4"
            rate = container.streams.video[0].average_rate.limit_denominator(1000)
            frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
        frames = change(frames, rng)
        out = io.BytesIO()
        with av.open(out, "w", format=name) as container:
            if not frames:
                container.add_stream("aac", rate=8000)
            else:
                stream = container.add_stream("mpeg4", rate=rate)
                stream.height, stream.width = frames[0].shape[:2]
                stream.pix_fmt = "yuv420p"
                for picture in frames:
                    container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
                container.mux(stream.encode())
        return out.getvalue()

    mutation.__name__ = change.__name__
    return mutation


@_reencoded
def video_of_half_the_frames(frames, rng):
    return frames[: len(frames) // 2]


@_reencoded
def video_of_one_frame(frames, rng):
    return frames[:1]


@_reencoded
def video_of_every_second_frame(frames, rng):
    return frames[::2]


@_reencoded
def video_of_another_size(frames, rng):
    return [np.ascontiguousarray(np.rot90(frame)) for frame in frames]


@_reencoded
def video_of_black(frames, rng):
    return [np.zeros_like(frame) for frame in frames]


VIDEOS: list[Mutation] = [
    *(video_of_half_the_frames, video_of_one_frame, video_of_every_second_frame, video_of_another_size, video_of_black),
]
