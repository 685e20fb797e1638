import numpy as np
import pytest
import torch
from mask_models import tiny_bert, tokenizer_of
from transformers import BertForPreTraining, BertForSequenceClassification

from helpers.entity_bert.model import EntityBert
from helpers.entity_bert.spans import VARIANTS, encode, make_example
from helpers.entity_bert.train import pad_batch
from helpers.finetuning.evaluate import TASKS
from helpers.finetuning.multitask import SharedEncoder, mixed_batches, temperature_shares
from helpers.finetuning.tasks import Settings, Task
from helpers.finetuning.train import (
    FineTuned,
    Watch,
    depth_of,
    new_head,
    parameter_groups,
    train,
    train_together,
)

TOKENIZER = tokenizer_of("재미있다", "지루하다", "이순신은", "서울에서", "##에서", "누구", "언제")
FAST = {"learning_rate": 3e-3, "batch_size": 8, "max_length": 32}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """A folder with a tiny pretrained BERT and its tokenizer."""
    folder = tmp_path_factory.mktemp("tiny")
    tiny_bert(TOKENIZER, BertForPreTraining).save_pretrained(folder)
    TOKENIZER.save_pretrained(folder)
    return folder


REVIEWS = [
    {"text": f"{'재미있다' if i % 2 else '지루하다'} {'가' * (i % 5)}", "label": str(i % 2)}
    for i in range(32)
]
PAIRS = [
    {
        "sentence1": "재미있다",
        "sentence2": ("재미있다", "지루하다")[i % 2],
        "score": 5.0 * (1 - i % 2),
    }
    for i in range(32)
]
SENTENCES = [
    {"text": "이순신은 서울에서", "entities": [(0, 3, "PS"), (5, 7, "LC")]},
    {"text": "재미있다 지루하다", "entities": []},
] * 16
QUESTIONS = [
    {"question": "누구?", "context": "지루하다 이순신은 재미있다", "answers": [(5, 8)]},
    {"question": "언제?", "context": "재미있다 이순신은 지루하다", "answers": []},
    {"question": "누구?", "context": "재미있다 가나다 이순신은", "answers": [(9, 12)]},
] * 12
EXAMPLES = {"sentiment": REVIEWS, "similarity": PAIRS, "entities": SENTENCES, "reading": QUESTIONS}


# --- batches -------------------------------------------------------------------------------------


def test_temperature_by_hand():
    assert temperature_shares([900, 100], 1) == pytest.approx([0.9, 0.1])
    assert temperature_shares([900, 100], 2) == pytest.approx([0.75, 0.25])
    assert temperature_shares([900, 100], 1e9) == pytest.approx([0.5, 0.5])
    assert temperature_shares([9_000, 100], 0.01) == pytest.approx([1, 0])


def test_batches_are_of_one_task_and_of_similar_length():
    lengths = [i % 17 for i in range(1000)]
    groups = [range(0, 900), range(900, 1000)]
    batches = mixed_batches(groups, lengths, [8, 4], [0.75, 0.25], 400, seed=0)
    assert len(batches) == 400
    firsts = [batch for batch in batches if batch[0] < 900]
    assert all((row < 900) == (batch[0] < 900) for batch in batches for row in batch)
    assert {len(batch) for batch in firsts} <= {8, 4} and 260 < len(firsts) < 340
    assert np.mean([np.ptp([lengths[row] for row in batch]) for batch in batches]) < 2
    assert batches == mixed_batches(groups, lengths, [8, 4], [0.75, 0.25], 400, seed=0)
    assert batches != mixed_batches(groups, lengths, [8, 4], [0.75, 0.25], 400, seed=1)


def test_every_row_comes_once_before_any_comes_again():
    batches = mixed_batches([range(10)], [1] * 10, [4], [1.0], 6, seed=0)
    for half in (batches[:3], batches[3:]):
        assert sorted(row for batch in half for row in batch) == list(range(10))


def test_rows_are_filled_up_to_a_multiple():
    rows = [
        {
            "input_ids": [2, 7, 3],
            "token_type_ids": [0] * 3,
            "labels": [-100, 1, -100],
            "example": 0,
        },
        {"input_ids": [2] * 9, "token_type_ids": [1] * 9, "labels": [0] * 9, "example": 1},
    ]
    batch = Task().collate(rows, pad_token_id=5)
    assert batch["input_ids"].shape == (2, 16) and batch["input_ids"][0, 3:].unique() == 5
    assert batch["attention_mask"].sum(1).tolist() == [3, 9]
    assert batch["labels"][0].tolist() == [-100, 1, -100] + [-100] * 13
    assert batch["token_type_ids"][0].sum() == 0 and "example" not in batch
    assert Task().collate(rows, 5, length=32)["input_ids"].shape == (2, 32)
    batch = Task().collate([{"input_ids": [2], "labels": 0.5}], 0)
    assert batch["labels"].dtype == torch.float32 and "token_type_ids" not in batch


