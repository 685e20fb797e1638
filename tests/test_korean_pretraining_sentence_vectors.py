from collections import Counter

import pytest
import torch
from korean_text import NOUNS, write_korean
from transformers import BertConfig, BertModel

from helpers.korean_pretraining import sentence_vectors
from helpers.korean_pretraining.corpus import read_documents
from helpers.korean_pretraining.sentence_vectors import (
    SentenceVectorLoss,
    mean_pooling,
    sample_sentences,
    teacher_vectors,
)
from helpers.korean_pretraining.wordpiece import train_wordpiece

SIZES = {
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 32,
}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return write_korean(tmp_path_factory.mktemp("vectors") / "corpus.txt", documents=40)


@pytest.fixture(scope="module")
def tokenizer(corpus):
    return train_wordpiece(corpus, 200)


@pytest.fixture
def bert(tokenizer):
    torch.manual_seed(0)
    return BertModel(BertConfig(vocab_size=len(tokenizer), **SIZES)).eval()


def test_mean_pooling_leaves_padding_out():
    hidden = torch.tensor([[[1.0, 2.0], [3.0, 6.0]], [[5.0, 7.0], [100.0, 100.0]]])
    mask = torch.tensor([[1, 1], [1, 0]])
    assert mean_pooling(hidden, mask).tolist() == [[2.0, 4.0], [5.0, 7.0]]


def test_sample_is_drawn_without_repetition_and_the_same_for_a_seed(corpus):
    sentences = [sentence for document in read_documents(corpus) for sentence in document]
    first = sample_sentences([corpus], 20, seed=3)
    assert first == sample_sentences([corpus], 20, seed=3) != sample_sentences([corpus], 20, seed=4)
    assert len(first) == 20 and not Counter(first) - Counter(sentences)
    assert sample_sentences([corpus], 10**6, seed=3) == sentences


def test_sample_is_even(tmp_path):
    path = tmp_path / "numbers.txt"
    path.write_text("\n".join(map(str, range(20))), encoding="utf-8")
    drawn = Counter(s for seed in range(1000) for s in sample_sentences([path], 5, seed))
    assert len(drawn) == 20 and all(180 < count < 320 for count in drawn.values())


def test_teacher_vectors_keep_the_order_and_lose_the_common_direction(bert, tokenizer):
    sentences = [" ".join(NOUNS[i:] * (i % 3 + 1)) for i in range(len(NOUNS))]
    vectors = teacher_vectors(sentences, bert.train(), tokenizer)
    assert vectors.shape == (len(sentences), 16) and not vectors.requires_grad
    torch.testing.assert_close(vectors.norm(dim=1), torch.ones(len(sentences)))
    alone = []
    with torch.inference_mode():
        for sentence in sentences:
            hidden = bert.eval()(**tokenizer(sentence, return_tensors="pt")).last_hidden_state
            alone.append(torch.nn.functional.normalize(hidden.mean(1)[0], dim=0))
    centred = torch.stack(alone) - torch.stack(alone).mean(0)
    # Where the teacher computes in bf16, what is left after taking the mean out is small beside it.
    assert torch.cosine_similarity(vectors, centred).min() > 0.95
    assert (vectors @ vectors.T).mean() < 0.2 < (torch.stack(alone) @ torch.stack(alone).T).mean()
    prefixed = teacher_vectors(sentences, bert, tokenizer, prefix="서울 서울 ")
    assert torch.cosine_similarity(vectors, prefixed).min() < 0.95


@pytest.mark.parametrize("units", [True, False])
def test_the_teacher_computes_in_bf16_only_where_that_is_fast(bert, tokenizer, monkeypatch, units):
    monkeypatch.setattr(sentence_vectors, "bf16_supported", lambda device: units)
    seen = []
    bert.register_forward_pre_hook(lambda *_: seen.append(torch.is_autocast_enabled("cpu")))
    teacher_vectors(["서울은 봄이다."], bert, tokenizer)
    assert seen == [units]


def test_loss_is_one_minus_the_cosine(bert, tokenizer):
    sentences = [f"{noun} {noun}." for noun in NOUNS]
    with torch.no_grad():
        batch = tokenizer(sentences, padding=True, return_tensors="pt")
        ours = mean_pooling(bert(**batch).last_hidden_state, batch["attention_mask"])
    same = SentenceVectorLoss(sentences, 3 * ours, tokenizer, 4, seed=0)
    opposite = SentenceVectorLoss(sentences, -ours, tokenizer, 4, seed=0)
    assert same(bert, 0).item() == pytest.approx(0, abs=1e-5)
    assert opposite(bert, 0).item() == pytest.approx(2, abs=1e-5)
    rng = torch.Generator().manual_seed(0)
    targets = torch.randn(len(sentences), 16, generator=rng)
    loss = SentenceVectorLoss(sentences, targets, tokenizer, 4, seed=0)
    assert loss(bert, 1).item() == loss(bert, 1).item() != loss(bert, 2).item()
    other = SentenceVectorLoss(sentences, targets, tokenizer, 4, seed=1)
    assert loss(bert, 1).item() != other(bert, 1).item()
    loss(bert, 1).backward()
    assert bert.embeddings.word_embeddings.weight.grad.abs().sum() > 0


def test_training_on_teacher_vectors_from_inference_mode(bert, tokenizer):
    sentences = [f"{noun}은 {noun}." for noun in NOUNS]
    targets = teacher_vectors(sentences, bert, tokenizer)
    torch.manual_seed(1)
    student = BertModel(BertConfig(vocab_size=len(tokenizer), **SIZES))
    loss = SentenceVectorLoss(sentences, targets, tokenizer, 8, seed=0)
    optimizer = torch.optim.Adam(student.parameters(), 1e-2)
    losses = []
    for step in range(30):
        losses.append(loss(student, step))
        optimizer.zero_grad()
        losses[-1].backward()
        optimizer.step()
    assert sum(losses[-5:]).item() < 0.7 * sum(losses[:5]).item()


def test_fewer_sentences_than_a_batch(bert, tokenizer):
    loss = SentenceVectorLoss(["서울.", "부산."], torch.ones(2, 16), tokenizer, 8, seed=0)
    assert loss(bert, 0).isfinite()
