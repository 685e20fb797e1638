import math
import unicodedata

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mask_models import tokenizer_of
from transformers import BertConfig

from helpers import ROOT, CourseError
from helpers.finetuning import entities
from helpers.finetuning.baselines import name_dictionary
from helpers.finetuning.entities import (
    Entities,
    character_tags,
    clean_entities,
    entities_of,
    entity_f1,
    label_tags,
    piece_label,
    piece_labels,
    read_entities,
    tags_of,
)
from helpers.resources import load_tokenizer

TOKENIZER = tokenizer_of("이순신은", "조선", "한미", "##에서", "##신은", "김구", "서울", "##역")
TASK = Entities()


def write(tmp_path, lines):
    (tmp_path / "ner.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return tmp_path / "ner.tsv"


def klue(text, tags):
    return [f"{char}\t{tag}" for char, tag in zip(text, tags, strict=True)]


def config_of(examples):
    return BertConfig(**TASK.head_options(TOKENIZER, examples))


def certain(rows, config, gold):
    """Logits that say what `gold` says: a label id a piece, [CLS] and [SEP] included."""
    return [np.eye(config.num_labels)[np.maximum(row["labels"], 0)] for row in gold]


# --- tags, pieces and back -----------------------------------------------------------------------


def test_labels_of_pieces_by_hand():
    assert piece_label(["B-PS", "I-PS", "I-PS", "O"]) == "B-PS:3 O"
    assert piece_label(["I-PS", "O", "O"]) == "I-PS:1 O"
    assert piece_label(["B-OG", "B-OG"]) == "B-OG:1 B-OG"  # 한미: two countries in one word
    assert piece_label(["O", "O"]) == "O" and piece_label(["B-LC"] + ["I-LC"] * 4) == "B-LC"
    assert label_tags("B-PS:3 O", 5) == ["B-PS", "I-PS", "I-PS", "O", "O"]
    assert label_tags("B-PS:3 O", 2) == ["B-PS", "I-PS"]  # a label from a longer piece
    assert label_tags("B-PS:3 O", 3) == ["B-PS", "I-PS", "I-PS"]
    assert label_tags("I-DT", 2) == ["I-DT", "I-DT"]


def test_a_particle_in_the_names_piece_is_no_part_of_the_name():
    offsets = TOKENIZER("이순신은 조선", return_offsets_mapping=True)["offset_mapping"][1:-1]
    assert offsets == [(0, 4), (5, 7)]
    tags = tags_of(7, [(0, 3, "PS"), (5, 7, "LC")])
    assert piece_labels(tags, offsets) == ["B-PS:3 O", "B-LC"]
    assert character_tags(["B-PS:3 O", "B-LC"], offsets, 7) == tags


def test_a_blank_belongs_to_an_entity_that_goes_on_behind_it():
    tags = tags_of(9, [(0, 5, "QT"), (6, 9, "QT")])
    offsets = [(0, 2), (3, 5), (6, 9)]  # characters 2 and 5 are blanks
    assert character_tags(piece_labels(tags, offsets), offsets, 9) == tags
    assert character_tags(["B-PS", "I-LC"], [(0, 1), (2, 3)], 3) == ["B-PS", "O", "I-LC"]
    assert character_tags(["B-PS", "I-PS"], [(0, 1), (4, 5)], 5) == ["B-PS"] + ["I-PS"] * 4
    assert character_tags([], [], 2) == ["O", "O"]


parts = [
    *"이순신은조선한미에서김구역가나 .,<>😀鄭\u200d",
    "이순신은",
    "서울",
    "한미",
    "조선",
    "김구역",
]
texts = st.lists(st.sampled_from(parts), min_size=1, max_size=12).map("".join)
kinds = st.sampled_from(["PS", "LC", "B-2"])
slowly = settings(deadline=None)


@st.composite
def annotated(draw):
    """A text with entities anywhere: adjacent ones, blanks inside, borders inside of pieces."""
    text = draw(texts)
    offsets = TOKENIZER(text, add_special_tokens=False, return_offsets_mapping=True)
    covered = {i for first, end in offsets["offset_mapping"] for i in range(first, end)}
    borders = sorted(draw(st.sets(st.integers(0, len(text)), max_size=6)))
    found = []
    for first, end in zip(borders, borders[1:], strict=False):
        inside = [i for i in range(first, end) if i in covered]
        if inside and draw(st.booleans()):
            found.append((inside[0], inside[-1] + 1, draw(kinds)))
    return text, found, offsets["offset_mapping"]


@slowly
@given(annotated())
def test_character_tags_to_pieces_and_back(case):
    text, found, offsets = case
    tags = tags_of(len(text), found)
    assert entities_of(tags) == found
    labels = piece_labels(tags, offsets)
    assert [label_tags(x, b - a) for x, (a, b) in zip(labels, offsets, strict=True)] == [
        tags[a:b] for a, b in offsets
    ]
    assert character_tags(labels, offsets, len(text)) == tags


@slowly
@given(st.lists(annotated(), min_size=1, max_size=4), st.integers(6, 20))
def test_windows_of_any_size_lose_nothing(cases, max_length):
    """From examples to rows of a model, and from a model
    that is always right to the same entities.
    """
    examples = [{"text": text, "entities": found} for text, found, _ in cases]
    config = config_of(examples)
    rows = TASK.encode(TOKENIZER, examples, config, max_length, labels=True)
    assert all(len(row["input_ids"]) == len(row["labels"]) <= max_length for row in rows)
    logits = certain(rows, config, rows)
    assert TASK.decode(examples, rows, logits, config) == [e["entities"] for e in examples]


def test_where_rows_overlap_the_wider_context_counts():
    example = {"text": "오늘" * 10, "entities": [(0, 20, "PS")]}
    config = config_of([example])
    rows = TASK.encode(TOKENIZER, [example], config, 14, labels=True)
    assert [(row["offsets"][0][0], row["offsets"][-1][1]) for row in rows] == [(0, 12), (9, 20)]
    outside = np.eye(config.num_labels)[config.label2id["O"]]
    for row, piece, expected in (
        (1, 9, [(0, 20, "PS")]),  # the first piece of the second row: the first row knows better
        (0, 11, [(0, 20, "PS")]),  # the last piece of the first row
        (1, 11, [(0, 11, "PS"), (12, 20, "PS")]),
    ):
        logits = certain(rows, config, rows)
        logits[row][1 + piece - rows[row]["offsets"][0][0]] = outside
        assert TASK.decode([example], rows, logits, config) == [expected]


def test_wrong_transitions_become_entities():
    assert entities_of(["O", "I-PS", "I-PS", "I-LC", "B-LC"]) == [
        (1, 3, "PS"),
        (3, 4, "LC"),
        (4, 5, "LC"),
    ]


@pytest.mark.parametrize("name", ["train", "dev", "test"])
def test_embedded_sentences_survive_the_embedded_tokenizer(name):
    examples = read_entities(ROOT / "data" / "finetuning" / f"entities_{name}.tsv")
    tokenizer = load_tokenizer("mini-bert-ko")
    config = BertConfig(**TASK.head_options(tokenizer, examples))
    rows = TASK.encode(tokenizer, examples, config, 128, labels=True)
    found = TASK.decode(examples, rows, certain(rows, config, rows), config)
    assert found == [example["entities"] for example in examples]
    assert TASK.metrics(examples, found) == {"f1": 1.0, "macro_f1": 1.0}


# --- files ---------------------------------------------------------------------------------------


def test_a_klue_file_by_hand(tmp_path):
    header = ["## 주석 : ##", "## 컬럼명 : CHAR\tNE_TAG"]
    text = "이와 <미생>은 a<b>c"
    tags = tags_of(len(text), [(0, 1, "PS"), (3, 7, "OG")])
    first = ["## ner-1\t<이:PS>와 <<미생>:OG>은 a<b>c", *klue(text, tags), ""]
    second = [
        "## ner-2\t<김구:PS><안중근:PS>",
        *klue("김구안중근", tags_of(5, [(0, 2, "PS"), (2, 5, "PS")])),
    ]
    found = read_entities(write(tmp_path, [*header, *first, "", *second]))
    assert found == [
        {"id": "ner-1", "text": text, "entities": [(0, 1, "PS"), (3, 7, "OG")]},
        {"id": "ner-2", "text": "김구안중근", "entities": [(0, 2, "PS"), (2, 5, "PS")]},
    ]
    assert found.refused == []


def test_blanks_in_tags_and_characters(tmp_path):
    lines = ["3\tB-QT ", "2\t I-QT", "\tI- QT", "명\tI-QT", " \tI-QT", "은\tO", "#\tO"]
    (found,) = read_entities(write(tmp_path, lines))
    assert found["text"] == "32 명 은#" and found["entities"] == [(0, 4, "QT")]


def test_strange_line_breaks_are_characters(tmp_path):
    (found,) = read_entities(write(tmp_path, ["가\tB-PS", "\u2028\tO", "\x85\tO", "나\tO"]))
    assert found["text"] == "가\u2028\x85나" and found["entities"] == [(0, 1, "PS")]


def test_carriage_returns_and_a_byte_order_mark(tmp_path):
    (tmp_path / "ner.tsv").write_bytes("\ufeff가\tB-PS\r\n나\tI-PS\r\n\r\n다\tO\r\n".encode())
    assert [e["entities"] for e in read_entities(tmp_path / "ner.tsv")] == [[(0, 2, "PS")], []]


def test_taken_apart_hangul_and_zero_width_characters(tmp_path):
    text = unicodedata.normalize("NFD", "김구") + "\u200b" + unicodedata.normalize("NFD", "는")
    tags = tags_of(len(text), [(0, 6, "PS")])  # ㄱㅣㅁㄱㅜ and the character without width
    (found,) = read_entities(write(tmp_path, klue(text, tags)))
    assert found["text"] == "김구는" and found["entities"] == [(0, 2, "PS")]


def test_an_entity_that_is_nothing_is_dropped():
    assert clean_entities("가\u200b 나", [(1, 3, "PS")]) == ("가 나", [])
    assert clean_entities(" 가 나 ", [(0, 5, "PS")]) == (" 가 나 ", [(1, 4, "PS")])
    apart = unicodedata.normalize("NFD", "각")  # two entities in one syllable
    assert clean_entities(apart, [(0, 2, "PS"), (2, 3, "LC")]) == ("각", [(0, 1, "PS")])


@slowly
@given(annotated())
def test_taken_apart_or_not_the_entities_are_the_same(case):
    text, found, _ = case
    apart = unicodedata.normalize("NFD", text)
    places = [len(unicodedata.normalize("NFD", text[:i])) for i in range(len(text) + 1)]
    moved = [(places[first], places[end], kind) for first, end, kind in found]
    assert clean_entities(apart, moved) == (text, found)


@pytest.mark.parametrize(
    "lines, words",
    [
        (["가\tB-PS", "나"], "2번째 줄에 태그가 없습니다"),
        (["가\tPS"], "1번째 줄: 태그 'PS'"),
        (["가\tB-P:1"], "태그 'B-P:1'"),
        (["## 주석"], "문장이 없습니다"),
    ],
)
def test_wrong_file_is_one_sentence(tmp_path, lines, words):
    with pytest.raises(CourseError, match=words) as raised:
        read_entities(write(tmp_path, lines))
    assert "\n" not in str(raised.value)


# --- metric --------------------------------------------------------------------------------------


def test_f1_by_hand():
    gold = [tags_of(10, [(0, 2, "PS"), (2, 4, "PS"), (6, 8, "LC")])]
    found = [tags_of(10, [(0, 2, "PS"), (2, 5, "PS"), (6, 8, "OG")])]
    scores = entity_f1(gold, found)  # one of three right: a border and a type are wrong
    assert scores["f1"] == pytest.approx(1 / 3)
    assert scores["macro_f1"] == pytest.approx((1 / 2 + 0 + 0) / 3)  # PS 1/2, LC 0, OG 0
    assert entity_f1(gold, gold) == {"f1": 1.0, "macro_f1": 1.0}


def test_o_is_never_counted():
    mostly_o = [tags_of(1000, [(0, 1, "PS")])]
    assert entity_f1(mostly_o, [["O"] * 1000]) == {"f1": 0.0, "macro_f1": 0.0}
    assert entity_f1([["O"] * 5], [["O"] * 5]) == {"f1": 0.0, "macro_f1": 0.0}


def test_adjacent_entities_are_not_one():
    two, one = [tags_of(4, [(0, 2, "PS"), (2, 4, "PS")])], [tags_of(4, [(0, 4, "PS")])]
    assert entity_f1(two, one)["f1"] == 0


@slowly
@given(st.lists(st.tuples(annotated(), annotated()), min_size=1, max_size=3))
def test_micro_f1_is_that_of_the_sets(pairs):
    length = max(len(side[0]) for pair in pairs for side in pair)
    sides = [[pair[k][1] for pair in pairs] for k in (0, 1)]
    gold, found = ({(i, *e) for i, es in enumerate(side) for e in es} for side in sides)
    expected = 2 * len(gold & found) / (len(gold) + len(found)) if gold else 0.0
    scores = entity_f1(*([tags_of(length, es) for es in side] for side in sides))
    assert math.isclose(scores["f1"], expected)


# --- baseline ------------------------------------------------------------------------------------


def test_dictionary_takes_the_longest_name_that_mostly_is_one():
    train = [
        {"text": "김구는 왔다", "entities": [(0, 2, "PS")]},
        {"text": "김구역에 갔다", "entities": [(0, 3, "LC")]},
        {"text": "이 책", "entities": []},
        {"text": "이 사람", "entities": []},
        {"text": "이 선생", "entities": [(0, 1, "PS")]},
    ]
    test = [{"text": "이 김구역과 김구, 안김구", "entities": []}]
    assert name_dictionary(train, test) == [[(2, 5, "LC"), (7, 9, "PS")]]


def test_task_measures_the_dictionary(tmp_path):
    text = "김구는 서울역에"
    path = write(tmp_path, klue(text, tags_of(len(text), [(0, 2, "PS"), (4, 7, "LC")])))
    found = TASK.read(path)
    assert TASK.metrics(found, name_dictionary(found, found)) == {"f1": 1.0, "macro_f1": 1.0}
    assert entities.read_entities(path) == found
