import json
import random
import unicodedata
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mask_models import tokenizer_of
from transformers import BertConfig

from helpers import CourseError
from helpers.finetuning.baselines import sliding_window
from helpers.finetuning.reading import (
    Reading,
    best_span,
    character_f1,
    cut_particle,
    exact_match,
    find_answer,
    learn_particles,
    normalize_answer,
    pieces_of,
    read_reading,
)

TOKENIZER = tokenizer_of("서울에서", "부산에서", "한강", "##에서", "태어났", "##다")
TASK = Reading()
CONTEXT = "그는 서울에서 태어났다. 한강 옆이었다."
slowly = settings(deadline=None)


def question(name, text, *answers, **more):
    stated = [{"text": answer, "answer_start": start} for answer, start in answers]
    return {"id": name, "question": text, "answers": stated, **more}


def write(tmp_path, *paragraphs, **more):
    data = [
        {"title": "t", "paragraphs": [{"context": c, "qas": qas}], **more} for c, qas in paragraphs
    ]
    (tmp_path / "file.json").write_text(json.dumps({"data": data}), encoding="utf-8")
    return tmp_path / "file.json"


def example(context=CONTEXT, text="어디?", *answers):
    return {"id": "q", "question": text, "context": context, "answers": list(answers)}


def config_of(examples):
    return BertConfig(**TASK.head_options(TOKENIZER, examples))


# --- files ---------------------------------------------------------------------------------------


def test_a_file_by_hand(tmp_path):
    qas = [
        question("a", "어디?", ("서울", 3)),
        question("b", "왜?", is_impossible=True),
        question("c", "어느 강?", ("한강", 14), ("강", 15)),
    ]
    found = read_reading(write(tmp_path, (CONTEXT, qas)))
    assert [e["answers"] for e in found] == [[(3, 5)], [], [(14, 16), (15, 16)]]
    assert found[0] == example(CONTEXT, "어디?", (3, 5)) | {"id": "a"}
    assert found.refused == []


def test_a_wrong_start_is_found_again_or_the_question_refused(tmp_path):
    qas = [
        question("near", "어디?", ("서울", 6)),
        question("before", "어디?", ("서울", 0)),
        question("gone", "어디?", ("평양", 3)),
        question("empty", "어디?", ("", 3)),
        question("blank", " ", ("서울", 3)),
    ]
    found = read_reading(write(tmp_path, (CONTEXT, qas)))
    assert [(e["id"], e["answers"]) for e in found] == [("near", [(3, 5)]), ("before", [(3, 5)])]
    assert [reason.split(":")[0] for reason in found.refused] == ["gone", "empty", "blank"]


def test_the_nearest_place_of_an_answer():
    text = "1월 " + "가" * 80 + " 1월 1월"
    assert find_answer(text, "1월", 85) == (84, 86)
    assert find_answer(text, "1월", 86) == (87, 89)
    assert find_answer(text, "1월", 42) is None  # too far from each of several
    assert find_answer(text, " 가가가 ", 5) == (5, 8)
    assert find_answer("가나 " * 40 + "다", "다", 0) == (120, 121)  # far, but it stands there only
    assert find_answer("아아아", "아아", 1) == (1, 3)  # occurrences may overlap


def test_taken_apart_hangul_and_zero_width_characters(tmp_path):
    apart = "\ufeff" + unicodedata.normalize("NFD", CONTEXT).replace(" ", "\u200b ")
    start = apart.index(unicodedata.normalize("NFD", "서울"))
    qas = [question("a", unicodedata.normalize("NFD", "어디?"), ("서\u200b울", start))]
    assert read_reading(write(tmp_path, (apart, qas))) == [
        example(CONTEXT, "어디?", (3, 5)) | {"id": "a"}
    ]


def test_splits_are_titles(tmp_path):
    path = write(tmp_path, (CONTEXT, [question("a", "어디?", ("서울", 3))]), split="dev")
    content = json.loads(path.read_text())
    other = write(tmp_path, (CONTEXT, [question("b", "어디?", ("서울", 3))]), split="test")
    content["data"] += json.loads(other.read_text())["data"]
    path.write_text(json.dumps(content))
    splits = [[e["id"] for e in read_reading(path, s)] for s in ("dev", "test", None)]
    assert splits == [["a"], ["b"], ["a", "b"]]
    with pytest.raises(CourseError, match="train인 예가 없습니다.*dev, test"):
        read_reading(path, "train")


@pytest.mark.parametrize(
    "content, words",
    [
        ("이것은 JSON이 아닙니다", "JSON 파일이 아닙니다"),
        ("[]", "SQuAD 형식"),
        ('{"data": [{"paragraphs": [{"context": "가", "qas": [{}]}]}]}', "KeyError"),
        ('{"data": []}', "질문이 없습니다"),
    ],
)
def test_wrong_file_is_one_sentence(tmp_path, content, words):
    (tmp_path / "file.json").write_text(content, encoding="utf-8")
    with pytest.raises(CourseError, match=words) as raised:
        read_reading(tmp_path / "file.json")
    assert "\n" not in str(raised.value)


