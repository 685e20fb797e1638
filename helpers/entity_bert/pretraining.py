"""Entity-aware pretraining: hide whole entities, not single tokens."""

import os
import random
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.nn.functional import cross_entropy, pad
from transformers import BertForMaskedLM, Trainer
from transformers.modeling_outputs import MaskedLMOutput

from helpers import CourseError
from helpers.architectures import mask_scores, set_fast_attention
from helpers.batches import WIDTH, pad_rows
from helpers.course import device_name, profile_name, seed_everything
from helpers.entity_bert.spans import compose, covered
from helpers.resources import load_model, load_tokenizer
from helpers.runs import train_quietly
from helpers.text import analyzer

NOUNS = {"NNP", "NNG", "SL", "SH", "SN", "XPN", "XSN", "NNB"}


def find_chunks(sentences: Iterable[str]) -> list[list[tuple[int, int]]]:
    """find_chunks(["이순신 장군은 1545년에 태어났다."]) -> [[(0, 6), (8, 13)]]: likely entities.

    Half-open runs of Kiwi's noun tags that hold a proper noun (NNP), a number (SN) or foreign
    letters (SL). A run may go on after a space ("이순신 장군"), but not after or with a number.
    """
    sentences = list(sentences)
    found = []
    for tokens, sentence in zip(analyzer().tokenize(sentences), sentences, strict=True):
        runs: list[list] = []
        for token in (token for token in tokens if token.tag in NOUNS):
            last = runs[-1][-1] if runs else None
            between = sentence[last.end : token.start] if last else None
            numbers = {"SN", "NNB"} & {token.tag, last.tag} if last else set()
            if between == "" or (between == " " and not numbers):
                runs[-1].append(token)
            else:
                runs.append([token])
        named = [run for run in runs if {"NNP", "SN", "SL"} & {noun.tag for noun in run}]
        found.append([(run[0].start, run[-1].end) for run in named])
    return found


def chunk_rows(tokenizer: Any, sentences: Sequence[str], max_length: int = 128) -> list[dict]:
    """Rows of input_ids and chunks, the entities' tokens (half-open), where there are any."""
    rows = []
    for sentence, chunks in zip(sentences, find_chunks(sentences), strict=True):
        text, spans = compose(sentence, chunks)
        encoded = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        places = [covered(encoded["offset_mapping"], span) for span in spans]
        places = [(first + 1, last + 1) for first, last in places if last <= max_length - 2]
        ids = encoded["input_ids"][: max_length - 2]
        if places:
            ids = [tokenizer.cls_token_id, *ids, tokenizer.sep_token_id]
            rows.append({"input_ids": ids, "chunks": places})
    return rows


def choose_chunks(row: dict, share: float, rng: random.Random) -> list[int]:
    """Tokens of whole entities, drawn until `share` of the sentence is hidden; at least one entity.

    {"input_ids": [2, 7, 8, 9, 3], "chunks": [(1, 3)]} -> [1, 2]. Entities may share a token.
    """
    budget = share * (len(row["input_ids"]) - 2)
    hidden: set[int] = set()
    for first, last in rng.sample(row["chunks"], len(row["chunks"])):
        if not hidden or len(hidden) + last - first <= budget:
            hidden |= set(range(first, last))
    return sorted(hidden)


def choose_tokens(row: dict, share: float, rng: random.Random) -> list[int]:
    """As many tokens as `choose_chunks` hides of this row, but any: the usual masking."""
    count = len(choose_chunks(row, share, rng))
    return sorted(rng.sample(range(1, len(row["input_ids"]) - 1), count))


Chooser = Callable[[dict, float, random.Random], list[int]]


def mask_batch(
    rows: Sequence[dict], choose: Chooser, share: float, rng: random.Random, tokenizer: Any
) -> dict[str, torch.Tensor]:
    """Put [MASK] on the chosen tokens: input_ids, attention_mask and labels [batch, length]."""
    masked = []
    for row in rows:
        ids, chosen = row["input_ids"], set(choose(row, share, rng))
        hidden = [tokenizer.mask_token_id if n in chosen else id for n, id in enumerate(ids)]
        labels = [id if n in chosen else -100 for n, id in enumerate(ids)]
        masked.append({"input_ids": hidden, "labels": labels})
    fills = {"input_ids": tokenizer.pad_token_id, "labels": -100}
    return pad_rows(masked, fills, multiple=WIDTH)


