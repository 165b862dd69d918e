"""Titles, artists, licenses and dates inside files, in the encodings that programs write."""

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.audio.metadata import MAX_TEXT_LENGTH, embedded_metadata
from core.audio.text_encoding import decode_texts
from tests.helpers.sound_files import encoded, tone, wav_with_info, written

RATE_HZ = 48_000
TAGS = {
    "title": "Möwe 雨 Дождь",
    "artist": "Ada Ω",
    "copyright": "CC0",
    "comment": "by the sea",
    "date": "2024-05-01",
}
CONTAINERS = {
    "m4a": ("ipod", "aac"),
    "mp4": ("mp4", "aac"),
    "mov": ("mov", "pcm_s16le"),
    "mka": ("matroska", "flac"),
    "webm": ("webm", "libopus"),
    "opus": ("ogg", "libopus"),
    "oga": ("oga", "flac"),
    "flac": ("flac", "flac"),
    "mp3": ("mp3", "libmp3lame"),
    "wv": ("wv", "wavpack"),
    "wav": ("wav", "pcm_s16le"),
    "caf": ("caf", "pcm_s16le"),
}
TITLES = {
    "cp1252": ("Möwe", "Café – matin", "Straße im Regen", "It’s raining", "L’été à 5 €", "ÉTÉ"),
    "cp1251": ("Дождь", "Шум леса", "Птицы утром", "Ёж", "Київ", "«Тишина»", "звук_01"),
    "cp932": ("雨音", "カモメの声", "東京駅", "さくら", "BGM東京", "電車の音"),
    "gbk": ("海鸥", "北京的早晨", "鸟叫"),
    "euc_kr": ("갈매기", "서울역", "바다 소리"),
    "big5": ("海鷗", "台北車站"),
    "cp1250": ("Łódź deszcz", "Žába v rybníce", "Déšť ráno"),
    "cp1253": ("Βροχή", "Γλάρος"),
    "koi8_r": ("Дождь", "Чайка у моря"),
    "utf-8": ("Möwe", "雨", "Дождь", "비", "🌧 rain"),
}
CASES = [(encoding, title) for encoding, titles in TITLES.items() for title in titles]


def id3v2(frames, version=3):
    """Return an ID3v2 tag of text frames: {name: bytes with the mark of their encoding}."""
    body = b""
    for name, text in frames.items():
        body += name + struct.pack(">I", len(text)) + bytes(2) + text
    size = bytes(len(body) >> shift & 127 for shift in (21, 14, 7, 0))
    return b"ID3" + bytes([version, 0, 0]) + size + body


def id3v1(title, artist):
    """Return an ID3v1 tag."""
    fields = title.ljust(30, b"\0") + artist.ljust(30, b"\0") + bytes(30) + b"2024"
    return b"TAG" + fields + bytes(30) + b"\xff"


@pytest.fixture(scope="module")
def mp3():
    return encoded(
        tone(rate=RATE_HZ), RATE_HZ, "mp3", "libmp3lame", id3v2_version="0", write_xing="0"
    )


@pytest.mark.parametrize("kind", CONTAINERS)
def test_the_tags_of_every_container_are_read(kind):
    data = encoded(tone(rate=RATE_HZ), RATE_HZ, *CONTAINERS[kind], metadata=TAGS)
    texts = embedded_metadata(data)
    assert {name: texts.get(name) for name in TAGS if name != "date"} == {
        name: text for name, text in TAGS.items() if name != "date"
    }
    assert texts["recorded"] == "2024-05-01T00:00:00+00:00"


@pytest.mark.parametrize(("encoding", "title"), CASES)
def test_a_text_is_read_in_the_encoding_that_it_looks_like(encoding, title):
    assert decode_texts([title.encode(encoding)]) == [title]


@pytest.mark.parametrize(("encoding", "title"), CASES[::4])
def test_titles_in_wav_files_are_read_in_their_encoding(encoding, title):
    assert embedded_metadata(wav_with_info({b"INAM": title.encode(encoding)}))["title"] == title