# --- spans, pieces, windows ----------------------------------------------------------------------

offset_lists = st.lists(st.tuples(st.integers(0, 2), st.integers(1, 4)), min_size=1, max_size=9)


def offsets_of(gaps):
    found, place = [], 0
    for gap, size in gaps:
        found.append((place + gap, place + gap + size))
        place += gap + size
    return found


@given(offset_lists, st.data())
def test_spans_to_pieces_and_back(gaps, data):
    offsets = offsets_of(gaps)
    first = data.draw(st.integers(0, len(offsets) - 1))
    last = data.draw(st.integers(first, len(offsets) - 1))
    assert pieces_of(offsets, offsets[first][0], offsets[last][1]) == (first, last)
    start = data.draw(st.integers(0, offsets[-1][1] - 1))
    end = data.draw(st.integers(start + 1, offsets[-1][1]))
    inside = {i for i, (a, b) in enumerate(offsets) if set(range(a, b)) & set(range(start, end))}
    assert pieces_of(offsets, start, end) == ((min(inside), max(inside)) if inside else None)


@given(
    st.lists(st.tuples(st.integers(-5, 5), st.integers(-5, 5)), min_size=1, max_size=8),
    st.integers(1, 8),
)
def test_best_span_is_the_best_of_all(logits, longest):
    starts, ends = map(list, zip(*logits, strict=True))
    size = len(logits)
    allowed = [(i, j) for i, j in product(range(size), repeat=2) if i <= j < i + longest]
    score, first, last = best_span(starts, ends, longest)
    assert (first, last) in allowed
    assert score == starts[first] + ends[last] == max(starts[i] + ends[j] for i, j in allowed)


def right_logits(rows):
    """What a model that is always right would say: high at the labelled places."""
    logits = []
    for row in rows:
        values = np.zeros((len(row["input_ids"]), 2))
        values[row["start_positions"], 0] = values[row["end_positions"], 1] = 9
        values[0] -= 1  # a window without the answer must not win against the one with it
        logits.append(values)
    return logits


words = st.lists(
    st.sampled_from(["서울에서", "한강", "태어났다", "가나", "나", "다.", "鄭", "(한강)"]),
    min_size=1,
    max_size=12,
)


@slowly
@given(st.lists(words, min_size=1, max_size=3), st.integers(16, 40), st.data())
def test_windows_of_any_size_find_the_answer_again(passages, max_length, data):
    """From spans to tokens to spans, for answers that begin and end where pieces do."""
    examples = []
    for passage in passages:
        context = " ".join(passage)
        offsets = TOKENIZER(context, add_special_tokens=False, return_offsets_mapping=True)
        pieces = offsets["offset_mapping"]
        first = data.draw(st.integers(0, len(pieces) - 1))
        last = data.draw(st.integers(first, min(len(pieces) - 1, first + 1)))
        answers = [(pieces[first][0], pieces[last][1])]
        text = data.draw(st.sampled_from(["어디?", "가나 " * 40]))  # also longer than the window
        examples.append(example(context, text, *answers))
    config = config_of(examples)
    rows = TASK.encode(TOKENIZER, examples, config, max_length, labels=True)
    assert max(len(row["input_ids"]) for row in rows) <= max_length
    for number, item in enumerate(examples):  # every piece of a passage stands in a window
        seen = {offset for row in rows if row["example"] == number for offset in row["offsets"]}
        every = TOKENIZER(item["context"], add_special_tokens=False, return_offsets_mapping=True)
        assert seen == set(every["offset_mapping"])
    found = TASK.decode(examples, rows, right_logits(rows), config)
    assert [(p["start"], p["end"]) for p in found] == [e["answers"][0] for e in examples]
    assert TASK.metrics(examples, found) == {"exact_match": 1.0, "f1": 1.0}


