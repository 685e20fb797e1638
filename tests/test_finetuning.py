import json
import sys
import unicodedata

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mask_models import tiny_bert, tokenizer_of
from sklearn.metrics import accuracy_score
from transformers import AutoModelForSequenceClassification, BertModel

from helpers import CourseError
from helpers.__main__ import main, spread
from helpers.examples import ZERO_WIDTH, clean, read_table
from helpers.finetuning import baselines
from helpers.finetuning.evaluate import TASKS, evaluate, find_task, recognise, task_files
from helpers.finetuning.similarity import correlations
from helpers.finetuning.tasks import Settings

TOKENIZER = tokenizer_of("재미있", "##다", "서울에서")
SENTIMENT, SIMILARITY = TASKS["sentiment"], TASKS["similarity"]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """A folder with a tiny plain BERT and its tokenizer."""
    folder = tmp_path_factory.mktemp("tiny")
    tiny_bert(TOKENIZER, BertModel).save_pretrained(folder)
    TOKENIZER.save_pretrained(folder)
    return folder


def write(path, text):
    path.write_text(text, encoding="utf-8")
    return path


# --- cleaning ------------------------------------------------------------------------------------

hostile = st.text(
    st.sampled_from(
        "가각힣나 a.😀鄭豈e\u0301\u0323\u1100\u1161\u11a8\u212b\u200b\u200d\ufeff\u00ad\n"
    ),
    max_size=14,
)


@settings(deadline=None)
@given(hostile)
def test_cleaned_text_is_composed_and_every_place_is_known(text):
    for written in (text, unicodedata.normalize("NFD", text)):
        cleaned, places = clean(written)
        visible = "".join(c for c in written if c not in ZERO_WIDTH)
        assert cleaned == unicodedata.normalize("NFC", visible)
        assert len(places) == len(cleaned) + 1 and places[-1] == len(written)
        assert list(places) == sorted(places)
        for place, char in zip(places, cleaned, strict=False):
            if not unicodedata.combining(char):  # what began there is what stands here now
                begun = unicodedata.normalize("NFD", written[place:])
                assert begun.startswith(unicodedata.normalize("NFD", char)[0])


def test_places_by_hand():
    apart = unicodedata.normalize("NFD", "각") + "\u200b나"
    cleaned, places = clean(apart)
    assert (cleaned, list(places)) == ("각나", [0, 4, 5])
    assert clean("👨\u200d👩") == ("👨\u200d👩", range(4))  # joins an emoji, and stays


# --- tables --------------------------------------------------------------------------------------


def test_empty_reviews_are_counted_and_named(tmp_path):
    rows = [
        "id\tdocument\tlabel",
        "1\t재미있다\t1",
        "2\t\t0",
        "3\t  \t0",
        "4\t\u200b\t1",
        "5\t별로다\t0",
        "\t\t",
        "",
    ]
    found = SENTIMENT.read(write(tmp_path / "nsmc.tsv", "\n".join(rows)))
    assert found == [{"text": "재미있다", "label": "1"}, {"text": "별로다", "label": "0"}]
    assert [reason.split(":")[0] for reason in found.refused] == [
        "3번째 줄",
        "4번째 줄",
        "5번째 줄",
        "7번째 줄",
    ]


def test_a_quote_that_never_closes_is_a_quote(tmp_path):
    text = 'text\tlabel\n"재미있다\t1\n"별로"다\t0\n다시 "봐\t1\n'
    found = SENTIMENT.read(write(tmp_path / "a.tsv", text))
    assert [row["text"] for row in found] == ['"재미있다', '"별로"다', '다시 "봐']


def test_rows_of_another_width_and_without_label_are_refused(tmp_path):
    text = "text\tlabel\n가\t나\t1\n재미있다\t1\n별로다\n좋다\t \n"
    found = SENTIMENT.read(write(tmp_path / "a.tsv", text))
    assert len(found) == 1 and len(found.refused) == 3
    assert sorted(reason[0] for reason in found.refused) == ["2", "4", "5"]