# --- one task ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", TASKS)
def test_every_task_is_learned_saved_and_used(name, tiny, tmp_path):
    task, examples = TASKS[name], EXAMPLES[name]
    tuned = train(task, examples, tiny, **FAST, epochs=80 if name == "reading" else 25)
    assert type(tuned.model) is task.head and not tuned.model.training
    assert tuned.metrics(examples)[task.score] > 0.9
    tuned.save(tmp_path)
    again = FineTuned.from_pretrained(task, tmp_path)
    assert again.max_length == tuned.max_length == 32
    before, after = tuned.predict(examples[:4]), again.predict(examples[:4])
    if name == "similarity":
        assert after == pytest.approx(before, abs=0.05)
        assert again("재미있다", "재미있다") > again("재미있다", "지루하다")
    elif name == "sentiment":
        assert [p["label"] for p in after] == [p["label"] for p in before] == list("0101")
        assert again("재미있다")["label"] == "1"
        assert sum(again("재미있다")["probabilities"].values()) == pytest.approx(1, abs=1e-3)
    elif name == "entities":
        assert after == before and again("이순신은 서울에서") == [(0, 3, "PS"), (5, 7, "LC")]
        assert again("이순신은\u200b 서울에서")[1] == (6, 8, "LC")  # places in what was written
        assert again(" ") == [] == again("")
    else:
        assert [p["text"] for p in after] == ["이순신", "", "이순신", "이순신"]
        found = again("누구?", "지루하다 \u200b이순신은 재미있다")
        assert (found["text"], found["start"], found["end"]) == ("이순신", 6, 9)


def test_predictions_do_not_depend_on_the_batch(tiny):
    net = new_head(TASKS["sentiment"], TOKENIZER, REVIEWS, tiny, False, "cpu")
    tuned = FineTuned(TASKS["sentiment"], net, TOKENIZER, 32)
    together = [p["probabilities"]["1"] for p in tuned.predict(REVIEWS, batch_size=7)]
    alone = [tuned.predict([review])[0]["probabilities"]["1"] for review in REVIEWS[:9]]
    assert together[:9] == pytest.approx(alone, abs=0.01)


def test_padding_to_the_maximum_and_32_bits_are_there_to_be_timed(tiny):
    seen = []

    class Spy(type(TASKS["sentiment"])):
        def collate(self, rows, pad_token_id, length=None):
            batch = super().collate(rows, pad_token_id, length)
            seen.append(batch["input_ids"].shape[1])
            return batch

    for change, widths in (({"pad_to_max": True, "bf16": False}, {32}), ({}, {8})):
        seen.clear()
        train(Spy(), REVIEWS, tiny, **FAST, steps=2, **change)
        assert set(seen) == widths


def test_untrained_has_the_shape_only(tiny):
    pretrained, untrained = (
        new_head(TASKS["sentiment"], TOKENIZER, REVIEWS, tiny, random, "cpu")
        for random in (False, True)
    )
    weights = [net.bert.embeddings.word_embeddings.weight for net in (pretrained, untrained)]
    original = BertForPreTraining.from_pretrained(tiny).bert.embeddings.word_embeddings.weight
    assert torch.equal(weights[0], original) and not torch.equal(weights[1], original)
    assert untrained.config.num_hidden_layers == pretrained.config.num_hidden_layers


def test_layers_learn_at_their_own_rates(tiny):
    net = BertForSequenceClassification.from_pretrained(tiny)
    groups = parameter_groups(net, 1.0, Settings(layer_decay=0.5))
    rates = {id(p): group["lr"] for group in groups for p in group["params"]}
    assert rates[id(net.bert.embeddings.word_embeddings.weight)] == 0.25
    assert rates[id(net.bert.encoder.layer[0].output.dense.weight)] == 0.5
    assert rates[id(net.bert.encoder.layer[1].output.dense.weight)] == 1
    assert rates[id(net.bert.pooler.dense.weight)] == rates[id(net.classifier.weight)] == 10
    assert len(rates) == len(list(net.parameters()))


def test_frozen_layers_do_not_learn(tiny):
    tuned = train(TASKS["sentiment"], REVIEWS, tiny, **FAST, steps=3, frozen_layers=1)
    before, after = BertForPreTraining.from_pretrained(tiny).bert, tuned.model.bert
    for part in ("embeddings.word_embeddings", "encoder.layer.0.output.dense"):
        assert torch.equal(before.get_submodule(part).weight, after.get_submodule(part).weight)
    part = "encoder.layer.1.output.dense"
    assert not torch.equal(before.get_submodule(part).weight, after.get_submodule(part).weight)