def test_a_window_by_hand():
    item = example("가 나 다 라 마 바 사 아 자 차 카 타 파 하", "어디?", (10, 13))
    rows = TASK.encode(TOKENIZER, [item], config_of([item]), 16, labels=True)
    tokens = TOKENIZER.convert_ids_to_tokens(rows[0]["input_ids"])
    assert tokens[0] == "[CLS]" and tokens[-1] == "[SEP]" and tokens.count("[SEP]") == 2
    middle = tokens.index("[SEP]") + 1
    assert rows[0]["token_type_ids"] == [0] * middle + [1] * (len(tokens) - middle)
    room = 16 - middle - 1
    assert [row["offsets"][0][0] // 2 for row in rows] == list(
        range(0, 2 * len(rows) * (room - room // 3) // 2, room - room // 3)
    )
    labels = [(row["start_positions"], row["end_positions"]) for row in rows]
    for row, (first, last) in zip(rows, labels, strict=True):
        if first:
            assert row["offsets"][first - middle] == (10, 11)
            assert row["offsets"][last - middle] == (12, 13)
    assert (0, 0) in labels and len(set(labels)) > 1  # a window without all of it points to [CLS]


def test_no_answer_is_a_decision_about_all_windows():
    items = [example(), example(CONTEXT, "언제?", (3, 5))]
    config = config_of(items)
    assert config.no_answer
    rows = TASK.encode(TOKENIZER, items[:1], config, 64, labels=True)
    assert (rows[0]["start_positions"], rows[0]["end_positions"]) == (0, 0)
    logits = [np.zeros((len(rows[0]["input_ids"]), 2))]
    logits[0][0] = 3
    (found,) = TASK.decode(items[:1], rows, logits, config)
    assert found == {"text": "", "start": 0, "end": 0, "score": -6.0}
    config.null_threshold = 7.0
    assert TASK.decode(items[:1], rows, logits, config)[0]["text"]
    config = config_of(items[1:])  # no question of the training set was without an answer
    assert not config.no_answer and TASK.decode(items[:1], rows, logits, config)[0]["text"]
    both = [*rows, *rows]  # the second window is sure of its answer, so the question has one
    logits = [logits[0], logits[0] - 9]
    config.no_answer, config.null_threshold = True, 0.0
    assert TASK.decode(items[:1], both, logits, config)[0]["text"]


# --- particles -----------------------------------------------------------------------------------


def test_particles_are_what_answers_leave_of_their_last_word():
    left = [("서울에서", 2), ("부산에서", 2), ("회의", 2), ("국의", 1), ("강의", 2)]
    assert learn_particles(left) == ["에서"]  # '의' was kept twice and cut once
    assert cut_particle("서울에서", ["서", "에서"]) == 2
    assert cut_particle("에서", ["에서"]) == 2  # nothing would be left but the particle
    assert cut_particle("서울", []) == 2


def test_particle_in_the_last_piece_is_cut_from_an_answer():
    items = [example(CONTEXT, "어디?", (3, 5))]
    config = config_of(items)
    assert config.particles == ["에서"]
    rows = TASK.encode(TOKENIZER, items, config, 64, labels=True)
    assert TASK.decode(items, rows, right_logits(rows), config)[0]["text"] == "서울"
    config.particles = []
    assert TASK.decode(items, rows, right_logits(rows), config)[0]["text"] == "서울에서"


# --- metrics -------------------------------------------------------------------------------------


def test_normalised_as_korquad_does():
    assert normalize_answer("《한강》, (漢江)") == "한강 漢江"
    assert normalize_answer("‘A’ 1,000.5  km") == "a 10005 km"
    assert normalize_answer("'''") == ""


@pytest.mark.parametrize(
    "predicted, gold, f1, exact",
    [
        ("서울에서", "서울", 2 / 3, 0),  # 2 of 4 characters, 2 of 2
        ("서울 특별시", "서울특별시", 1, 0),  # blanks count for exact match only
        ("<서울>", "서울", 1, 1),
        ("부산", "서울", 0, 0),
        ("아아", "아", 2 / 3, 0),  # a character counts as often as it stands there
        ("", "", 1, 1),
        ("", "서울", 0, 0),
        ("서울", "", 0, 0),
    ],
)
def test_f1_and_exact_match_by_hand(predicted, gold, f1, exact):
    assert character_f1(predicted, gold) == pytest.approx(f1)
    assert exact_match(predicted, gold) == exact


def test_the_best_of_several_answers_counts_and_both_sides_are_told():
    items = [
        example(CONTEXT, "어디?", (3, 5), (3, 7)),
        example(),
        example(CONTEXT, "어디?", (14, 16)),
    ]
    predictions = [{"text": "서울에서"}, {"text": ""}, {"text": ""}]
    assert TASK.metrics(items, predictions) == {
        "exact_match": pytest.approx(2 / 3),
        "f1": pytest.approx(2 / 3),
        "answerable_f1": 0.5,
        "unanswerable_accuracy": 1.0,
    }


# --- baseline ------------------------------------------------------------------------------------


def test_sliding_window_finds_the_word_among_the_questions_words():
    context = (
        "세종은 훈민정음을 만들었다. " + "그 뒤로 오랜 시간이 흘러 많은 일이 있었다. " * 3
    ) + "거북선은 이순신이 바다에서 지휘했다."
    start = context.index("이순신")
    train = [example(context, "누가?", (start, start + 3))]
    test = [example(context, "거북선은 누가 바다에서 지휘했는가?")]
    (found,) = sliding_window(train, test)
    assert found["text"] == "이순신" == context[found["start"] : found["end"]]
    assert sliding_window(train, [example("", "?")])[0]["text"] == ""


def test_sliding_window_learns_when_to_give_no_answer():
    rng = random.Random(0)
    train = []
    for number in range(20):
        name = "".join(rng.choices("가나다라마바사아", k=3))
        context = f"거북선은 {name} 장군이 바다에서 지휘했다."
        asked = "거북선은 누가 바다에서 지휘했는가?" if number % 2 else "냉면은 언제 먹는가?"
        answers = [(5, 8)] if number % 2 else []
        train.append(example(context, asked, *answers))
    found = sliding_window(train, train)
    assert TASK.metrics(train, found)["unanswerable_accuracy"] == 1.0
    assert TASK.metrics(train, found)["answerable_f1"] > 0.5
