import math

import pytest
import torch
from mask_models import tiny_bert, tokenizer_of
from transformers import BertForPreTraining

from helpers.mask_attack import learn as learning
from helpers.mask_attack.learn import clipped, epsilon_of, learn, losses_by_sentence

TOKENIZER = tokenizer_of("암호", "이다", "물", "불", "하나", "둘")
TEXT = ["암호 하나 이다", "물 둘 이다", "불 하나 둘 이다"] * 8


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A tiny untrained BERT with its tokenizer."""
    path = tmp_path_factory.mktemp("bert")
    tiny_bert(TOKENIZER, BertForPreTraining).save_pretrained(path)
    TOKENIZER.save_pretrained(path)
    return path


def batch_of(rows):
    """Rows in which position 2 is masked."""
    encoded = TOKENIZER(rows, padding=True, return_tensors="pt")
    labels = torch.full_like(encoded["input_ids"], -100)
    labels[:, 2] = encoded["input_ids"][:, 2]
    encoded["input_ids"][:, 2] = TOKENIZER.mask_token_id
    return {**encoded, "labels": labels}


def encoder_only(model):
    model.requires_grad_(False)
    model.base_model.encoder.requires_grad_(True)
    return [p for p in model.parameters() if p.requires_grad]


def test_the_encoder_learns_and_the_rest_stays(folder, monkeypatch):
    monkeypatch.setattr(learning, "bf16_supported", lambda device: False)
    seen = []
    model, steps = learn(
        folder, TOKENIZER, TEXT, passes=20, watch=lambda model, step: seen.append(step), seed=1
    )
    assert steps == 20 * len(TEXT) // learning.BATCH == 30
    assert seen == [7, 15, 22, 30] and not model.training
    before = tiny_bert(TOKENIZER, BertForPreTraining)
    assert torch.equal(model.get_input_embeddings().weight, before.get_input_embeddings().weight)
    loss = losses_by_sentence(model, batch_of(TEXT[:3])).mean()
    again, _ = learn(folder, TOKENIZER, TEXT, passes=0, seed=1)  # one step
    assert loss < losses_by_sentence(again, batch_of(TEXT[:3])).mean()


def test_loss_of_a_sentence_is_its_own_mean():
    """Two masks in the first sentence, one in the second, none in the third."""
    model = tiny_bert(TOKENIZER)
    batch = batch_of(TEXT[:3])
    batch["labels"][0, 1], batch["labels"][2] = 9, -100
    logits = model(batch["input_ids"], attention_mask=batch["attention_mask"]).logits
    expected = [
        torch.nn.functional.cross_entropy(logits[row], batch["labels"][row]).item()
        for row in range(2)
    ]
    losses = losses_by_sentence(model, batch)
    assert losses[:2].tolist() == pytest.approx(expected, abs=1e-5) and losses[2] == 0


def test_each_sentence_is_clipped_and_nothing_is_added_without_noise():
    """One step of SGD at rate 1 moves by the mean of the clipped gradients, made one by one."""
    rows, clip = TEXT[:2] * (learning.BATCH // 2), 0.05
    reference = tiny_bert(TOKENIZER)
    parameters = encoder_only(reference)
    total = [torch.zeros_like(p) for p in parameters]
    for row in rows:
        gradient = torch.autograd.grad(
            losses_by_sentence(reference, batch_of([row]))[0], parameters, allow_unused=True
        )
        norm = math.sqrt(sum(g.square().sum().item() for g in gradient))
        assert norm > clip
        for sum_, g in zip(total, gradient, strict=True):
            sum_ += g * (clip / norm)
    model = tiny_bert(TOKENIZER)
    mine = encoder_only(model)
    model.train()
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    optimizer, backward, finish = clipped(0.0, clip)(model, torch.optim.SGD(mine, lr=1.0))
    backward(losses_by_sentence(model, batch_of(rows)))
    optimizer.step()
    finish()
    for after, before, expected in zip(mine, parameters, total, strict=True):
        assert torch.allclose(after, before - expected / len(rows), atol=1e-4)


def test_noise_has_the_size_it_says():
    model = tiny_bert(TOKENIZER).train()
    mine = encoder_only(model)
    before = torch.cat([p.detach().flatten().clone() for p in mine])
    optimizer, backward, finish = clipped(3.0, 0.5)(model, torch.optim.SGD(mine, lr=1.0))
    backward(losses_by_sentence(model, batch_of(TEXT[:2] * (learning.BATCH // 2))))
    optimizer.step()
    finish()
    moved = torch.cat([p.detach().flatten() for p in mine]) - before
    assert moved.std().item() == pytest.approx(3.0 * 0.5 / learning.BATCH, rel=0.05)


def test_budget_shrinks_with_noise_and_grows_with_steps():
    budgets = [epsilon_of(noise, 80, 900, 1e-5) for noise in (0, 0.5, 1, 2)]
    assert budgets[0] == math.inf and budgets[1] > budgets[2] > budgets[3] > 0
    assert epsilon_of(1, 160, 900, 1e-5) > budgets[2]
    assert epsilon_of(1, 80, 900, 1e-7) > budgets[2]  # a smaller delta costs
