import math

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from mask_models import Scripted, tiny_bert, tokenizer_of
from transformers import pipeline

from helpers import CourseError
from helpers.mask_attack import masks, probe
from helpers.mask_attack.bias import by_template, categorical_bias

TOKENIZER = tokenizer_of(
    *"프랑스 독일 파리 베를린 런던 서울 수도 한강 강 ##강 센 ##이다 이다".split(),
    *"##이 ##다 ##의 의 남자 여자".split(),
)


def by_subject(pieces, place):
    """Knows the capital of France; of anything else it says London, then Paris."""
    return {"파리": 9, "런던": 8} if "프랑스" in pieces else {"런던": 9, "파리": 8, "서울": 7}


MODEL = Scripted(TOKENIZER, by_subject)


# --- encoding ------------------------------------------------------------------------------------


def pieces(text, **options):
    return TOKENIZER.convert_ids_to_tokens(masks.encode(TOKENIZER, text, **options))


def test_what_is_glued_to_a_mask_is_its_continuation():
    assert pieces("수도 [MASK]이다.") == "[CLS] 수도 [MASK] ##이다 . [SEP]".split()
    assert pieces("수도 [MASK]이다.", glued=False) == "[CLS] 수도 [MASK] 이다 . [SEP]".split()
    assert pieces("[MASK]의 수도") == "[CLS] [MASK] ##의 수도 [SEP]".split()
    assert pieces("[MASK] 이다") == "[CLS] [MASK] 이다 [SEP]".split()
    assert pieces("[MASK]. 이다") == "[CLS] [MASK] . 이다 [SEP]".split()
    assert pieces("[MASK]의 [MASK]이다") == "[CLS] [MASK] ##의 [MASK] ##이다 [SEP]".split()
    assert pieces("[MASK]뷁 수도") == "[CLS] [MASK] [UNK] 수도 [SEP]".split()  # cannot be spelled


@given(st.lists(st.sampled_from("파리 서울 런던 프랑스".split()), min_size=1, max_size=4))
def test_an_answer_in_a_glued_mask_is_the_text_itself(words):
    """Put back into its mask, an answer gives the ids that the tokenizer gives the whole text."""
    text = " ".join([*words[:-1], "[MASK]이다."])
    row = masks.encode(TOKENIZER, text)
    answer = TOKENIZER(words[-1], add_special_tokens=False)["input_ids"]
    filled = masks.put(row, TOKENIZER.mask_token_id, answer)
    assert filled == TOKENIZER(text.replace("[MASK]", words[-1]))["input_ids"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "빈 문장"),
        ("  ", "빈 문장"),
        ("프랑스의 수도", "가 없습니다"),
        ("수도 " * 70 + "[MASK]", "줄이십시오"),
        ("[MASK]의 [MASK]", "여럿"),
    ],
)
def test_unusable_prompts_get_one_sentence(text, message):
    with pytest.raises(CourseError, match=message):
        probe.probe(MODEL, TOKENIZER, [text])


def test_answer_and_tokenizer_must_belong_to_the_model():
    with pytest.raises(CourseError, match="UNK"):
        probe.probe(MODEL, TOKENIZER, ["수도 [MASK]"], [["뷁"]])
    with pytest.raises(CourseError, match="토크나이저를 쓰십시오"):
        probe.probe(MODEL, tokenizer_of("다른"), ["수도 [MASK]"])
    with pytest.raises(CourseError, match="빈 문장"):
        probe.fill_masks(MODEL, TOKENIZER, " ")


# --- probing -------------------------------------------------------------------------------------


def test_ranks_are_those_the_model_was_given():
    prompts = [
        "프랑스 수도 [MASK]이다.",
        "독일 수도 [MASK]이다.",
        "독일 수도 [MASK]",
        "독일 [MASK]",
    ]
    answers = [["파리"], ["파리"], ["베를린", "서울"], ["한강물"]]
    with pytest.raises(CourseError):
        probe.probe(MODEL, TOKENIZER, prompts, answers)
    answers[3] = ["센강"]
    frame = probe.probe(MODEL, TOKENIZER, prompts, answers, top_k=2)
    assert frame["rank"].tolist()[:3] == [1, 2, 3] and math.isnan(frame["rank"][3])
    assert frame["pieces"].tolist() == [1, 1, 1, 2]
    assert frame["tokens"].tolist()[:2] == [("파리", "런던"), ("런던", "파리")]
    total = math.exp(9) + math.exp(8) + len(TOKENIZER) - 2
    assert frame["probabilities"][0] == pytest.approx((math.exp(9) / total, math.exp(8) / total))
    scores = probe.precision(frame).loc["전체"]
    assert scores[["prompts", "scored", "P@1", "P@5"]].tolist() == [4, 3, 1 / 3, 1]
    assert scores["MRR"] == pytest.approx((1 + 1 / 2 + 1 / 3) / 3)
    by = probe.precision(frame.assign(relation=["a", "b", "b", "b"]), by="relation")
    assert by["P@1"].tolist() == [1, 0] and by["scored"].tolist() == [1, 2]


