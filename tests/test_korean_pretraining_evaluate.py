import json
import math
from dataclasses import asdict
from functools import partial
from types import SimpleNamespace

import pytest
import torch
from korean_text import write_korean
from transformers import BertForMaskedLM, BertForNextSentencePrediction

from helpers import CourseError
from helpers.batches import masked_log_probs
from helpers.korean_pretraining import evaluate
from helpers.korean_pretraining.corpus import read_documents
from helpers.korean_pretraining.evaluate import masked_accuracy, next_sentence_accuracy
from helpers.korean_pretraining.model import new_model
from helpers.korean_pretraining.sentence_pairs import build_sentence_pairs
from helpers.korean_pretraining.wordpiece import (
    SPECIAL_TOKENS,
    train_wordpiece,
    wordpiece_tokenizer,
)
from helpers.resources import DATA
from helpers.runs import read_runs

SIZES = {
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 32,
}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return write_korean(tmp_path_factory.mktemp("evaluate") / "corpus.txt", documents=60)


@pytest.fixture(scope="module")
def tokenizer(corpus):
    return train_wordpiece(corpus, 150)


@pytest.fixture
def model(tokenizer):
    torch.manual_seed(0)
    return new_model(tokenizer, **SIZES)


@pytest.fixture
def seen(model):
    """What the model gets to read: one list of ids a sentence, without padding."""
    rows = []

    def record(module, args, kwargs):
        for ids, mask in zip(kwargs["input_ids"], kwargs["attention_mask"], strict=True):
            assert mask.tolist() == sorted(mask.tolist(), reverse=True)
            rows.append(ids[mask.bool()].tolist())

    model.bert.register_forward_pre_hook(record, with_kwargs=True)
    return rows


def sentences_of(corpus) -> list[str]:
    return [sentence for document in read_documents(corpus) for sentence in document]


def test_masks_are_fixed_and_nothing_else_is_replaced(model, seen, tokenizer, corpus):
    runs = []
    for seed in (0, 0, 1):
        seen.clear()
        masked_accuracy(model, tokenizer, corpus, seed)
        runs.append(list(seen))
    assert runs[0] == runs[1] != runs[2]
    mask = tokenizer.mask_token_id
    plain = sorted(tokenizer(sentences_of(corpus))["input_ids"], key=len)
    for ids, original in zip(runs[0], plain, strict=True):
        places = [i for i, token in enumerate(ids) if token == mask]
        assert len(places) == max(1, round(0.15 * (len(ids) - 2)))
        assert 0 not in places and len(ids) - 1 not in places
        assert all(a in (b, mask) for a, b in zip(ids, original, strict=True))


def test_masks_are_spread_over_all_places(model, seen, tokenizer, corpus):
    masked_accuracy(model, tokenizer, corpus, 0)
    places = {ids.index(tokenizer.mask_token_id) for ids in seen}
    assert places >= {1, 2, 3, 4, 5}


def test_untrained_model_is_near_chance(model, tokenizer, corpus):
    result = masked_accuracy(model, tokenizer, corpus)
    assert result.loss == pytest.approx(math.log(len(tokenizer)), abs=0.3)
    assert result.top1 < 0.12 and result.top1 <= result.top5 < 0.3
    assert result.sentences == len(sentences_of(corpus)) <= result.masked_tokens
    assert 1 < result.guesses <= len(tokenizer)


def unigram_model(tokenizer, probabilities: list[float]):
    """A BERT that sees nothing and always predicts with the same probabilities."""
    model = new_model(tokenizer, **SIZES)
    model.get_output_embeddings().weight.data.zero_()
    model.cls.predictions.bias.data = torch.tensor(probabilities).log()
    return model


PIECES = ["가나다", "##라", "마", "바", "사", "아", "자차"]
PROBABILITIES = [0.01] * 5 + [0.4, 0.25, 0.1, 0.08, 0.06, 0.04, 0.02]


@pytest.fixture
def unigram():
    tokenizer = wordpiece_tokenizer({p: i for i, p in enumerate(SPECIAL_TOKENS + PIECES)})
    return unigram_model(tokenizer, PROBABILITIES), tokenizer


