import json
import math
import random
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mask_models import Scripted, tiny_bert, tokenizer_of
from transformers import BertForPreTraining

from helpers import ROOT, CourseError
from helpers.mask_attack import candidates
from helpers.mask_attack.attack import Attack, attack, attack_all, summary, word_importance
from helpers.mask_attack.classifier import Classifier, read_reviews, train_classifier
from helpers.mask_attack.compare import paired_test, stands, success_curve
from helpers.mask_attack.evaluate import korean_words, that_fit
from helpers.mask_attack.exposure import SYLLABLES
from helpers.resources import load_tokenizer

WORDS = "영화 정말 좋다 싫다 나쁘다 재미 참 연기 배우 그냥 책 음식"
TOKENIZER = tokenizer_of(*WORDS.split(), "##가", "##는", "##은", "##도", "##를", "##을", "가을")
GOOD, UNSURE, BAD = [0.1, 0.9], [0.3, 0.7], [0.9, 0.1]


class Judge:
    """Negative where a bad word stands, positive else,
    and less sure without 좋다; keeps what it read.
    """

    def __init__(self):
        self.asked = []

    def __call__(self, texts):
        self.asked += texts
        words = [set(text.split()) for text in texts]
        return np.array(
            [BAD if {"싫다", "나쁘다"} & w else GOOD if "좋다" in w else UNSURE for w in words]
        )


def dislike(pieces, place):
    return {"싫다": 9, "참": 8, "좋다": 7} if pieces[place] in ("좋다", "[MASK]") else {"영화": 9}


MODEL = Scripted(TOKENIZER, dislike)


def gradual(texts):
    """Probability of the label: .9 with all of 정말 참 좋다, less without;
    each word has its weight.
    """
    weights = {"정말": 0.1, "참": 0.05, "좋다": 0.5}
    good = [0.25 + sum(weights.get(word, 0) for word in text.split()) for text in texts]
    return np.array([[1 - p, p] for p in good])


def test_importance_is_the_fall_of_the_probability():
    words = "영화 정말 참 좋다".split()
    falls, order = word_importance(gradual, TOKENIZER, words, 1, gradual([" ".join(words)])[0, 1])
    assert falls.tolist() == pytest.approx([0, 0.1, 0.05, 0.5])
    assert order == [3, 1, 2, 0]


@pytest.mark.parametrize("method", ["bert-attack", "bae-r"])
def test_attack_finds_the_word_that_decides(method):
    judge = Judge()
    result = attack(judge, MODEL, TOKENIZER, "영화 정말 좋다", 1, method=method)
    assert result.success and result.adversarial.split().count("싫다") == 1
    assert result.changed == 1 and result.queries == len(judge.asked)
    assert judge([result.adversarial])[0].argmax() == 0
    assert "[" in repr(result) and "→싫다]" in repr(result)


def test_insertion_keeps_every_word_and_counts_as_a_change():
    result = attack(Judge(), MODEL, TOKENIZER, "영화 정말 좋다", 1, method="bae-i")
    assert result.success and result.changed == 1
    assert [
        word for word in result.adversarial.split() if word != "싫다"
    ] == "영화 정말 좋다".split()
    assert "[+싫다]" in repr(result)


@pytest.mark.parametrize("method, read", [("bae-i", 6), ("bert-attack", 5)])
def test_where_a_text_would_become_too_long_there_is_no_candidate(monkeypatch, method, read):
    for most, found in ((read, True), (read - 1, False)):  # the text has five tokens
        monkeypatch.setattr(candidates, "max_tokens", lambda config, most=most: most)
        result = attack(Judge(), MODEL, TOKENIZER, "영화 정말 좋다", 1, method=method)
        assert result.success is found


def test_random_words_come_from_the_vocabulary():
    options = {"method": "random", "vocabulary": ["나쁘다"], "seed": 3}
    result = attack(Judge(), MODEL, TOKENIZER, "영화 정말 좋다", 1, **options)
    assert result.success and "나쁘다" in result.adversarial
    assert result == attack(Judge(), MODEL, TOKENIZER, "영화 정말 좋다", 1, **options)
    kept = attack(
        Judge(), MODEL, TOKENIZER, "영화 정말 좋다", 1, **options | {"vocabulary": ["참"]}
    )
    assert not kept.success