@given(st.lists(st.sampled_from([0.0, 1.0, 2.0]), min_size=1, max_size=8), st.data())
def test_rank_agrees_with_a_stable_sort(values, data):
    index = data.draw(st.integers(0, len(values) - 1))
    order = np.argsort(-np.array(values), kind="stable")
    assert probe.rank_of(torch.tensor(values), index) == order.tolist().index(index) + 1


def test_batched_probe_gives_the_pipelines_answers():
    """Prompts of different lengths in one batch: padding must not reach the answers."""
    model = tiny_bert(TOKENIZER)
    prompts = [
        "[MASK]",
        "프랑스 수도 [MASK]이다.",
        "서울 한강 [MASK] 파리 센강 런던 수도 독일 프랑스",
    ]
    frame = probe.probe(model, TOKENIZER, prompts, top_k=5, glued=False)
    fill = pipeline("fill-mask", model=model, tokenizer=TOKENIZER, top_k=5)
    for prompt, row in zip(prompts, frame.itertuples(), strict=True):
        expected = fill(prompt)
        tokens = TOKENIZER.convert_ids_to_tokens([answer["token"] for answer in expected])
        assert row.tokens == tuple(tokens)
        assert row.probabilities == pytest.approx(
            [answer["score"] for answer in expected], rel=1e-4
        )


def test_the_longest_text_a_model_reads_is_not_refused():
    text = "수도 " * 61 + "[MASK]"
    assert len(masks.encode(TOKENIZER, text, max_length=64)) == 64
    with pytest.raises(CourseError, match="65토큰"):
        masks.encode(TOKENIZER, "수도 " + text, max_length=64)


def test_model_keeps_its_mode():
    model = tiny_bert(TOKENIZER).train()
    probe.probe(model, TOKENIZER, ["수도 [MASK]"])
    assert model.training


# --- answers of several pieces -------------------------------------------------------------------


def river(pieces, place):
    """After 센 comes ##강 for certain; 센 itself is rarer than 강, and no second piece."""
    if pieces[place - 1] == "[MASK]":
        return {"##강": 5, "센": -5}
    return {"##강": 20} if pieces[place - 1] == "센" else {"강": 2, "센": 1}


def test_candidates_of_several_pieces_are_a_chain_from_the_left():
    model = Scripted(TOKENIZER, river)
    frame = probe.candidate_scores(model, TOKENIZER, ["프랑스 [MASK]"], [["센강", "강", "서울"]])
    total = math.exp(2) + math.exp(1) + len(TOKENIZER) - 2
    first = math.log(math.exp(1) / total)
    assert frame["pieces"].tolist() == [2, 1, 1]
    assert frame["score"][0] == pytest.approx(first, abs=1e-4)  # the second piece is certain
    assert frame["rank"].tolist() == [2, 1, 3]
    assert "[CLS] 프랑스 [MASK] [MASK] [SEP]".split() in model.shown
    assert "[CLS] 프랑스 센 [MASK] [SEP]".split() in model.shown
    shown = Scripted(TOKENIZER, river)
    probe.candidate_scores(shown, TOKENIZER, ["프랑스 [MASK]"], [["센강"]], hide_later=False)
    assert "[CLS] 프랑스 [MASK] ##강 [SEP]".split() in shown.shown


def test_masks_are_filled_from_the_left():
    model = Scripted(TOKENIZER, lambda p, i: {"##강": 9} if p[i - 1] == "센" else {"센": 5})
    frame = probe.fill_left_to_right(model, TOKENIZER, ["프랑스 [MASK]이다", "[MASK]"], [2, 1])
    assert frame["filled"].tolist() == ["센강", "센"]
    # the second place is filled in sight of the first
    assert model.shown[-1] == "[CLS] 프랑스 센 [MASK] ##이다 [SEP]".split()


def test_all_masks_of_a_text_are_filled_at_once():
    model = Scripted(TOKENIZER, lambda p, i: {"프랑스": 5} if i == 1 else {"파리": 5, "런던": 4})
    first, second = probe.fill_masks(model, TOKENIZER, "[MASK]의 수도 [MASK]이다", top_k=2)
    assert first[0][0] == "프랑스" and [token for token, _ in second] == ["파리", "런던"]
    assert second[0][1] > second[1][1]


