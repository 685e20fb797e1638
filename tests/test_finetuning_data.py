"""The data of a profile: embedded files, and KLUE's tables as the hub has them."""

import datasets
import huggingface_hub
import pytest

from helpers.finetuning.data import read_data
from helpers.finetuning.evaluate import TASKS

TEXT = datasets.Value("string")
TAGS = ["B-LC", "I-LC", "B-OG", "I-OG", "O"]
KLUE = {  # the columns of klue/klue, and two rows written here
    "sts": (
        {
            "guid": TEXT,
            "sentence1": TEXT,
            "sentence2": TEXT,
            "labels": {
                "label": datasets.Value("float64"),
                "real-label": datasets.Value("float64"),
                "binary-label": datasets.ClassLabel(names=["negative", "positive"]),
            },
        },
        [
            {
                "guid": "1",
                "sentence1": "비가 온다.",
                "sentence2": "비가 내\u200b린다.",
                "labels": {"label": 4.5, "real-label": 4.428571428571429, "binary-label": 1},
            },
            {
                "guid": "2",
                "sentence1": "눈이 온다.",
                "sentence2": "배가 고프다.",
                "labels": {"label": 0.0, "real-label": 0.0, "binary-label": 0},
            },
        ],
    ),
    "ner": (
        {
            "sentence": TEXT,
            "tokens": datasets.List(TEXT),
            "ner_tags": datasets.List(datasets.ClassLabel(names=TAGS)),
        },
        [
            {
                "sentence": "<서울:LC> <시청:OG>",
                "tokens": list("서울 시청"),
                "ner_tags": [0, 1, 4, 2, 3],
            },
            {"sentence": " ", "tokens": [" "], "ner_tags": [4]},
        ],
    ),
    "mrc": (
        {
            "guid": TEXT,
            "title": TEXT,
            "context": TEXT,
            "question": TEXT,
            "is_impossible": datasets.Value("bool"),
            "answers": {
                "answer_start": datasets.List(datasets.Value("int32")),
                "text": datasets.List(TEXT),
            },
        },
        [
            {
                "guid": "a",
                "title": "거문고",
                "context": "거문고의 줄은 여섯이다.",
                "question": "줄은 몇인가?",
                "is_impossible": False,
                "answers": {"answer_start": [7], "text": ["여섯"]},  # one character too early
            },
            {
                "guid": "b",
                "title": "거문고",
                "context": "거문고의 줄은 여섯이다.",
                "question": "누가 만들었나?",
                "is_impossible": True,
                "answers": {"answer_start": [], "text": []},
            },
        ],
    ),
}


@pytest.fixture
def klue(tmp_path, monkeypatch):
    """The profile `full`, with KLUE's tables on a stand-in for the hub."""
    monkeypatch.setenv("COURSE_PROFILE", "full")
    monkeypatch.setenv("COURSE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    for name, (columns, rows) in KLUE.items():
        table = datasets.Dataset.from_list(rows, features=datasets.Features(columns))
        for split, part in (("train", table), ("validation", table.select([0]))):
            (tmp_path / "hub" / name).mkdir(parents=True, exist_ok=True)
            part.to_parquet(tmp_path / "hub" / name / f"{split}-00000-of-00001.parquet")
    monkeypatch.setattr(
        huggingface_hub, "snapshot_download", lambda *_, **__: str(tmp_path / "hub")
    )


def test_klue_sts_scores_are_the_real_ones(klue):
    train = read_data(TASKS["similarity"], "klue-sts", "train")
    assert train[0] == {
        "sentence1": "비가 온다.",
        "sentence2": "비가 내린다.",
        "score": pytest.approx(4.43, abs=0.01),
    }
    assert len(train) == 2 and len(read_data(TASKS["similarity"], "klue-sts", "test")) == 1


def test_klue_ner_tags_have_their_names_and_empty_sentences_go(klue):
    train = read_data(TASKS["entities"], "klue-ner", "train")
    assert train == [{"id": "0", "text": "서울 시청", "entities": [(0, 2, "LC"), (3, 5, "OG")]}]


def test_klue_mrc_answers_are_found_again_and_may_be_missing(klue):
    train = read_data(TASKS["reading"], "klue-mrc", "train")
    assert [(e["id"], e["answers"]) for e in train] == [("a", [(8, 10)]), ("b", [])]
    assert train[0]["context"][8:10] == "여섯"


@pytest.mark.parametrize(
    ("task", "name", "counts"),
    [
        ("sentiment", "sentiment-reviews", (450, 150)),
        ("similarity", "similarity-pairs", (200, 60)),
        ("entities", "entity-sentences", (200, 60)),
        ("reading", "reading-passages", (108, 45)),
    ],
)
def test_embedded_data_have_a_train_and_a_test_split(task, name, counts):
    splits = [read_data(TASKS[task], name, split) for split in ("train", "test")]
    assert tuple(map(len, splits)) == counts
    seen, unseen = ({str(example) for example in split} for split in splits)
    assert not seen & unseen


def test_a_name_with_a_split_is_a_file_each(monkeypatch, tmp_path):
    for split, label in (("train", "1"), ("test", "0")):
        (tmp_path / f"nsmc-{split}").write_text(
            f"id\tdocument\tlabel\n1\t좋다\t{label}\n", encoding="utf-8"
        )
    monkeypatch.setattr("helpers.finetuning.data.data_path", lambda name: tmp_path / name)
    assert read_data(TASKS["sentiment"], "nsmc-{split}", "test") == [{"text": "좋다", "label": "0"}]
    assert read_data(TASKS["sentiment"], "nsmc-{split}", "train")[0]["label"] == "1"