@given(st.lists(st.sampled_from(WORDS.split()), min_size=1, max_size=12))
def test_no_more_than_the_share_of_words_changes(words):
    def stubborn(texts):
        """Every change helps a little and none is enough."""
        return np.array([[0.1 + 0.01 * t.count("참"), 0.9 - 0.01 * t.count("참")] for t in texts])

    model = Scripted(TOKENIZER, lambda pieces, place: {"참": 9, "그냥": 8})
    result = attack(stubborn, model, TOKENIZER, " ".join(words), 1, max_share=0.4)
    assert not result.success and result.changed <= 0.4 * len(words)
    assert [before for _, before in result.words] == words


def test_filter_drops_what_means_something_else():
    def encode(texts):
        return np.array(
            [[0.0, 1.0] if {"싫다", "나쁘다"} & set(t.split()) else [1.0, 0.0] for t in texts]
        )

    strict = attack(Judge(), MODEL, TOKENIZER, "영화 정말 좋다", 1, encode=encode)
    assert not strict.success and "싫다" not in strict.adversarial
    loose = attack(Judge(), MODEL, TOKENIZER, "영화 정말 좋다", 1, encode=encode, min_similarity=-1)
    assert loose.success and loose.similarity == pytest.approx(0)


def test_of_the_words_that_fool_the_most_similar_is_taken():
    """싫다 is likelier, 나쁘다 is nearer; the lengths of the vectors must not matter."""
    model = Scripted(TOKENIZER, lambda pieces, place: {"싫다": 9, "나쁘다": 8, "책": 7, "그냥": 6})
    near = {"싫다": [30.0, 15.0], "나쁘다": [0.2, 0.02], "책": [0.0, 1.0], "그냥": [0.0, 1.0]}

    def encode(texts):
        return np.array([next((near[w] for w in t.split() if w in near), [1, 0]) for t in texts])

    judge = Judge()
    result = attack(judge, model, TOKENIZER, "영화 정말 좋다", 1, encode=encode, top_k=4)
    assert result.adversarial == "영화 정말 나쁘다"
    assert result.similarity == pytest.approx(0.2 / math.hypot(0.2, 0.02))
    assert result.queries == len(judge.asked)  # what the filter drops is not shown to the judge


def test_a_word_that_does_not_hurt_stays():
    """After 좋다 -> 그냥 nothing lowers the probability any further, so 정말 and 참 stay."""

    def judge(texts):
        return np.array([[0.3, 0.7] if "그냥" in t.split() else [0.1, 0.9] for t in texts])

    model = Scripted(
        TOKENIZER, lambda p, i: {"그냥": 9} if p[i] in ("좋다", "[MASK]") else {"책": 9}
    )
    result = attack(judge, model, TOKENIZER, "좋다 정말 참 영화 연기", 1, top_k=1)
    assert not result.success and result.adversarial == "그냥 정말 참 영화 연기"


def test_signs_stay_and_the_word_itself_is_no_suggestion():
    model = Scripted(TOKENIZER, lambda pieces, place: {"좋다": 9, "싫다": 8, "책": 7, "참": 6})
    options = {"top_k": 3, "vocabulary": (), "rng": None}
    found = candidates.suggestions(model, TOKENIZER, [["영화"], ["좋다!"]], 1, "bae-r", **options)
    assert found == [["싫다!"], ["책!"], ["참!"]]
    assert (
        candidates.recombined(model, TOKENIZER, [["영화가는은도를"]], 0, top_k=3) == []
    )  # too long


