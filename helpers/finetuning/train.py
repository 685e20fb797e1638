"""Fine-tune a BERT on one task or on several at once, predict, save."""

import copy
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import nn
from transformers import Trainer, TrainerCallback

from helpers import CourseError
from helpers.architectures import fit_length, set_fast_attention
from helpers.batches import WIDTH, outputs_of
from helpers.course import device_name, profile_name, seed_everything
from helpers.examples import clean
from helpers.finetuning.multitask import SharedEncoder, mixed_batches, temperature_shares
from helpers.finetuning.tasks import Settings, Task
from helpers.resources import load_config, load_model, load_tokenizer
from helpers.runs import train_quietly
from helpers.text import check_text

WARMUP = 0.1  # of all steps
FASTER = 10  # how much faster pooler and head learn than the pretrained layers


@dataclass
class FineTuned:
    """A model trained for a task. Called with its texts it answers: reader(question, context)."""

    task: Task
    model: Any
    tokenizer: Any
    max_length: int

    def __call__(self, *texts: str) -> Any:
        """The prediction for one example; its places are those of the text as it was written."""
        cleaned = [clean(check_text(text)) for text in texts]
        example = dict(zip(self.task.columns, (text for text, _ in cleaned), strict=True))
        return self.task.put_back(self.predict([example])[0], texts[-1], cleaned[-1][1])

    def encode(self, examples: Sequence[dict], labels: bool) -> list[dict]:
        """The task's rows for this model; RoBERTa has one type for both texts of a pair."""
        config = self.model.config
        rows = self.task.encode(self.tokenizer, examples, config, self.max_length, labels)
        for row in rows if config.type_vocab_size == 1 else ():
            row["token_type_ids"] = [0] * len(row["input_ids"])
        return rows

    def predict(self, examples: Sequence[dict], batch_size: int = 32) -> list:
        """One prediction an example."""
        task, model = self.task, self.model
        rows = self.encode(examples, labels=False)
        logits: list = [None] * len(rows)
        collate = partial(task.collate, pad_token_id=self.tokenizer.pad_token_id)
        learning = model.training
        model.eval()
        for chosen, outputs in outputs_of(model, rows, collate, batch_size):
            for row, values in zip(chosen, task.logits(outputs).float().cpu(), strict=True):
                logits[row] = values.numpy()
        model.train(learning)
        return task.decode(examples, rows, logits, model.config)

    def metrics(self, examples: Sequence[dict]) -> dict[str, float]:
        return self.task.metrics(examples, self.predict(examples))

    def save(self, folder: str | os.PathLike) -> None:
        """Write the model and its tokenizer; `from_pretrained` of transformers reads them too."""
        self.model.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)

    @classmethod
    def from_pretrained(cls, task: Task, folder: str | os.PathLike) -> "FineTuned":
        model = load_model(task.head, folder)
        return cls(task, model, load_tokenizer(folder), model.config.finetuning_length)


def train(task: Task, examples: Sequence[dict], *arguments: Any, **options: Any) -> FineTuned:
    """Fine-tune a BERT on one task; the arguments are those of `train_together`."""
    return train_together({task: examples}, *arguments, **options)[task.name]