def test_short_texts_are_recognised_by_the_others_of_their_file():
    assert decode_texts([text.encode("cp932") for text in ("海", "東京駅", "雨")]) == [
        "海",
        "東京駅",
        "雨",
    ]
    assert decode_texts(["雨".encode(), "Möwe".encode("cp1252")]) == ["雨", "Möwe"]


@pytest.mark.parametrize(
    "frame",
    [
        b"\1\xff\xfe" + "Möwe 雨".encode("utf-16-le"),
        b"\1\xfe\xff" + "Möwe 雨".encode("utf-16-be"),
        b"\0" + "Дождь в лесу".encode("cp1251"),
        b"\0" + "カモメの声".encode("cp932"),
        b"\0" + "Möwe".encode("latin-1"),
        b"\0" + "Möwe 雨".encode(),
    ],
    ids=["UTF-16", "UTF-16 BE", "cp1251", "Shift-JIS", "Latin-1", "UTF-8 as Latin-1"],
)
def test_id3_titles_are_read_whatever_their_tag_calls_them(mp3, frame):
    title = embedded_metadata(id3v2({b"TIT2": frame}) + mp3)["title"]
    assert title in ("Möwe 雨", "Möwe", "Дождь в лесу", "カモメの声")
    codec = {1: "utf-16", 0: None}[frame[0]]
    assert codec is None or frame[1:].decode(codec) == title


@pytest.mark.parametrize("encoding", ["latin-1", "cp1251", "utf-8"])
def test_id3v1_is_read(mp3, encoding):
    title = "Дождь" if encoding == "cp1251" else "Möwe"
    texts = embedded_metadata(mp3 + id3v1(title.encode(encoding), b"Ada"))
    assert (texts["title"], texts["artist"]) == (title, "Ada")


def test_control_characters_and_endless_texts_do_no_harm():
    title = "gnp.\u202egpj\x1b[2J\r\n" + "x" * 10_000
    text = embedded_metadata(wav_with_info({b"INAM": title.encode(), b"ICMT": b"a\r\nb\x07"}))
    assert len(text["title"]) <= MAX_TEXT_LENGTH
    assert text["title"].isprintable()
    assert text["title"].startswith("gnp. gpj [2J xxx")
    assert text["comment"] == "a\nb"


@settings(max_examples=50, deadline=None)
@given(st.binary(max_size=60), st.binary(max_size=60))
def test_any_bytes_become_texts_that_can_be_kept(title, comment):
    texts = embedded_metadata(wav_with_info({b"INAM": title, b"ICMT": comment}))
    for text in texts.values():
        assert text
        assert text.encode().decode() == text
        assert all(each.isprintable() or each in "\n" or not each.isascii() for each in text)


@pytest.mark.parametrize(
    ("date", "creation_time", "recorded"),
    [
        ("2024-05-01", "2024-05-01T10:00:00Z", "2024-05-01T10:00:00+00:00"),
        ("", "2024-05-01T10:00:00+02:00", "2024-05-01T08:00:00+00:00"),
        ("2024-05-01T10:00:00", "", "2024-05-01T10:00:00+00:00"),
        ("9999-12-31T23:59:59-12:00", "", None),
        ("0001-01-01", "", None),
        ("2024-13-41", "", None),
    ],
)
def test_the_time_of_recording_is_the_one_that_the_file_names(date, creation_time, recorded):
    named = {"date": date, "creation_time": creation_time}
    tags = {name: text for name, text in named.items() if text}
    data = encoded(tone(rate=RATE_HZ), RATE_HZ, "matroska", "flac", metadata=tags)
    assert embedded_metadata(data).get("recorded") == recorded


@pytest.mark.parametrize("data", [b"", b"RIFF", b"text" * 200, written(tone())], ids=len)
def test_a_file_without_tags_has_none(data):
    assert embedded_metadata(data).get("title") is None