def test_depth_of_a_parameter():
    assert depth_of("models.a.bert.encoder.layer.11.output.dense.bias", 99) == 12
    assert depth_of("bert.embeddings.word_embeddings.weight", 99) == 0
    assert depth_of("entity_embeddings.weight", 99) == depth_of("bert.pooler.dense.bias", 99) == 99


def test_watching_stops_early_and_goes_back_to_the_best(tiny):
    watch = Watch(TASKS["sentiment"], REVIEWS, every=2, patience=2)
    scores = iter([0.5, 0.9, 0.7, 0.8, 1.0])
    kept = []

    def metrics(tuned, examples):
        kept.append(tuned.model.classifier.weight.detach().clone())
        return {"accuracy": next(scores)}

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FineTuned, "metrics", metrics)
        tuned = train(TASKS["sentiment"], REVIEWS, tiny, **FAST, steps=40, callbacks=[watch])
    assert [row["step"] for row in watch.history] == [2, 4, 6, 8]
    assert torch.equal(tuned.model.classifier.weight, kept[1])
    assert not torch.equal(kept[1], kept[3])


def test_watching_without_patience_only_looks(tiny):
    watch = Watch(TASKS["similarity"], PAIRS, every=3)
    train(TASKS["similarity"], PAIRS, tiny, **FAST, steps=7, callbacks=[watch])
    assert [row["step"] for row in watch.history] == [3, 6]
    assert watch.history[0].keys() == {"step", "pearson", "spearman"}


# --- several tasks -------------------------------------------------------------------------------


def test_heads_share_the_encoder_and_nothing_else(tiny):
    heads = {
        name: new_head(task, TOKENIZER, EXAMPLES[name], tiny, False, "cpu")
        for name, task in TASKS.items()
    }
    alone = [sum(p.numel() for p in net.parameters()) for net in heads.values()]
    net = SharedEncoder(heads)
    encoder = sum(
        p.numel()
        for part in (heads["sentiment"].bert.embeddings, heads["sentiment"].bert.encoder)
        for p in part.parameters()
    )
    assert sum(p.numel() for p in net.parameters()) == sum(alone) - 3 * encoder
    poolers = [heads[name].bert.pooler.dense.weight for name in ("sentiment", "similarity")]
    assert poolers[0] is not poolers[1]


def test_all_tasks_are_learned_by_one_encoder(tiny):
    tasks = {TASKS[name]: examples for name, examples in EXAMPLES.items()}
    tuned = train_together(tasks, tiny, **FAST, epochs=25)
    assert tuned.keys() == EXAMPLES.keys()
    for name, one in tuned.items():
        assert one.metrics(EXAMPLES[name])[one.task.score] > 0.8, name
    encoders = {id(one.model.bert.encoder) for one in tuned.values()}
    assert len(encoders) == 1


class Relations(Task):
    """A fifth task with a head of its own: lesson 05's model, its rows and its batches."""

    name = "relation"
    columns = ("sentence",)
    head = EntityBert
    score = "accuracy"

    def head_options(self, tokenizer, examples):
        labels = sorted({example["label"] for example in examples})
        numbers = {label: number for number, label in enumerate(labels)}
        names = dict(enumerate(labels))
        return {"entity_variant": "entity_embedding", "label2id": numbers, "id2label": names}

    def encode(self, tokenizer, examples, config, max_length, labels):
        variant = VARIANTS[config.entity_variant]
        rows = [encode(tokenizer, example, variant, max_length) for example in examples]
        for number, (row, example) in enumerate(zip(rows, examples, strict=True)):
            row["example"] = number
            if labels:
                row["labels"] = config.label2id[example["label"]]
        return rows

    def collate(self, rows, pad_token_id, length=None):
        return pad_batch(rows, pad_token_id, length)

    def decode(self, examples, rows, logits, config):
        return [config.id2label[int(row.argmax())] for row in logits]

    def metrics(self, examples, predictions):
        pairs = zip(examples, predictions, strict=True)
        return {"accuracy": float(np.mean([e["label"] == p for e, p in pairs]))}


def test_lesson_05s_model_joins_as_a_fifth_task(tiny):
    sentences = [
        make_example("이순신은 서울에서", *pair)
        for pair in (("이순신", "서울"), ("서울", "이순신"))
    ]
    relations = [{**s, "label": label} for s, label in zip(sentences * 16, "ab" * 16, strict=True)]
    tasks = {Relations(): relations, TASKS["sentiment"]: REVIEWS}
    tuned = train_together(tasks, tiny, **FAST, epochs=20)
    assert tuned["relation"].metrics(relations)["accuracy"] == 1
    assert tuned["relation"].model.bert.encoder is tuned["sentiment"].model.bert.encoder
