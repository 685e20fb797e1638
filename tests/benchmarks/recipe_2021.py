"""The recipe of 2021 with today's transformers: BERT and `Trainer` unchanged, and a stopwatch."""

import os
import time

import datasets
import transformers
from transformers import (
    DataCollatorForLanguageModeling,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)

BATCH_SIZE = 32
BLOCK_SIZE = 128
HIDDEN_SIZE = 256
LAYERS = 4
HEADS = 4
VOCAB_SIZE = 20_000


class Stopwatch(TrainerCallback):
    """Times every step of a `Trainer`, whatever the step holds: `ends[0]` is the start,
    `ends[n]` the end of step n.
    """

    def on_train_begin(self, args, state, control, **kwargs):
        self.ends = [time.perf_counter()]

    def on_step_end(self, args, state, control, **kwargs):
        self.ends.append(time.perf_counter())

    def seconds(self, first: int = 0) -> float:
        """Give the time from the end of step `first` to the end of the last step."""
        return self.ends[-1] - self.ends[first]


def train(
    pairs: datasets.Dataset,
    tokenizer,
    output: str | os.PathLike,
    steps: int,
    learning_rate: float = 5e-5,
) -> tuple[transformers.BertForPreTraining, Stopwatch]:
    """Train 4 layers of width 256 for `steps` steps of 32 x 128: fp32, loss over all positions,
    dropout 0.1, learning rate 5e-5 falling linearly to zero without warm-up. All of that is the
    default of `BertConfig` and `TrainingArguments`.

    `pairs` as `build_sentence_pairs` makes them. Source: the notebooks of 2021, with the class
    names of today.
    """
    transformers.set_seed(0)  # the weights; the order of the pairs is seeded by the Trainer
    config = transformers.BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=HIDDEN_SIZE,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        intermediate_size=4 * HIDDEN_SIZE,
        max_position_embeddings=BLOCK_SIZE,
    )
    stopwatch = Stopwatch()
    trainer = Trainer(
        model=transformers.BertForPreTraining(config),
        args=TrainingArguments(
            output_dir=str(output),
            max_steps=steps,
            learning_rate=learning_rate,
            per_device_train_batch_size=BATCH_SIZE,
            save_strategy="no",  # nothing but training on its clock
            report_to="none",
            disable_tqdm=True,
        ),
        train_dataset=pairs,
        data_collator=DataCollatorForLanguageModeling(tokenizer, mlm_probability=0.15),
        callbacks=[stopwatch],
    )
    trainer.train()
    return trainer.model, stopwatch


def vocabulary(text: str, folder: str) -> dict:
    """Learn the WordPiece vocabulary that all sides share and save its tokenizer in `folder`."""
    from helpers.korean_pretraining.wordpiece import train_wordpiece, wordpiece_tokenizer

    pieces = train_wordpiece(text, VOCAB_SIZE).get_vocab()
    # A small text gives fewer pieces; unused ones, as in BERT's own vocabulary, keep the cost of
    # 20,000.
    missing = VOCAB_SIZE - len(pieces)
    pieces |= {f"[unused{i}]": len(pieces) + i for i in range(missing)}
    wordpiece_tokenizer(pieces).save_pretrained(folder)
    return {"unused": missing}