def test_stem_and_end_of_a_word():
    assert candidates.cut_stem("배우가") == ("배우", "가", True)
    assert candidates.cut_stem("음식에서는")[:2] == ("음식", "에서는")
    assert candidates.cut_stem("좋아서") == ("좋", "아서", False)
    assert candidates.cut_stem("최고였다")[0] == "최고"
    assert candidates.cut_stem("했다") == ("했", "다", False)  # 하 and 었 share a syllable
    assert candidates.cut_stem("영화") == ("영화", "", False)


def test_a_particle_fits_its_noun():
    for after_consonant, after_vowel in ("이가", "은는", "을를", "과와"):
        for particle in (after_consonant, after_vowel):
            assert candidates.with_particle("책", particle) == "책" + after_consonant
            assert candidates.with_particle("영화", particle) == "영화" + after_vowel
    assert candidates.with_particle("책", "에서") == "책에서"
    assert candidates.with_particle("A", "가") == "A가"


def test_stem_attack_masks_the_stem_and_keeps_its_end():
    """영화는 -> the mask before ##는; 책 takes 은, and the word itself is no suggestion."""
    model = Scripted(TOKENIZER, lambda pieces, place: {"영화": 9, "책": 8, "배우": 7, "##가": 10})
    options = {"top_k": 2, "vocabulary": (), "rng": None}
    now = [["그냥"], ["영화는!"]]
    found = candidates.suggestions(model, TOKENIZER, now, 1, "bae-r-stem", **options)
    assert found == [["책은!"], ["배우는!"]]
    assert model.shown[-1] == "[CLS] 그냥 [MASK] ##는 ! [SEP]".split()
    bare = candidates.suggestions(model, TOKENIZER, [["영화"]], 0, "bae-r-stem", **options)
    assert bare == [["책"], ["배우"]]


def test_random_words_keep_the_signs_and_come_without_any():
    options = {"top_k": 5, "vocabulary": ["물은"], "rng": random.Random(0)}
    found = candidates.suggestions(MODEL, TOKENIZER, [["좋다!"]], 0, "random", **options)
    assert found == [["물은!"]]
    lines = ["물은 액체이다. (물) H2O", "물은 얼음, 2도"]
    assert candidates.document_words(lines) == ["물은", "액체이다", "얼음"]
    assert len(korean_words()) > 1_000


# --- comparisons ---------------------------------------------------------------------------------


def attempt(success, similarity=1.0, predicted=1):
    return Attack("a", 1, predicted, (("b", "a"),), success, 2, similarity)


def test_success_at_equal_similarity_by_hand():
    """Of four attacked reviews two fell, at 0.85 and 0.95; a failed one may be more similar."""
    results = [attempt(True, 0.85), attempt(True, 0.95), attempt(False, 0.99), attempt(False)]
    results.append(attempt(False, predicted=0))  # was wrong before, not attacked
    assert success_curve(results, [0.8, 0.85, 0.9, 0.96]) == [0.5, 0.5, 0.25, 0]
    assert all(math.isnan(value) for value in success_curve(results[-1:], [0.8, 0.9]))
    assert [stands(result) for result in results] == [False, False, True, True, False]


def test_paired_test_by_hand():
    """Five reviews that only the first fooled: 2 / 2^5."""
    row = paired_test([1] * 5 + [1, 0], [0] * 5 + [1, 0])
    assert row == {"n": 7, "first_only": 5, "second_only": 0, "p": pytest.approx(2 / 2**5)}
    assert paired_test([True, False], [True, False])["p"] == 1
    assert paired_test([1, 0], [0, 1]) == {"n": 2, "first_only": 1, "second_only": 1, "p": 1}
    with pytest.raises(CourseError, match="짝"):
        paired_test([1], [1, 0])


def test_a_text_already_wrong_is_left_alone():
    result = attack(Judge(), MODEL, TOKENIZER, "영화 정말 싫다", 1)
    assert (result.success, result.changed, result.queries) == (False, 0, 1)
    assert result.predicted == 0