def test_splits_and_registers(tmp_path):
    rows = [
        "sentence1\tsentence2\tscore\tregister\tsplit",
        "가\t나\t0\tnews\ttrain",
        "가\t가\t5\tdaily\ttest",
        "\t가\t5\tdaily\ttest",
    ]
    path = write(tmp_path / "pairs.tsv", "\r\n".join(rows))
    train, test = (SIMILARITY.read(path, split) for split in ("train", "test"))
    assert train == [{"sentence1": "가", "sentence2": "나", "register": "news", "score": 0.0}]
    assert (len(train.refused), len(test), len(test.refused)) == (0, 1, 1)
    assert len(SIMILARITY.read(path)) == 2
    with pytest.raises(CourseError, match="dev인 예가 없습니다.*test, train"):
        SIMILARITY.read(path, "dev")
    only = write(tmp_path / "test.tsv", "\n".join(rows[:1] + rows[2:3]))
    assert SIMILARITY.read(only, "train") == test  # one split alone: the file is what was meant


def test_scores_that_are_none(tmp_path):
    head = "sentence1\tsentence2\tscore\n"
    found = SIMILARITY.read(
        write(tmp_path / "a.tsv", head + "가\t나\t1.5\n가\t나\t높음\n가\t나\tnan\n")
    )
    assert [row["score"] for row in found] == [1.5] and len(found.refused) == 2
    with pytest.raises(CourseError, match="2번째 줄: 점수 80"):
        SIMILARITY.read(write(tmp_path / "b.tsv", head + "가\t나\t80\n"))


@pytest.mark.parametrize(
    "content, words",
    [
        (None, "읽을 수 없습니다"),
        ("text\tlabel".encode("utf-16"), "UTF-8이 아닙니다"),
        (b"", "text 열이 없습니다"),
        (b"text,label\na,1", "text 열이 없습니다"),
        (b"text\tlabel\n", "쓸 수 있는 행이 없습니다"),
        (b"text\tlabel\n\t1\n", "쓸 수 있는 행이 없습니다"),
    ],
)
def test_wrong_table_is_one_sentence(tmp_path, content, words):
    if content is not None:
        (tmp_path / "a.tsv").write_bytes(content)
    with pytest.raises(CourseError, match=words) as raised:
        read_table(tmp_path / "a.tsv", ["text"], "label")
    assert "\n" not in str(raised.value)


# --- metrics -------------------------------------------------------------------------------------


def test_accuracy_and_macro_f1_by_hand():
    gold = [{"label": label} for label in "0001"]
    predictions = [{"label": label} for label in "0011"]
    scores = SENTIMENT.metrics(gold, predictions)
    assert scores["accuracy"] == 0.75 == accuracy_score(list("0001"), list("0011"))
    assert scores["macro_f1"] == pytest.approx((0.8 + 2 / 3) / 2)


def test_correlations_by_hand():
    assert correlations([1, 2, 3], [10, 20, 30]) == pytest.approx({"pearson": 1, "spearman": 1})
    assert correlations([1, 2, 3], [1, 2, 30])["spearman"] == pytest.approx(1)
    assert correlations([1, 2, 3], [1, 2, 30])["pearson"] == pytest.approx(
        np.corrcoef([1, 2, 3], [1, 2, 30])[0, 1]
    )
    assert correlations([1, 2, 3, 4], [1, 3, 2, 4])["spearman"] == pytest.approx(1 - 6 * 2 / 60)
    assert correlations([1, 1, 2], [0, 0, 1])["spearman"] == pytest.approx(1)  # ties share a rank
    assert correlations([1, 2, 3], [7, 7, 7]) == {"pearson": 0.0, "spearman": 0.0}


# --- baselines -----------------------------------------------------------------------------------


