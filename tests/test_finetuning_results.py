"""The log of runs, and relation extraction as a fifth task."""

import json
import random

import pytest

from helpers import CourseError
from helpers.entity_bert.metrics import micro_f1
from helpers.entity_bert.spans import ROLES, read_examples
from helpers.finetuning import results
from helpers.finetuning.evaluate import TASKS
from helpers.finetuning.relation import Relation, mark_entities
from helpers.resources import data_path

RELATIONS = data_path("relation-sentences") / "test.json"


def reviews(count):
    return [
        {"text": f"{'좋은' if i % 2 else '나쁜'} 글 {i}", "label": str(i % 2)} for i in range(count)
    ]


def test_a_run_is_appended_once_and_found_again(tmp_path):
    log, parts = tmp_path / "log.jsonl", {TASKS["sentiment"]: (reviews(12), reviews(6))}
    first = results.run_missing("some", parts, method="baseline", log=log)
    assert results.run_missing("some", parts, method="baseline", log=log) == first
    results.run_missing("some", parts, seed=1, method="baseline", log=log)
    results.run_missing("other", parts, method="baseline", log=log)
    shorter = {TASKS["sentiment"]: (reviews(10), reviews(6))}
    results.run_missing("some", shorter, method="baseline", log=log)
    rows = results.read_results(log)
    assert len(rows) == 4 and rows[0] == first
    assert first["scores"]["sentiment"].keys() == {"accuracy", "macro_f1"}
    assert [row["tasks"] for row in rows[-2:]] == [{"sentiment": 12}, {"sentiment": 10}]


def test_runs_of_other_weights_are_left_out(tmp_path):
    log = tmp_path / "log.jsonl"
    rows = [{"weights": weights, "seed": n} for n, weights in enumerate("abab")]
    log.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    assert [row["seed"] for row in results.read_results(log, "a")] == [0, 2]
    assert [row["seed"] for row in results.read_results(log, "unknown")] == [1, 3]  # the newest
    assert results.read_results(tmp_path / "none.jsonl") == []


@pytest.mark.parametrize("example", read_examples(RELATIONS)[:60], ids=lambda e: e["guid"])
def test_marks_stand_around_the_entities(example):
    text = mark_entities(example)
    for role, mark in zip(ROLES, "@#", strict=True):
        assert f"{mark} {example[role]['word']} {mark}" in text
    plain = example["sentence"].replace(" ", "")
    assert sorted(text.replace(" ", "")) == sorted(plain + "@@##")


def test_micro_f1_is_that_of_lesson_05():
    task, draw = Relation(), random.Random(0)
    examples = task.read(RELATIONS)
    labels = [example["label"] for example in examples]
    said = [label if draw.random() < 0.6 else draw.choice(labels) for label in labels]
    got = task.metrics(examples, [{"label": label} for label in said])
    assert got["micro_f1"] == pytest.approx(micro_f1(labels, said) / 100)


@pytest.mark.parametrize("text", ["{}", "[1]", "[{}]", "no json", '[{"sentence": "가"}]'])
def test_a_wrong_relation_file_is_one_sentence(tmp_path, text):
    path = tmp_path / "wrong.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(CourseError, match="KLUE-RE"):
        Relation().read(path)
