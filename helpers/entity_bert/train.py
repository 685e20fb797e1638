"""Fine-tune an EntityBert, keep its best epoch, and predict."""

import copy
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from tqdm.auto import tqdm
from transformers import Trainer, TrainerCallback

from helpers import CourseError
from helpers.architectures import fit_length, set_fast_attention
from helpers.batches import WIDTH, outputs_of, pad_rows
from helpers.course import device_name, profile_name, seed_everything
from helpers.entity_bert.metrics import label_names, micro_f1
from helpers.entity_bert.model import EntityBert, add_tag_rows
from helpers.entity_bert.spans import add_special_tokens, encode, find_variant, make_example
from helpers.resources import load_model, load_tokenizer
from helpers.runs import check_settings, train_quietly

WARMUP = 0.1  # of all steps
FASTER = 10  # how much faster the new layers learn than the pretrained ones


@dataclass(frozen=True)
class Settings:
    """How `train` trains; `max_length` in tokens.

    Raises CourseError for a number with which nothing can be trained.
    """

    epochs: float = 10
    learning_rate: float = 2e-4
    batch_size: int = 16
    max_length: int = 256

    def __post_init__(self):
        least = {"epochs": 0, "learning_rate": 0, "batch_size": 0, "max_length": 2}
        check_settings(self, least)


