import gzip
import lzma
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers import CourseError
from helpers.korean_pretraining.corpus import (
    as_paths,
    blank_lines_at_border,
    read_documents,
    read_lines,
)

TEXT = "가나 다.\n라마.\n\n바사.\n"
DOCUMENTS = [["가나 다.", "라마."], ["바사."]]


def written(tmp_path, content: bytes, name="corpus.txt"):
    path = tmp_path / name
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    "pack, name", [(bytes, "a.txt"), (lzma.compress, "a.xz"), (gzip.compress, "a.gz")]
)
def test_plain_and_packed_text_read_the_same(tmp_path, pack, name):
    assert list(read_documents(written(tmp_path, pack(TEXT.encode()), name))) == DOCUMENTS


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(TEXT.replace("\n", "\r\n"), id="CRLF"),
        pytest.param("\ufeff" + TEXT, id="BOM"),
        pytest.param(TEXT.rstrip("\n"), id="no final newline"),
        pytest.param("\n\n" + TEXT + "\n\n", id="blank lines at both ends"),
        pytest.param(TEXT.replace("\n\n", "\n \t\n\u3000\n\n"), id="blank lines of white space"),
        pytest.param(TEXT.replace("\n\n", "\n" * 6), id="empty documents"),
        pytest.param("  " + TEXT.replace("\n", "  \n"), id="spaces around lines"),
        pytest.param(unicodedata.normalize("NFD", TEXT), id="NFD"),
        pytest.param("\ufeff\n" + TEXT, id="BOM alone on the first line"),
    ],
)
def test_every_habit_of_writing_text_gives_the_same_documents(tmp_path, text):
    assert list(read_documents(written(tmp_path, text.encode()))) == DOCUMENTS


def test_a_files_end_ends_its_document(tmp_path):
    paths = [written(tmp_path, b"a\nb", "1.txt"), written(tmp_path, b"c", "2.txt")]
    assert list(read_documents(paths)) == [["a", "b"], ["c"]]
    assert list(read_documents(str(paths[0]))) == [["a", "b"]]


def test_empty_file_has_no_documents(tmp_path):
    assert list(read_documents(written(tmp_path, b"\n\n"))) == []
    assert list(read_documents(written(tmp_path, b""))) == []


def test_blank_line_after_every_sentence(tmp_path):
    spaced = written(tmp_path, b"a\n\nb\n\n\nc\n\nd\n\n\n\ne\n")
    assert blank_lines_at_border(spaced) == 2
    assert list(read_documents(spaced)) == [["a", "b"], ["c", "d"], ["e"]]
    # Without a longer gap nothing tells sentences from documents: each line is one.
    assert list(read_documents(written(tmp_path, b"a\n\nb\n\nc\n"))) == [["a"], ["b"], ["c"]]
    # One pair of neighbouring sentences is enough to know that a blank line is a border.
    mixed = written(tmp_path, b"a\n\nb\n\n\nc\nd\n")
    assert list(read_documents(mixed)) == [["a"], ["b"], ["c", "d"]]
    # How many blank lines a file begins or ends with says nothing.
    framed = written(tmp_path, b"\n\na\n\nb\n\nc\n\n\n")
    assert list(read_documents(framed)) == [["a"], ["b"], ["c"]]


words = st.text(st.characters(min_codepoint=0xAC00, max_codepoint=0xD7A3), min_size=1, max_size=3)
documents = st.lists(st.lists(words, min_size=1, max_size=4), min_size=1, max_size=6)


@given(
    documents=documents,
    spaced=st.booleans(),
    data=st.data(),
    newline=st.sampled_from(["\n", "\r\n"]),
    form=st.sampled_from(["NFC", "NFD"]),
    bom=st.booleans(),
)
@settings(deadline=None)
def test_any_layout_gives_the_documents_back(
    tmp_path_factory, documents, spaced, data, newline, form, bom
):
    # Where each document is one sentence, only gaps of one length are unambiguous.
    alone = all(len(document) == 1 for document in documents)
    spaced = spaced and len(documents) > 1
    gap = st.integers(2 if spaced else 1, 4)
    same = data.draw(gap)
    lines = [""] * data.draw(st.integers(0, 3))
    for document in documents:
        for sentence in document:
            lines += [sentence, ""] if spaced else [sentence]
        lines += [""] * ((same if alone else data.draw(gap)) - spaced)
    text = unicodedata.normalize(form, newline.join(lines)) + newline * data.draw(st.integers(0, 2))
    path = tmp_path_factory.getbasetemp() / "layout.txt"
    path.write_bytes(("\ufeff" * bom + text).encode())
    assert list(read_documents(path)) == documents


def test_invalid_utf8_names_file_and_line(tmp_path):
    path = written(tmp_path, "첫째 줄\n둘째 줄\n".encode() + "셋째".encode("cp949") + b"\n")
    with pytest.raises(CourseError, match=r"corpus\.txt' 3번째 줄이 UTF-8이 아닙니다.*다시 저장"):
        list(read_lines(path))
    with pytest.raises(CourseError, match="1번째 줄"):
        list(read_lines(written(tmp_path, "한글".encode("utf-16"))))


@pytest.mark.parametrize("pack, name", [(lzma.compress, "a.xz"), (gzip.compress, "a.gz")])
def test_broken_archive_is_one_sentence(tmp_path, pack, name):
    packed = bytearray(pack("\n".join(map(str, range(5000))).encode()))
    overwritten = bytes(packed[:200]) + bytes(100) + bytes(packed[300:])
    for broken in (bytes(packed[: len(packed) // 2]), b"no archive", overwritten):
        with pytest.raises(CourseError, match="손상되었습니다. 다시 받아"):
            list(read_lines(written(tmp_path, broken, name)))


def test_missing_file_folder_or_no_file_at_all(tmp_path):
    with pytest.raises(CourseError, match="'no.txt'이.* 없습니다"):
        as_paths("no.txt")
    with pytest.raises(CourseError, match="없습니다"):
        as_paths([tmp_path])
    with pytest.raises(CourseError, match="하나도 없습니다"):
        as_paths([])


@pytest.mark.parametrize(
    "encoding, named",
    [("cp949", "CP949로"), ("utf-16", "UTF-16으로"), ("utf-16-be", "UTF-16으로")],
)
def test_other_encodings_of_korean_are_named(tmp_path, encoding, named):
    path = tmp_path / "other.txt"
    path.write_bytes("대한민국의 수도는 서울이다.\n".encode(encoding))
    with pytest.raises(CourseError, match=f"1번째 줄이 UTF-8이 아닙니다.{named} 보입니다.*UTF-8로"):
        list(read_documents(path))


def test_bytes_that_could_be_anything_are_not_named(tmp_path):
    path = tmp_path / "bytes.txt"
    path.write_bytes(b"\xff\x80\xfe\n")
    with pytest.raises(CourseError, match="UTF-8이 아닙니다. 파일을"):
        list(read_documents(path))
