"""Contrastive training: what means the same moves together, everything else apart."""

import copy
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from transformers import Trainer, TrainerCallback

from helpers import CourseError
from helpers.runs import train_quietly
from helpers.similarity_chatbot.chatbot import SimilarityChatbot
from helpers.similarity_chatbot.encoder import SentenceEncoder


def train_contrastive(
    encoder: SentenceEncoder,
    groups: Sequence[Sequence[str]],
    *,
    steps: int,
    batch_size: int = 64,
    learning_rate: float = 5e-5,
    dropout: float = 0.1,
    teacher: Mapping[str, np.ndarray] | None = None,
    teacher_weight: float = 1.0,
    max_length: int = 64,
    seed: int = 0,
    callbacks: Iterable[TrainerCallback] = (),
) -> SentenceEncoder:
    """Train a copy of an encoder to put the sentences of a group together and the groups apart.

    groups: [["이름이 뭐야?", "이름 좀 알려 줘"], ["안녕?"]]. A step takes two sentences from each
    of `batch_size` groups; every sentence has to find its partner among the partners of the others
    (in-batch negatives). A group of one is its own partner: only dropout makes the two differ, so
    without dropout it learns from the teacher alone.
    teacher: {sentence: vector [hidden]}; the vectors of these sentences also turn to the teacher's,
    at `teacher_weight` times one minus the cosine.
    Raises CourseError for fewer than two groups or an empty one.
    Sources: Gao et al. 2021, "SimCSE"; Reimers & Gurevych 2020, "Making monolingual sentence
    embeddings multilingual", for the teacher.
    """
    if len(groups) < 2 or not all(groups):
        raise CourseError("대조 학습에는 빈 것이 없는 무리(group)가 둘 이상 있어야 합니다.")
    encoder = copy.deepcopy(encoder)
    for module in encoder.model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = dropout
    train_quietly(
        ContrastiveTrainer,
        steps=steps,
        seed=seed,
        device=encoder.model.device.type,
        callbacks=callbacks,
        arguments={
            "per_device_train_batch_size": min(batch_size, len(groups)),
            "learning_rate": learning_rate,
            "warmup_steps": 0.1,
            "optim": "adamw_torch_fused",
            "dataloader_drop_last": True,
        },
        encoder=encoder,
        teacher_weight=teacher_weight,
        model=encoder.model,
        train_dataset=DrawnPairs(groups),
        data_collator=partial(contrastive_batch, encoder, max_length, dropout, teacher),
    )
    forget_training(encoder)
    return encoder


def groups_from_mistakes(
    chatbot: SimilarityChatbot, paraphrases: Mapping[str, str], traps: Sequence[str]
) -> list[list[str]]:
    """groups_from_mistakes(chatbot, {"넌 몇 년생?": "몇 살이야?"}, ["몇 살에 졸업해?"])
    -> [["몇 살이야?", "넌 몇 년생?"], ["몇 살에 졸업해?"]]

    Groups for `train_contrastive`. paraphrases: sentence -> the stored question it means. traps:
    sentences that mean none. A trap and every question that is wrongly found first are groups of
    their own: hard negatives, as long as a batch holds all groups.
    Raises CourseError for a paraphrase of a question that is not stored.
    """
    if unknown := [text for text in paraphrases.values() if text not in chatbot.questions]:
        raise CourseError(
            f"'{unknown[0]}'은(는) 저장한 질문에 없습니다. 질문 목록에 있는 그대로 쓰십시오."
        )
    groups: dict[str, list[str]] = {}
    for sentence, question in paraphrases.items():
        groups.setdefault(question, [question]).append(sentence)
    for (found,) in chatbot.search([*paraphrases, *traps], top_k=1):
        groups.setdefault(found.question, [found.question])
    return [*groups.values(), *([trap] for trap in traps)]


def contrastive_batch(
    encoder: SentenceEncoder,
    max_length: int,
    dropout: float,
    teacher: Mapping[str, np.ndarray] | None,
    drawn: Sequence[tuple[str, str]],
) -> dict[str, torch.Tensor]:
    """Pairs of sentences -> ids, mask, and `partners` [pairs, 2]: which rows belong together.

    With a teacher also `teacher` [rows, hidden], zeros where it has no vector.
    """
    sentences = [sentence for pair in drawn for sentence in pair]
    partners = [(row, row + 1) for row in range(0, len(sentences), 2)]
    if not dropout:  # what comes twice would give the same vector twice
        sentences = list(dict.fromkeys(sentences))
        partners = [(sentences.index(a), sentences.index(b)) for a, b in drawn if a != b]
    batch = encoder.tokenizer(
        sentences, padding=True, truncation=True, max_length=max_length, return_tensors="pt"
    )
    batch["partners"] = torch.tensor(partners, dtype=torch.long).reshape(-1, 2)
    if teacher:
        none = np.zeros(encoder.model.config.hidden_size, np.float32)
        rows = np.stack([teacher.get(sentence, none) for sentence in sentences])
        batch["teacher"] = torch.from_numpy(rows).float()
    return dict(batch)


def forget_training(encoder: SentenceEncoder) -> None:
    """Take off what the Trainer and the batches left on model and tokenizer."""
    # The wrapper that computes in bf16: vectors must not depend on the batch.
    for name in ("forward", "_original_forward"):
        vars(encoder.model).pop(name, None)
    encoder.model.eval()
    encoder.tokenizer.backend_tokenizer.no_truncation()
    encoder.tokenizer.backend_tokenizer.no_padding()


@dataclass(frozen=True)
class DrawnPairs(torch.utils.data.Dataset):
    """Two sentences of each group, drawn anew at every look."""

    groups: Sequence[Sequence[str]]

    def __len__(self) -> int:
        return len(self.groups)

    def __getitem__(self, i: int) -> tuple[str, str]:
        group = self.groups[i]
        return tuple(random.sample(group, 2)) if len(group) > 1 else (group[0], group[0])


class ContrastiveTrainer(Trainer):
    """`transformers.Trainer` with the contrastive loss, and the teacher's where there is one."""

    def __init__(self, *, encoder: SentenceEncoder, teacher_weight: float, **kwargs):
        super().__init__(**kwargs)
        self.encoder, self.teacher_weight = encoder, teacher_weight

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        inputs = dict(inputs)
        teacher, partners = inputs.pop("teacher", None), inputs.pop("partners")
        vectors = self.encoder.pool(inputs).float()
        loss = 0 * vectors.sum()
        if len(partners) > 1:
            loss = contrastive_loss(*vectors[partners.T])
        if teacher is not None and (taught := teacher.any(dim=1)).any():
            cosines = torch.cosine_similarity(vectors[taught], teacher[taught])
            loss = loss + self.teacher_weight * (1 - cosines).mean()
        return (loss, vectors) if return_outputs else loss


def contrastive_loss(
    first: torch.Tensor, second: torch.Tensor, temperature: float = 0.05
) -> torch.Tensor:
    """Cross-entropy of finding row i of the one side among all rows of the other, both ways.

    first, second: [batch, hidden]. Also known as InfoNCE or multiple negatives ranking loss.
    Source: van den Oord et al. 2018, "Representation learning with contrastive predictive coding".
    """
    first = torch.nn.functional.normalize(first, dim=1)
    second = torch.nn.functional.normalize(second, dim=1)
    scores = first @ second.T / temperature
    partner = torch.arange(len(scores), device=scores.device)
    cross_entropy = torch.nn.functional.cross_entropy
    return (cross_entropy(scores, partner) + cross_entropy(scores.T, partner)) / 2
