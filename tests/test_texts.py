"""Text files of releases: encodings, and JSON objects with a repeated key."""

import codecs
import math

import pytest

from rollout3d.texts import decode, loads

TEXT = "scene0000_00\r\nbüro, café\r\n"


@pytest.mark.parametrize(
    "data",
    [
        TEXT.encode(),
        codecs.BOM_UTF8 + TEXT.encode(),
        codecs.BOM_UTF16_LE + TEXT.encode("utf-16-le"),
        codecs.BOM_UTF16_BE + TEXT.encode("utf-16-be"),
        TEXT.encode("utf-16-le"),
        TEXT.encode("utf-16-be"),
        codecs.BOM_UTF32_LE + TEXT.encode("utf-32-le"),
        TEXT.encode("latin-1"),
        TEXT.encode("cp1252"),
    ],
)
def test_every_encoding_gives_the_same_text_without_a_mark(data):
    assert decode(data) == TEXT


def test_an_empty_file_is_empty_text():
    assert decode(b"") == decode(codecs.BOM_UTF8) == ""


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"\x81\x8d scene", "neither UTF-8, UTF-16 nor Latin-1"),
        (b"scene\x01\xff", "neither UTF-8"),
        (bytes(40), "a zero byte at character 0"),
        (b"scene0000_00\n\0\n", "a zero byte at character 13"),
        (codecs.BOM_UTF16_LE + b"\x00\xd8", "cannot be decoded as UTF-16"),
        (codecs.BOM_UTF8 + b"b\xfcro", "cannot be decoded as UTF-8-SIG"),
    ],
)
def test_binary_data_is_refused_with_a_remedy(data, says):
    with pytest.raises(ValueError, match=says) as caught:
        decode(data)
    assert "save it as UTF-8, or download it again" in str(caught.value)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be", "latin-1"])
def test_json_in_any_encoding(encoding):
    assert loads('{"label": "café"}'.encode(encoding)) == {"label": "café"}


def test_a_key_with_two_values_is_refused_by_name():
    with pytest.raises(ValueError, match="two values for the key 'objectId'"):
        loads(b'{"a": [{"objectId": 1, "label": "x", "objectId": 2}]}')
    assert loads(b'{"a": {"objectId": 1, "objectId": 1}}') == {"a": {"objectId": 1}}


def test_numbers_that_are_not_finite_are_kept():
    found = loads(b'{"a": [NaN, Infinity, -Infinity]}')["a"]
    assert math.isnan(found[0]) and found[1:] == [math.inf, -math.inf]