def train(
    examples: Sequence[dict],
    variant: str = "entity_embedding",
    model: str | os.PathLike = "mini-bert-ko",
    seed: int = 0,
    *,
    labels: Sequence[str] | None = None,
    settings: Settings | None = None,
    device: str | None = None,
    callbacks: Sequence[TrainerCallback] = (),
) -> tuple[EntityBert, Any]:
    """Fine-tune a BERT for relation extraction: (model in evaluation mode, its tokenizer).

    examples: as `read_examples` gives them. model: a name or a folder, as for `load_model`.
    labels: the model's classes; those of the examples if left out. With a `KeepBest` among the
    callbacks the model is that of the best epoch.
    Raises CourseError for an unknown variant or model, and for a span that does not fit.
    """
    settings = settings or Settings()
    device = device or device_name(profile_name())
    tokenizer = load_tokenizer(model)
    labels = labels or label_names(examples)
    seed_everything(seed)
    net = load_model(
        EntityBert,
        model,
        entity_variant=variant,
        id2label=dict(enumerate(labels)),
        label2id={label: number for number, label in enumerate(labels)},
        attention_probs_dropout_prob=0.0,  # drawing its masks would cost a sixth of the time
    )
    max_length = fit_length(settings.max_length, net.config, WIDTH)
    if add_special_tokens(tokenizer, variant):
        add_tag_rows(net, tokenizer)
    set_fast_attention(net, device)
    rows = encode_all(tokenizer, examples, variant, max_length)
    for row, example in zip(rows, examples, strict=True):
        row["labels"] = net.config.label2id[example["label"]]
    steps = max(1, int(settings.epochs * -(-len(rows) // settings.batch_size)))
    train_quietly(
        Trainer,
        steps=steps,
        seed=seed,
        device=device,
        callbacks=callbacks,
        arguments={
            "per_device_train_batch_size": settings.batch_size,
            "warmup_steps": int(WARMUP * steps),
            "train_sampling_strategy": "group_by_length",
        },
        model=net,
        processing_class=tokenizer,
        train_dataset=rows,
        data_collator=partial(pad_batch, pad_token_id=tokenizer.pad_token_id),
        optimizers=(new_optimizer(net, settings.learning_rate), None),
    )
    return net.eval(), tokenizer


def new_optimizer(net: EntityBert, learning_rate: float) -> torch.optim.AdamW:
    """AdamW; what stands above the BERT is new and learns FASTER."""
    encoder = f"{net.base_model_prefix}."
    new = [p for name, p in net.named_parameters() if not name.startswith(encoder)]
    groups = [{"params": net.base_model.parameters()}]
    groups.append({"params": new, "lr": learning_rate * FASTER})
    return torch.optim.AdamW(groups, lr=learning_rate, weight_decay=0.01, fused=True)


def encode_all(
    tokenizer: Any, examples: Sequence[dict], variant: str, max_length: int
) -> list[dict]:
    """`encode` every example; a CourseError names the one that does not fit."""
    rows = []
    for number, example in enumerate(examples, start=1):
        try:
            rows.append(encode(tokenizer, example, find_variant(variant), max_length))
        except CourseError as error:
            raise CourseError(f"{number}번째 예: {error}") from error
    return rows


def pad_batch(
    rows: Sequence[dict], pad_token_id: int, length: int | None = None
) -> dict[str, torch.Tensor]:
    """Put rows of `encode` into tensors [batch, length], filled to a multiple of WIDTH."""
    fills = {"input_ids": pad_token_id, "entity_ids": 0}
    fills |= dict.fromkeys(("starts", "spans", "labels"))  # as they are
    return pad_rows(rows, fills, width=length, multiple=WIDTH)


def predict(
    model: EntityBert, tokenizer: Any, examples: Sequence[dict], max_length: int = 256
) -> np.ndarray:
    """Probabilities [examples, labels], the columns in the order of `model.config.id2label`.

    Raises CourseError for a span that does not fit.
    """
    max_length = fit_length(max_length, model.config, WIDTH)
    rows = encode_all(tokenizer, examples, model.config.entity_variant, max_length)
    return predict_rows(model, tokenizer, rows)


def predict_rows(model: EntityBert, tokenizer: Any, rows: Sequence[dict]) -> np.ndarray:
    """`predict` for rows of `encode`."""
    result = np.zeros((len(rows), model.config.num_labels))
    collate = partial(pad_batch, pad_token_id=tokenizer.pad_token_id)
    for chosen, outputs in outputs_of(model, rows, collate):
        result[chosen] = outputs.logits.float().softmax(-1).cpu().numpy()
    return result


class KeepBest(TrainerCallback):
    """keep = KeepBest(dev_examples); train(examples, callbacks=[keep]); max(keep.scores)

    Measures micro F1 in percent on a development set after every epoch (`scores`) and gives the
    model back, at the end, the weights of its best epoch, the last of several.
    """

    def __init__(self, examples: Sequence[dict], max_length: int = 256):
        self.examples, self.max_length, self.scores = examples, max_length, []

    def on_train_begin(self, args, state, control, model=None, processing_class=None, **kwargs):
        length = fit_length(self.max_length, model.config, WIDTH)
        variant = model.config.entity_variant
        self.rows = encode_all(processing_class, self.examples, variant, length)

    def on_epoch_end(self, args, state, control, model=None, processing_class=None, **kwargs):
        found = predict_rows(model.eval(), processing_class, self.rows).argmax(1)
        model.train()
        gold = [example["label"] for example in self.examples]
        self.scores.append(micro_f1(gold, [model.config.id2label[int(i)] for i in found]))
        if self.scores[-1] == max(self.scores):
            self.best = copy.deepcopy(model.state_dict())

    def on_train_end(self, args, state, control, model=None, **kwargs):
        model.load_state_dict(self.best)


class ProgressBar(TrainerCallback):
    """A bar on stderr, one tick a step."""

    def on_train_begin(self, args, state, control, **kwargs):
        self.bar = tqdm(total=state.max_steps, leave=False)

    def on_step_end(self, args, state, control, **kwargs):
        self.bar.update()

    def on_train_end(self, args, state, control, **kwargs):
        self.bar.close()


class RelationExtractor:
    """A trained model and its tokenizer, also from the folder that they were saved in.

    extractor("이순신은 1545년에 태어났다.", "이순신", "1545년") -> {"per:date_of_birth": 0.93, ...}
    """

    def __init__(self, model: EntityBert, tokenizer: Any):
        self.model, self.tokenizer = model, tokenizer

    @classmethod
    def from_pretrained(cls, folder: str | os.PathLike) -> "RelationExtractor":
        return cls(load_model(EntityBert, folder), load_tokenizer(folder))

    def __call__(
        self,
        sentence: str,
        subject: str | tuple[int, int],
        object: str | tuple[int, int],
        subject_type: str | None = None,
        object_type: str | None = None,
    ) -> dict[str, float]:
        """The relations and their probabilities, the most probable first.

        The types (`TYPES`) are for typed variants only. Entities and CourseErrors: `make_example`.
        """
        example = make_example(sentence, subject, object, subject_type, object_type)
        (row,) = predict(self.model, self.tokenizer, [example])
        order = np.argsort(-row, kind="stable")
        return {self.model.config.id2label[int(i)]: float(row[i]) for i in order}