def test_a_model_known_by_construction_gets_what_it_must(unigram, tmp_path):
    path = tmp_path / "text.txt"
    path.write_text("가나다라 마\n가나다 사 아 자차\n", encoding="utf-8")
    result = masked_accuracy(*unigram, path, mlm_probability=1.0)
    probabilities = [0.4, 0.25, 0.1, 0.4, 0.06, 0.04, 0.02]  # 가나다 ##라 마 / 가나다 사 아 자차
    nll = -sum(map(math.log, probabilities))
    assert result.masked_tokens == 7 and result.sentences == 2
    assert result.loss == pytest.approx(nll / 7, rel=1e-5)
    assert result.top1 == pytest.approx(2 / 7)
    assert result.top5 == pytest.approx(5 / 7)
    assert result.guesses == 1  # it sees nothing, so it always answers alike
    characters = 3 + 1 + 1 + 3 + 1 + 1 + 2
    assert result.bits_per_character == pytest.approx(nll / math.log(2) / characters, rel=1e-5)
    assert json.loads(json.dumps(asdict(result)))["top1"] == pytest.approx(2 / 7)


@pytest.mark.parametrize("bias", [0.0, float("nan")])
def test_a_model_without_a_preference_is_not_rewarded(model, tokenizer, corpus, bias):
    model.get_output_embeddings().weight.data.zero_()
    model.cls.predictions.bias.data.fill_(bias)
    result = masked_accuracy(model, tokenizer, corpus)
    assert result.top1 < 0.2 and result.top5 < 0.5
    if not bias:
        assert result.loss == pytest.approx(math.log(len(tokenizer)), rel=1e-5)


def test_batches_do_not_change_the_result(model, tokenizer, corpus, monkeypatch):
    results = []
    for n in (1, 30, 8192):
        read = partial(masked_log_probs, batch_tokens=n)
        monkeypatch.setattr(evaluate, "masked_log_probs", read)
        results.append(masked_accuracy(model, tokenizer, corpus, max_sentences=40))
    for result in results[1:]:
        assert asdict(result) == pytest.approx(asdict(results[0]), rel=1e-5)


def test_a_mask_in_the_text_is_not_asked_for(model, tokenizer, tmp_path):
    path = tmp_path / "text.txt"
    path.write_text("서울은 [MASK] 수도이다.\n", encoding="utf-8")
    result = masked_accuracy(model, tokenizer, path, mlm_probability=1.0)
    ids = tokenizer("서울은 [MASK] 수도이다.", add_special_tokens=False)["input_ids"]
    assert result.masked_tokens == sum(id not in tokenizer.all_special_ids for id in ids) > 0


def test_masked_lm_class_and_mode(model, tokenizer, corpus, tmp_path):
    expected = masked_accuracy(model.eval(), tokenizer, corpus)
    model.save_pretrained(tmp_path)
    loaded = BertForMaskedLM.from_pretrained(tmp_path, hidden_dropout_prob=0.5).train()
    assert asdict(masked_accuracy(loaded, tokenizer, corpus)) == pytest.approx(asdict(expected))
    assert loaded.training and not model.training


def test_part_of_the_sentences(model, seen, tokenizer, corpus):
    for seed in (0, 1):
        assert masked_accuracy(model, tokenizer, corpus, seed, max_sentences=7).sentences == 7
    assert sorted(map(len, seen[:7])) != sorted(map(len, seen[7:])) or seen[:7] != seen[7:]
    everything = masked_accuracy(model, tokenizer, corpus, max_sentences=10**6)
    assert everything == masked_accuracy(model, tokenizer, corpus)


def test_long_sentences_are_cut_to_what_the_model_reads(tokenizer, tmp_path):
    path = tmp_path / "long.txt"
    path.write_text("서울 " * 300, encoding="utf-8")
    short = new_model(tokenizer, **SIZES, max_position_embeddings=20)
    assert masked_accuracy(short, tokenizer, path, mlm_probability=1).masked_tokens == 18
    assert (
        masked_accuracy(short, tokenizer, path, mlm_probability=1, max_length=9).masked_tokens == 7
    )


def test_unknown_words_are_never_masked(unigram, tmp_path):
    path = tmp_path / "text.txt"
    path.write_text("뷁 가나다 [MASK]\n뷁 뷁\n", encoding="utf-8")
    result = masked_accuracy(*unigram, path, mlm_probability=1.0)
    assert (result.masked_tokens, result.sentences) == (1, 1)


