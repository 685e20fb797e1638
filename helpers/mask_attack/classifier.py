"""A text classifier on top of a BERT: the victim of the attack."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import nn
from transformers.modeling_outputs import SequenceClassifierOutput

from helpers import CourseError
from helpers.architectures import HeadOnEncoder, max_tokens, set_fast_attention
from helpers.batches import BATCH_TOKENS, by_length, mean_pooling
from helpers.course import bf16_supported, keep_memory
from helpers.examples import read_table
from helpers.resources import load_model, load_tokenizer
from helpers.text import check_text


class MeanPoolingClassifier(HeadOnEncoder):
    """A BERT (or RoBERTa, ELECTRA) and one linear layer over the mean of its token vectors.

    `BertForSequenceClassification` reads [CLS] through the pooler. In a small BERT trained for a
    few hours that vector says little about a text, and from a few hundred texts it learns much
    less.
    """

    def __init__(self, config: Any):
        super().__init__(config)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)
        self.classifier = nn.Linear(config.hidden_size, config.num_labels)
        self.post_init()

    def forward(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        token_type_ids: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
    ) -> SequenceClassifierOutput:
        """Logits [batch, classes], and the cross-entropy where `labels` [batch] are given."""
        hidden = self.base_model(input_ids, attention_mask, token_type_ids).last_hidden_state
        logits = self.classifier(self.dropout(mean_pooling(hidden, attention_mask))).float()
        loss = None if labels is None else nn.functional.cross_entropy(logits, labels)
        return SequenceClassifierOutput(loss=loss, logits=logits)


@dataclass
class Classifier:
    """Called with texts it returns probabilities, float array [texts, classes]."""

    model: Any
    tokenizer: Any
    max_length: int = 128

    @torch.inference_mode()
    def __call__(self, texts: Sequence[str]) -> np.ndarray:
        texts = [check_text(text) for text in texts]
        rows = self.tokenizer(texts, truncation=True, max_length=self.max_length)["input_ids"]
        result = np.empty((len(rows), self.model.config.num_labels), np.float32)
        self.model.eval()
        for batch in by_length(rows, BATCH_TOKENS):
            ids = {"input_ids": [rows[number] for number in batch]}
            inputs = self.tokenizer.pad(ids, return_tensors="pt")
            logits = self.model(**inputs.to(self.model.device)).logits
            result[batch] = logits.float().softmax(-1).cpu().numpy()
        return result

    def accuracy(self, texts: Sequence[str], labels: Sequence[int]) -> float:
        """The share of texts whose likeliest class is the label."""
        return float((self(texts).argmax(1) == np.asarray(labels)).mean())


def train_classifier(
    base: str | Path,
    texts: Sequence[str],
    labels: Sequence[int],
    *,
    epochs: int = 4,
    batch_size: int = 16,
    learning_rate: float = 1e-4,
    seed: int = 0,
    device: str = "cpu",
) -> Classifier:
    """Fine-tune a BERT (catalogue name or folder) on texts with labels 0, 1, ... and return it.

    AdamW, the learning rate rising over the first tenth of the steps and falling to zero.
    Raises CourseError for texts and labels of different number, and for fewer than two classes.
    """
    if len(texts) != len(labels):
        raise CourseError(
            f"글은 {len(texts)}개인데 라벨은 {len(labels)}개입니다. 글마다 라벨을 하나씩 주십시오."
        )
    classes = sorted({int(label) for label in labels})
    if len(classes) < 2 or classes != list(range(len(classes))):
        raise CourseError(f"라벨이 {classes}입니다. 0부터 이어지는 두 가지 이상의 라벨을 주십시오.")
    keep_memory()
    torch.manual_seed(seed)
    tokenizer = load_tokenizer(base)
    model = load_model(MeanPoolingClassifier, base, num_labels=len(classes))
    model.to(device).train()
    kind = model.device.type
    set_fast_attention(model, kind)
    max_length = min(128, max_tokens(model.config))
    rows = tokenizer(list(texts), truncation=True, max_length=max_length)["input_ids"]
    steps = epochs * -(-len(rows) // batch_size)
    optimizer = torch.optim.AdamW(model.parameters(), lr=learning_rate, weight_decay=0.01)
    rate = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, learning_rate, steps, pct_start=0.1, anneal_strategy="linear"
    )
    for _ in range(epochs):
        for batch in torch.randperm(len(rows)).split(batch_size):
            inputs = tokenizer.pad({"input_ids": [rows[i] for i in batch]}, return_tensors="pt")
            target = torch.tensor([int(labels[i]) for i in batch], device=device)
            with torch.autocast(kind, torch.bfloat16, enabled=bf16_supported(kind)):
                loss = model(**inputs.to(device), labels=target).loss
            loss.backward()
            optimizer.step()
            rate.step()
            optimizer.zero_grad()
    return Classifier(model.eval(), tokenizer, max_length)


def read_reviews(path: str | Path, split: str | None = None) -> pd.DataFrame:
    """Read a TSV of labelled texts: columns `text` (NSMC: `document`) and `label` (0 or 1).

    split: see `choose_split`. Lines that `read_table` refuses are left out, and a line on stderr
    says how many. Raises CourseError as `read_table` does, and for a label that is neither 0 nor 1.
    """
    rows, refused = read_table(path, ("text",), "label", split)
    if wrong := {row["label"] for _, row in rows} - {"0", "1"}:
        raise CourseError(
            f"'{path}'의 라벨 {sorted(wrong)[0]!r}을(를) 알 수 없습니다. 부정은 0, 긍정은 1로 "
            "쓰십시오."
        )
    if refused:
        print(
            f"'{path}'에서 쓸 수 없는 줄 {len(refused)}개를 뺐습니다({refused[0]}).",
            file=sys.stderr,
        )
    return pd.DataFrame([row | {"label": int(row["label"])} for _, row in rows])