def test_ngrams_learn_sentiment():
    train = [
        {"text": f"{word} 영화", "label": label}
        for word, label in (("재미있는", "1"), ("지루한", "0"))
    ]
    test = [{"text": "아주 재미있는 책", "label": "1"}, {"text": "지루한 책", "label": "0"}]
    found = baselines.ngram_regression(train * 3, test)
    assert SENTIMENT.metrics(test, found)["accuracy"] == 1
    assert sum(found[0]["probabilities"].values()) == pytest.approx(1)


def test_cosine_of_equal_and_of_foreign_sentences():
    pairs = [("서울은 수도이다", "서울은 수도이다"), ("서울은 수도이다", "커피 맛")]
    rows = [{"sentence1": a, "sentence2": b, "score": 0.0} for a, b in pairs]
    same, other = baselines.tfidf_cosine(rows, rows)
    assert same == pytest.approx(5) and other < 1


def test_every_task_has_a_baseline():
    assert baselines.BASELINES.keys() == TASKS.keys()


# --- settings, names -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [{"epochs": 0}, {"learning_rate": -1}, {"max_length": 8}, {"steps": 0}, {"layer_decay": 0}],
)
def test_settings_that_cannot_train(change):
    with pytest.raises(CourseError, match=next(iter(change))):
        Settings(**change)


def test_files_find_their_tasks(tmp_path):
    files = {
        "sentiment": "document\tlabel\n",
        "similarity": "genre\tscore\tsentence1\tsentence2\n",
        "entities": "## 주석\n가\tO\n",
        "reading": '\n{"data": []}',
    }
    for name, text in files.items():
        assert recognise(write(tmp_path / name, text)) == name
    paths = [str(tmp_path / name) for name in files]
    assert task_files("multi", paths) == dict(zip(files, paths, strict=True))
    assert task_files("multi", [f"reading={paths[0]}", paths[1]])["reading"] == paths[0]
    assert task_files("sentiment", [paths[0]]) == {"sentiment": paths[0]}
    assert recognise(write(tmp_path / "plain", "가\tB-PS\n")) == "entities"
    with pytest.raises(CourseError, match="sentiment=strange처럼"):
        recognise(write(tmp_path / "strange", "가나다"))
    for task, chosen, words in (
        ("multi", paths[:1], "둘 이상"),
        ("multi", [*paths, paths[0]], "둘입니다"),
        ("reading", paths, "파일도 하나"),
        ("뉴스", paths[:1], "'뉴스'"),
    ):
        with pytest.raises(CourseError, match=words):
            task_files(task, chosen)
    assert find_task("reading") is TASKS["reading"]


def test_many_files_after_one_option():
    command = ["evaluate", "finetuning", "--train", "a", "b", "--test", "c", "--seed", "1"]
    assert spread(command)[2:6] == ["--train", "a", "--train", "b"]
    assert spread(["evaluate", "entity_bert", "--train", "a", "b"])[-1] == "b"


# --- the command ---------------------------------------------------------------------------------


@pytest.fixture
def files(tmp_path):
    """A file of every task."""
    reviews = [f"{'재미있다' if i % 2 else '지루하다'} {i}\t{i % 2}" for i in range(24)]
    write(tmp_path / "reviews.tsv", "\n".join(["text\tlabel", *reviews, "\t1"]))
    pairs = [
        f"서울에서 {i}\t{'서울에서' if i % 2 else '한강'} {i}\t{5 * (i % 2)}" for i in range(24)
    ]
    write(tmp_path / "pairs.tsv", "\n".join(["sentence1\tsentence2\tscore", *pairs]))
    names = ["김\tB-PS\n구\tI-PS\n는\tO\n", "이\tO\n곳\tO\n"] * 12
    write(tmp_path / "names.tsv", "\n".join(names))
    qas = [
        {"id": f"q{i}", "question": "어디?", "answers": [{"text": "서울", "answer_start": 3 + i}]}
        for i in range(3)
    ]
    qas.append({"id": "q9", "question": "왜?", "answers": [], "is_impossible": True})
    paragraphs = [{"context": "그는 서울에서 태어났다.", "qas": qas}]
    write(tmp_path / "reading.json", json.dumps({"data": [{"paragraphs": paragraphs}]}))
    return {
        "sentiment": tmp_path / "reviews.tsv",
        "similarity": tmp_path / "pairs.tsv",
        "entities": tmp_path / "names.tsv",
        "reading": tmp_path / "reading.json",
    }