# --- the data ------------------------------------------------------------------------------------


def test_every_fact_meets_every_template_of_its_relation():
    facts, templates = probe.read_table("facts"), probe.read_table("templates")
    table = probe.cloze(facts, templates)
    assert len(table) == 3 * len(facts) and facts["relation"].nunique() >= 10
    assert all(prompt.count("[MASK]") == 1 for prompt in table["prompt"])
    assert not table["prompt"].str.contains("{", regex=False).any()
    assert table["number"].tolist().count(1) == len(facts)
    assert table["answers"].map(len).max() > 1


# --- bias ----------------------------------------------------------------------------------------


def test_bias_is_the_variance_of_the_log_ratios():
    """서울 as an attribute makes 남자 e times as likely against 여자; 런던 changes nothing."""
    model = Scripted(
        TOKENIZER, lambda pieces, _: {"남자": 3 + ("서울" in pieces), "여자": 3, "수도": 9}
    )
    result = categorical_bias(
        model,
        TOKENIZER,
        ["남자", "여자"],
        ["서울", "런던"],
        ["{attribute} [MASK]", "수도 {attribute} [MASK]"],
    )
    assert result.score == pytest.approx((0.25 + 0) / 2, abs=1e-4)  # variance of (x + 1, x)
    assert (result.low, result.high) == pytest.approx((0.125, 0.125), abs=1e-4)  # templates agree
    difference = result.matrix["남자"] - result.matrix["여자"]
    assert difference.tolist() == pytest.approx([1 / math.log(2), 0], abs=1e-5)
    assert isinstance(result.matrix, pd.DataFrame) and result.matrix.shape == (2, 2)


def test_the_prior_masks_the_attribute_piece_by_piece():
    """한강 is one piece, 강강 two; the model counts the masks and nothing else."""

    def by_masks(pieces, place):
        return {"남자": pieces.count("[MASK]") - 1, "여자": 0}

    model = Scripted(TOKENIZER, by_masks)
    templates = ["{attribute} [MASK]이다", "[MASK] 의 {attribute} 강"]
    words = ["남자", "여자"], ["한강", "강강"], templates
    result = categorical_bias(model, TOKENIZER, *words)
    difference = result.ratios[..., 0] - result.ratios[..., 1]
    assert difference == pytest.approx(np.array([[-1, -2], [-1, -2]]), abs=1e-4)
    shown = {" ".join(pieces) for pieces in model.shown}
    assert "[CLS] [MASK] [MASK] [MASK] ##이다 [SEP]" in shown
    deleted = categorical_bias(model, TOKENIZER, *words, masked_prior=False)
    assert deleted.score == pytest.approx(0, abs=1e-6)


def test_the_interval_comes_from_the_templates():
    """One template in two is biased: the score is the mean, and the interval holds both."""
    model = Scripted(
        TOKENIZER, lambda pieces, _: {"남자": 2.0 * ("서울" in pieces and "수도" in pieces)}
    )
    templates = ["{attribute} [MASK]", "수도 {attribute} [MASK]"]
    result = categorical_bias(model, TOKENIZER, ["남자", "여자"], ["서울"], templates)
    assert by_template(result.ratios) == pytest.approx([0, 1], abs=1e-4)
    assert result.score == pytest.approx(0.5, abs=1e-4)
    assert (result.low, result.high) == pytest.approx((0, 1), abs=1e-4)
    alone = categorical_bias(model, TOKENIZER, ["남자", "여자"], ["서울"], templates[:1])
    assert math.isnan(alone.low)


def test_bias_of_a_group_of_two_pieces_and_errors():
    model = Scripted(TOKENIZER, lambda pieces, _: {})
    result = categorical_bias(model, TOKENIZER, ["남자", "센강"], ["서울"], ["{attribute} [MASK]"])
    assert result.score == pytest.approx(0, abs=1e-6)
    with pytest.raises(CourseError, match="둘 이상"):
        categorical_bias(model, TOKENIZER, ["남자"], ["서울"], ["{attribute} [MASK]"])
    with pytest.raises(CourseError, match="attribute"):
        categorical_bias(model, TOKENIZER, ["남자", "여자"], ["서울"], ["[MASK]"])
    with pytest.raises(CourseError, match="하나만"):
        categorical_bias(model, TOKENIZER, ["남자", "여자"], ["서울"], ["{attribute} 남자"])