def train_together(
    tasks: Mapping[Task, Sequence[dict]],
    model: str | os.PathLike = "mini-bert-ko",
    seed: int = 0,
    *,
    temperature: float = 2.0,
    untrained: bool = False,
    device: str | None = None,
    callbacks: Sequence[TrainerCallback] = (),
    **changes: Any,
) -> dict[str, FineTuned]:
    """Fine-tune one BERT on all tasks: {task name: model of that task}; their encoder is the same.

    tasks: {task: examples as its `read` gives them}. model: a name or a folder; untrained: only
    its shape. Every batch is of one task, drawn by `temperature_shares`. changes: to each task's
    `Settings`; the smallest learning rate counts for all, and the steps of the tasks add up.
    Raises CourseError for settings with which nothing can be trained.
    """
    if not temperature > 0:
        raise CourseError(
            f"temperature={temperature}은(는) 쓸 수 없습니다. 0보다 큰 수를 주십시오."
        )
    own = [replace(task.settings, **changes) for task in tasks]
    device = device or device_name(profile_name())
    tokenizer = load_tokenizer(model)
    seed_everything(seed)
    tuned, rows, groups = {}, [], []
    for (task, examples), each in zip(tasks.items(), own, strict=True):
        net = new_head(task, tokenizer, examples, model, untrained, device)
        length = fit_length(each.max_length, net.config, WIDTH)
        net.config.finetuning_length = length
        tuned[task.name] = FineTuned(task, net, tokenizer, length)
        encoded = tuned[task.name].encode(examples, labels=True)
        groups.append(range(len(rows), len(rows) + len(encoded)))
        rows += [{**row, "task": task.name} for row in encoded]
    parts = zip(groups, own, strict=True)
    steps = sum(max(1, int(s.epochs * -(-len(g) // s.batch_size))) for g, s in parts)
    lengths, sizes = [len(row["input_ids"]) for row in rows], [each.batch_size for each in own]
    shares = temperature_shares([len(examples) for examples in tasks.values()], temperature)
    batches = mixed_batches(groups, lengths, sizes, shares, own[0].steps or steps, seed)

    def collate(chosen: Sequence[dict]) -> dict:
        one = tuned[chosen[0]["task"]]
        length = one.max_length if own[0].pad_to_max else None
        batch = one.task.collate(chosen, tokenizer.pad_token_id, length)
        return {"task": one.task.name, **batch}

    shared = SharedEncoder({name: one.model for name, one in tuned.items()})
    run_trainer(shared, tokenizer, rows, batches, collate, own, seed, device, callbacks)
    for one in tuned.values():
        one.model.eval()
    return tuned


def new_head(task: Task, tokenizer: Any, examples: Sequence[dict], model, untrained, device) -> Any:
    """A BERT under the task's head, whose config knows what the head needs."""
    options = task.head_options(tokenizer, examples)
    config = load_config(model, **options)
    # Drawing the masks of the attention's dropout would cost a sixth of the time.
    config.update({"attention_probs_dropout_prob": 0.0} | options)
    net = load_model(task.head, model, config=config)
    if untrained:
        net = type(net)(config)
    set_fast_attention(net, device)
    return net


class MixedTrainer(Trainer):
    """A Trainer that takes the batches it is told to."""

    def __init__(self, *, batches: Sequence[Sequence[int]], **kwargs):
        super().__init__(**kwargs)
        self.batches = batches

    def get_train_dataloader(self):
        return torch.utils.data.DataLoader(
            self.train_dataset, batch_sampler=self.batches, collate_fn=self.data_collator
        )


def run_trainer(shared, tokenizer, rows, batches, collate, own, seed, device, callbacks) -> None:
    """Train `shared` on the batches; the learning rate rises over WARMUP and falls to zero."""
    rate = min(each.learning_rate for each in own)
    groups = parameter_groups(shared, rate, own[0])
    optimizer = torch.optim.AdamW(groups, weight_decay=0.01, fused=True)
    bf16 = {} if own[0].bf16 is None else {"bf16": own[0].bf16}
    train_quietly(
        MixedTrainer,
        steps=len(batches),
        seed=seed,
        device=device,
        callbacks=callbacks,
        arguments={"warmup_steps": WARMUP, **bf16},
        batches=batches,
        model=shared,
        train_dataset=rows,
        processing_class=tokenizer,
        data_collator=collate,
        optimizers=(optimizer, None),
    )


def parameter_groups(net: nn.Module, rate: float, settings: Settings) -> list[dict]:
    """AdamW's groups: the embeddings, each layer, and what is new above, learning faster."""
    groups: dict[int, list] = {}
    layers = max(depth_of(name, 0) for name, _ in net.named_parameters())
    for name, parameter in net.named_parameters():
        depth = depth_of(name, layers + 1)
        if settings.frozen_layers and depth <= settings.frozen_layers:
            parameter.requires_grad_(False)
        else:
            groups.setdefault(depth, []).append(parameter)
    decay = settings.layer_decay
    return [
        {"params": parameters, "lr": rate * (FASTER if d > layers else decay ** (layers - d))}
        for d, parameters in groups.items()
    ]


def depth_of(name: str, new: int) -> int:
    """depth_of("bert.encoder.layer.2.output.dense.bias", 9) -> 3; 0: embeddings, `new`: a head."""
    if re.search(r"\.embeddings(_project)?\.", name):  # ELECTRA widens its embeddings
        return 0
    layer = re.search(r"\.encoder\.layer\.(\d+)\.", name)
    return int(layer[1]) + 1 if layer else new


class Watch(TrainerCallback):
    """Measure on other examples every `every` steps; `history` holds {"step", metrics} rows.

    patience: stop after so many without a better `task.score`, and go back to the best.
    """

    def __init__(
        self, task: Task, examples: Sequence[dict], every: int, patience: int | None = None
    ):
        self.task, self.examples, self.every, self.patience = task, examples, every, patience
        self.history: list[dict] = []
        self.best: tuple[float, int, dict] = (float("-inf"), 0, {})

    def on_step_end(self, args, state, control, model=None, processing_class=None, **kwargs):
        if state.global_step % self.every:
            return
        net = model.models[self.task.name]
        tuned = FineTuned(self.task, net, processing_class, net.config.finetuning_length)
        metrics = tuned.metrics(self.examples)
        self.history.append({"step": state.global_step, **metrics})
        if self.patience is None:
            return
        if metrics[self.task.score] > self.best[0]:
            weights = copy.deepcopy(model.state_dict())
            self.best = (metrics[self.task.score], len(self.history), weights)
        elif len(self.history) - self.best[1] >= self.patience:
            control.should_training_stop = True

    def on_train_end(self, args, state, control, model=None, **kwargs):
        if self.best[2]:
            model.load_state_dict(self.best[2])
