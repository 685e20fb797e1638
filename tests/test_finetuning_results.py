"""The log of runs, and relation extraction as a fifth task."""

import json
import random

import pytest

from helpers import CourseError
from helpers.entity_bert.metrics import micro_f1
from helpers.entity_bert.spans import ROLES, read_examples
from helpers.finetuning import results
from helpers.finetuning.relation import Relation, mark_entities
from helpers.resources import data_path

RELATIONS = data_path("relation-sentences") / "test.json"


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
