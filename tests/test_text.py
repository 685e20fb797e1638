"""Files of a reader: one sentence for everything that is no file of theirs."""

import pytest

from helpers import CourseError
from helpers.entity_bert.spans import read_examples
from helpers.finetuning.evaluate import TASKS
from helpers.mask_attack.classifier import read_reviews
from helpers.similarity_chatbot import read_table

READERS = {
    "chatbot": read_table,
    "reviews": read_reviews,
    "relations": read_examples,
    **{name: task.read for name, task in TASKS.items()},
}


@pytest.mark.parametrize("path", ["a\0b", "\ud800", "x" * 5000, ".", "없음.tsv", None, 3])
@pytest.mark.parametrize("name", READERS)
def test_what_is_no_file_is_one_sentence(name, path):
    with pytest.raises(CourseError):
        READERS[name](path)


@pytest.mark.parametrize("name", READERS)
def test_another_encoding_is_named(name, tmp_path):
    file = tmp_path / "old.tsv"
    file.write_bytes("글\t라벨\n좋다\t1\n".encode("cp949"))
    with pytest.raises(CourseError, match="UTF-8"):
        READERS[name](file)