@pytest.mark.parametrize("text", ["뷁 뷁\n", "", "\n\n"])
def test_nothing_to_mask(unigram, tmp_path, text):
    path = tmp_path / "text.txt"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(CourseError, match="가릴 수 있는 글자가 없습니다"):
        masked_accuracy(*unigram, path)


@pytest.mark.parametrize("wrong", [-0.1, 0, 1.5])
def test_share_of_masks_is_a_share(unigram, tmp_path, wrong):
    path = tmp_path / "text.txt"
    path.write_text("가나다 마\n", encoding="utf-8")
    with pytest.raises(CourseError, match="mlm_probability는 비율입니다"):
        masked_accuracy(*unigram, path, mlm_probability=wrong)


@pytest.mark.parametrize(
    "name, wrong", [("max_sentences", 0), ("max_sentences", -1), ("max_length", 2)]
)
def test_sizes_leave_something_to_mask(unigram, tmp_path, name, wrong):
    path = tmp_path / "text.txt"
    path.write_text("가나다 마\n", encoding="utf-8")
    with pytest.raises(CourseError, match=f"{name}은\\(는\\).*너무 작습니다"):
        masked_accuracy(*unigram, path, **{name: wrong})


def test_missing_file(unigram):
    with pytest.raises(CourseError, match="없습니다"):
        masked_accuracy(*unigram, "no.txt")


def test_the_log_of_real_text_has_every_text_as_often_as_any_other():
    """Or the means of lesson 04 would not compare."""
    log = DATA / "korean_pretraining" / "domain.jsonl"
    runs = read_runs(log)
    seeds: dict[tuple, set] = {}
    for run in runs:
        seeds.setdefault((run["start"], run["text"]), set()).add(run["seed"])
    before = seeds.pop(("warm", "none"))
    assert len(before) == 1 and len(set(map(frozenset, seeds.values()))) == 1


# --- next sentence -------------------------------------------------------------------------------


def label_pairs(tokenizer, labels: list[int]) -> list[dict]:
    """Pairs of several lengths whose second piece is piece 5 for label 0, 6 for label 1."""
    rows = []
    for i, label in enumerate(labels):
        ids = [tokenizer.cls_token_id, 5 + label, *[7] * (i % 5), tokenizer.sep_token_id]
        rows.append({"input_ids": ids, "token_type_ids": [0] * len(ids)})
        rows[-1]["next_sentence_label"] = label
    return rows


def test_next_sentence_head_known_by_construction(model, tokenizer):
    """Labels read off the piece behind `[CLS]`, whatever the lengths; 3
    of 200 pairs are mislabelled.
    """

    class Reader(torch.nn.Module):
        def forward(self, input_ids, **kwargs):
            label = (input_ids[:, 1] - 5).float()
            return SimpleNamespace(pooler_output=torch.stack([1 - label, label], 1))

    model.bert = Reader()
    model.cls.seq_relationship = torch.nn.Identity()
    pairs = label_pairs(tokenizer, [i % 2 for i in range(200)])
    assert next_sentence_accuracy(model, pairs, tokenizer.pad_token_id) == 1
    for pair in pairs[:3]:
        pair["next_sentence_label"] ^= 1
    assert next_sentence_accuracy(model, pairs, tokenizer.pad_token_id) == 197 / 200


def test_next_sentence_accuracy_is_that_of_hugging_face(model, tokenizer, corpus, tmp_path):
    pairs = build_sentence_pairs(corpus, tokenizer, 32)
    model.save_pretrained(tmp_path)
    reference = BertForNextSentencePrediction.from_pretrained(tmp_path).eval()
    right = 0
    for pair in pairs:
        names = ("input_ids", "token_type_ids")
        logits = reference(**{name: torch.tensor([pair[name]]) for name in names}).logits
        right += int(logits.argmax()) == pair["next_sentence_label"]
    for either in (model, reference):
        got = next_sentence_accuracy(either, pairs, tokenizer.pad_token_id)
        assert got == pytest.approx(right / len(pairs), abs=1.5 / len(pairs))


def test_next_sentence_accuracy_needs_a_head_and_pairs(model, tokenizer):
    with pytest.raises(CourseError, match="머리가 없습니다"):
        next_sentence_accuracy(model.bert, [], tokenizer.pad_token_id)
    with pytest.raises(CourseError, match="하나도 없습니다"):
        next_sentence_accuracy(model, [], tokenizer.pad_token_id)