def test_pieces_are_recombined_to_one_word_of_the_same_shape():
    def rule(pieces, place):
        return (
            {"연기": 5, "##는": 9, "영화": 4}
            if pieces[place] == "영화"
            else {"##는": 5, "##가": 4, "참": 9}
        )

    model = Scripted(TOKENIZER, rule)
    found = candidates.recombined(model, TOKENIZER, [["영화가"], ["좋다"]], 0, top_k=8)
    assert found[0] == "연기는" and {"연기가", "영화는"} <= set(found)
    assert "영화가" not in found and not any("#" in word or " " in word for word in found)
    dotted = candidates.recombined(model, TOKENIZER, [["영화가!"]], 0, top_k=8)
    assert all(word.endswith("!") for word in dotted)
    assert candidates.recombined(model, TOKENIZER, [["!!"]], 0, top_k=8) == []
    assert candidates.recombined(model, TOKENIZER, [["뷁"]], 0, top_k=8) == []


def test_errors():
    with pytest.raises(CourseError, match="방법은 없습니다"):
        attack(Judge(), MODEL, TOKENIZER, "영화", 1, method="magic")
    with pytest.raises(CourseError, match="빈 문장"):
        attack(Judge(), MODEL, TOKENIZER, " ", 1)
    with pytest.raises(CourseError, match="줄이십시오"):
        attack(Judge(), MODEL, TOKENIZER, "영화 " * 99, 1)


def test_summary_counts_by_hand():
    same = (("a", "a"), ("b", "b"))
    won = Attack("a b", 1, 1, (("c", "a"), ("b", "b")), True, 10, 0.9)
    lost = Attack("a b", 1, 1, same, False, 20)
    wrong = Attack("a b", 1, 0, same, False, 1)
    row = summary([won, lost, lost, wrong])
    assert row["accuracy"] == 3 / 4 and row["accuracy_under_attack"] == 2 / 4
    assert row["success_rate"] == pytest.approx(1 / 3) and row["words_changed"] == 0.5
    assert row["queries"] == pytest.approx(50 / 3) and row["similarity"] == 0.9


def test_attacked_text_is_escaped():
    attacked = Attack("<b>", 1, 1, (("<img src=x>", "<b>"),), True, 3)
    html = attacked._repr_html_()
    assert "<img" not in html and "<b>" not in html and "&lt;img" in html


def test_table_is_attacked_row_by_row():
    reviews = pd.DataFrame({"text": ["영화 정말 좋다", "영화 싫다"], "label": [1, 1]})
    results = attack_all(Judge(), MODEL, TOKENIZER, reviews, method="bae-r")
    assert [r.success for r in results] == [True, False]
    assert summary(results)["accuracy"] == 0.5


# --- the classifier ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A tiny untrained BERT with its tokenizer."""
    path = tmp_path_factory.mktemp("bert")
    tokenizer = tokenizer_of(*WORDS.split(), *SYLLABLES)
    tiny_bert(tokenizer, BertForPreTraining).save_pretrained(path)
    tokenizer.save_pretrained(path)
    return path


TEXTS = ["영화 정말 좋다", "음식 참 좋다", "책 좋다", "영화 싫다", "음식 정말 싫다", "책 참 싫다"]


def test_classifier_learns_and_reads_any_length(folder):
    texts, labels = TEXTS * 4, [1, 1, 1, 0, 0, 0] * 4
    options = {"epochs": 12, "batch_size": 4, "learning_rate": 5e-3}
    classifier = train_classifier(folder, texts, labels, **options)
    assert classifier.accuracy(["배우 좋다", "배우 싫다"], [1, 0]) == 1
    together = classifier([*TEXTS, "영화 " * 300])
    assert together.shape == (7, 2) and together.sum(1) == pytest.approx(np.ones(7), abs=1e-5)
    alone = np.concatenate([classifier([text]) for text in TEXTS])
    assert together[:6] == pytest.approx(alone, abs=1e-4)  # padding changes nothing
    again = train_classifier(folder, texts, labels, **options)
    assert np.array_equal(again(TEXTS), classifier(TEXTS))
    assert isinstance(again, Classifier)