class MaskedPositionsLM(nn.Module):
    """A pretrained masked language model that projects only hidden tokens to the vocabulary.

    model: as for `load_model`; a BERT, a RoBERTa or an ELECTRA generator.
    """

    def __init__(self, model: str | os.PathLike):
        super().__init__()
        self.model = load_model(BertForMaskedLM, model)

    def forward(self, input_ids, attention_mask=None, labels=None, **kwargs) -> MaskedLMOutput:
        """Logits [hidden tokens, vocabulary] and their mean loss; all arguments [batch, length]."""
        encoder = self.model.base_model
        hidden = encoder(input_ids, attention_mask=attention_mask, **kwargs).last_hidden_state
        places = (labels.flatten() != -100).nonzero().squeeze(1)
        count = len(places)
        # Filled up: oneDNN keeps a compiled kernel for every shape it has met.
        places = pad(places, (0, -count % 64))
        logits = mask_scores(self.model, hidden.flatten(0, 1)[places])[:count]
        loss = cross_entropy(logits.float(), labels.flatten()[places[:count]])
        return MaskedLMOutput(loss=loss, logits=logits)


def continue_pretraining(
    rows: Sequence[dict],
    choose: Chooser,
    output: str | os.PathLike,
    model: str | os.PathLike = "mini-bert-ko",
    steps: int = 60,
    *,
    seed: int = 0,
    share: float = 0.15,
    learning_rate: float = 1e-4,
    batch_size: int = 32,
) -> None:
    """Train a masked language model further on `chunk_rows`, for `train(model=output)`.

    choose: `choose_chunks` hides whole entities, `choose_tokens` as many single tokens.
    Raises CourseError without a row to learn from.
    Source: Sun et al. 2019, "ERNIE: Enhanced Representation through Knowledge Integration",
    https://arxiv.org/abs/1904.09223 (entity-level masking)
    """
    if not rows:
        raise CourseError("개체가 있는 문장이 하나도 없습니다. 고유 명사가 나오는 글을 주십시오.")
    device = device_name(profile_name())
    tokenizer = load_tokenizer(model)
    seed_everything(seed)
    net = MaskedPositionsLM(model)
    set_fast_attention(net.model, device)
    collate = partial(
        mask_batch, choose=choose, share=share, rng=random.Random(seed), tokenizer=tokenizer
    )
    train_quietly(
        Trainer,
        steps=steps,
        seed=seed,
        device=device,
        arguments={
            "per_device_train_batch_size": batch_size,
            "learning_rate": learning_rate,
            "warmup_steps": 0.1,
            "weight_decay": 0.01,
            "train_sampling_strategy": "group_by_length",
        },
        model=net,
        train_dataset=list(rows),
        data_collator=collate,
    )
    net.model.save_pretrained(output)
    tokenizer.save_pretrained(output)


@torch.inference_mode()
def recovered(
    rows: Sequence[dict],
    choose: Chooser,
    model: str | os.PathLike,
    *,
    seed: int = 0,
    share: float = 0.15,
    batch_size: int = 32,
) -> float:
    """The share of hidden tokens, the same for a seed, that a model's first guess gets right."""
    tokenizer, net = load_tokenizer(model), MaskedPositionsLM(model).eval()
    rng, right, count = random.Random(seed), 0, 0
    rows = sorted(rows, key=lambda row: len(row["input_ids"]))
    for start in range(0, len(rows), batch_size):
        batch = mask_batch(rows[start : start + batch_size], choose, share, rng, tokenizer)
        guessed = net(**batch).logits.argmax(-1)
        wanted = batch["labels"][batch["labels"] != -100]
        right, count = right + int((guessed == wanted).sum()), count + len(wanted)
    return right / count