METRICS = {
    "sentiment": {"accuracy", "macro_f1"},
    "similarity": {"pearson", "spearman"},
    "entities": {"f1", "macro_f1"},
    "reading": {"exact_match", "f1", "answerable_f1", "unanswerable_accuracy"},
}
COUNTS = {"train_examples", "test_examples", "train_refused", "test_refused"}


@pytest.fixture
def run(tiny, monkeypatch, capsys):
    def run_command(task, *more):
        command = ["helpers", "evaluate", "finetuning", "--task", task, "--model", tiny]
        monkeypatch.setattr(sys, "argv", [str(part) for part in [*command, *more]])
        return main(), *capsys.readouterr()

    return run_command


@pytest.mark.parametrize("task", METRICS)
def test_command_line_prints_one_json_line(task, files, run):
    both = ["--train", files[task], "--test", files[task], "--seed", "3"]
    for method in (["--steps", "2", "--max-length", "32"], ["--method", "baseline"]):
        code, out, err = run(task, *both, *method)
        row = json.loads(out)
        assert code == 0 and len(out.splitlines()) == 1
        assert (row["task"], row["seed"]) == (task, 3)
        assert row.keys() == {"task", "seed", "method", "seconds"} | COUNTS | METRICS[task]
        assert all(-1 <= row[name] <= 1 for name in METRICS[task])
        assert row["test_refused"] == (1 if task == "sentiment" else 0)
        assert err.count("뺐습니다") == 2 * row["test_refused"]


def test_several_tasks_on_the_command_line(files, run, tmp_path):
    options = ["--steps", "6", "--output", tmp_path / "kept"]
    code, out, _ = run("multi", "--train", *files.values(), "--test", *files.values(), *options)
    row = json.loads(out)
    assert code == 0 and row["task"] == "multi"
    for name in METRICS:
        assert row[name].keys() == METRICS[name] | COUNTS
    kept = AutoModelForSequenceClassification.from_pretrained(tmp_path / "kept" / "sentiment")
    assert kept.config.id2label == {0: "0", 1: "1"}


def test_what_a_user_gets_wrong_is_one_sentence(files, run, tmp_path):
    both = ["--train", files["sentiment"], "--test", files["sentiment"]]
    one_class = write(tmp_path / "one.tsv", "text\tlabel\n가\t1\n나\t1\n")
    blank = write(tmp_path / "blank.tsv", "text\tlabel\n가\t\n나\t\n")
    for task, more, words in (
        ("sentimnet", both, "'sentimnet'"),
        ("sentiment", [*both, "--epochs", "0"], "epochs"),
        ("sentiment", [*both, "--method", "gpt"], "'gpt'"),
        ("sentiment", [*both, "--output", files["reading"]], "폴더를 만들 수 없습니다"),
        ("sentiment", ["--train", one_class, "--test", one_class], "라벨이"),
        ("sentiment", [*both[:3], blank], "라벨이 비어 있습니다"),
        ("sentiment", [*both, "--method", "baseline", "--output", tmp_path], "저장할 모델이 없"),
        ("reading", both, "SQuAD"),
        (
            "multi",
            ["--train", *files.values(), "--test", *list(files.values())[:2]],
            "과제가 다릅니다",
        ),
    ):
        code, out, err = run(task, *more)
        assert (code, out, len(err.splitlines())) == (2, "", 1), err
        assert words in err


def test_the_same_seed_gives_the_same_numbers(files, tiny):
    chosen = {"sentiment": files["sentiment"]}
    runs = [
        evaluate(chosen, chosen, seed, model=tiny, steps=3, learning_rate=1e-2)[0]
        for seed in (0, 0)
    ]
    assert [{**row, "seconds": 0} for row in runs] == [{**runs[0], "seconds": 0}] * 2