@pytest.mark.parametrize(
    ("labels", "message"), [([1], "하나씩"), ([1] * 6, "두 가지"), ([1, 3] * 3, "0부터")]
)
def test_classifier_refuses_unusable_labels(folder, labels, message):
    with pytest.raises(CourseError, match=message):
        train_classifier(folder, TEXTS, labels)


def test_reviews_are_read_in_both_forms(tmp_path):
    nsmc = tmp_path / "nsmc.tsv"
    nsmc.write_text('id\tdocument\tlabel\n1\t"좋다\t1\n2\t\t0\n3\tNA\t0\n', encoding="utf-8")
    table = read_reviews(nsmc)
    assert table["text"].tolist() == ['"좋다', "NA"] and table["label"].tolist() == [1, 0]
    ours = read_reviews(ROOT / "data" / "mask_attack" / "sentiment.tsv")
    assert len(ours) == 600 and ours["label"].mean() == 0.5
    assert len(read_reviews(ROOT / "data" / "mask_attack" / "sentiment.tsv", "test")) == 150


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "없습니다"),
        ("글\t답\n좋다\t1\n".encode(), "첫 줄"),
        ("text\tlabel\n좋다\t긍정\n".encode(), "'긍정'"),
        ("text\tlabel\n좋다\t1\n".encode("cp949"), "UTF-8"),
        (b"", "첫 줄"),
    ],
)
def test_unusable_reviews_get_one_sentence(tmp_path, content, message):
    path = tmp_path / "reviews.tsv"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CourseError, match=message):
        read_reviews(path)


def test_reviews_longer_than_the_model_are_counted_and_not_attacked(folder, capsys):
    tokenizer = load_tokenizer(folder)
    reviews = pd.DataFrame({"text": [TEXTS[0], "가 " * 600], "label": [1, 0]})
    assert that_fit(reviews, tokenizer, 512)["text"].tolist() == TEXTS[:1]
    assert "글 1개는 공격하지 않습니다" in capsys.readouterr().err
    assert len(that_fit(reviews, tokenizer, 2000)) == 2 and not capsys.readouterr().err
    with pytest.raises(CourseError, match="모두 3토큰보다"):
        that_fit(reviews, tokenizer, 3)


def test_evaluate_command_prints_one_json_line_a_method(tmp_path, folder):
    path = tmp_path / "reviews.tsv"
    rows = [
        f"{text}\t{label}" for text, label in zip(TEXTS * 3, [1, 1, 1, 0, 0, 0] * 3, strict=True)
    ]
    path.write_text("text\tlabel\n" + "\n".join(rows) + "\n", encoding="utf-8")
    command = [sys.executable, "-m", "helpers", "evaluate", "mask_attack", "--model", str(folder)]
    options = [
        "--train",
        str(path),
        "--test",
        str(path),
        "--attacks",
        "4",
        "--epochs",
        "1",
        "--no-filter",
        *("--method", "random", "--method", "bae-r"),
    ]
    done = subprocess.run([*command, *options], capture_output=True, encoding="utf-8", cwd=ROOT)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    results = [json.loads(line, parse_constant=pytest.fail) for line in lines]  # NaN is no JSON
    assert [result["method"] for result in results] == ["random", "bae-r"]
    for result in results:
        assert result["attacked"] == 4
        assert 0 <= result["accuracy_under_attack"] <= result["accuracy"] <= 1
        assert {"success_rate", "words_changed", "queries", "test_accuracy"} <= result.keys()
        asked = [fooled for fooled in result["fooled"] if fooled is not None]
        near = result["similarities"]
        assert [value is not None for value in near] == [bool(f) for f in result["fooled"]]
        assert len(result["fooled"]) == 4 and len(asked) == 4 * result["accuracy"]
    for wrong in (["--train", "x"], ["--method", "bertattack"]):
        failed = subprocess.run(
            [*command, *options, *wrong], capture_output=True, encoding="utf-8", cwd=ROOT
        )
        assert failed.returncode == 2
        assert failed.stderr.startswith("오류:") and "Traceback" not in failed.stderr
