"""Keep a sentence's place while learning words: a teacher's vectors as a second aim.

Masked-LM training alone lets go of what an encoder knew about whole sentences. One more loss term,
a few sentences a step, keeps the mean of our token vectors in the direction of the teacher's
sentence vector.
"""

import itertools
import os
import random
from collections.abc import Iterable
from pathlib import Path

import torch
from accelerate import PartialState
from safetensors.torch import load_file, save_file
from tqdm.auto import tqdm
from transformers import AutoModel

from helpers import CourseError
from helpers.batches import mean_pooling
from helpers.course import bf16_supported
from helpers.disk import save_whole
from helpers.korean_pretraining.corpus import read_documents
from helpers.korean_pretraining.settings import Settings
from helpers.resources import check_safetensors, model_folder, read_tokenizer


def sample_sentences(files: Iterable[str | os.PathLike], count: int, seed: int) -> list[str]:
    """Draw `count` sentences evenly from all files in one pass (reservoir sampling)."""
    rng = random.Random(seed)
    sample: list[str] = []
    for i, sentence in enumerate(itertools.chain.from_iterable(read_documents(files))):
        if i < count:
            sample.append(sentence)
        elif (place := rng.randrange(i + 1)) < count:
            sample[place] = sentence
    return sample


@torch.inference_mode()
def teacher_vectors(sentences: list[str], teacher, tokenizer, prefix: str = "") -> torch.Tensor:
    """Mean vectors without their common direction, of length 1: [sentences, hidden].

    The mean of all is subtracted: e5's cosines all lie between 0.7 and 1, and what all sentences
    share would otherwise be most of what is learned.
    """
    order = sorted(range(len(sentences)), key=lambda i: len(sentences[i]))
    vectors = torch.empty(len(sentences), teacher.config.hidden_size)
    teacher.eval()
    kind = teacher.device.type
    with torch.autocast(kind, torch.bfloat16, enabled=bf16_supported(kind)):
        for start in tqdm(range(0, len(order), 128), desc="teacher", leave=False):
            rows = order[start : start + 128]
            batch = tokenizer(
                [prefix + sentences[i] for i in rows],
                truncation=True, max_length=128, padding=True, return_tensors="pt",
            ).to(teacher.device)  # fmt: skip
            hidden = teacher(**batch).last_hidden_state
            vectors[rows] = mean_pooling(hidden.float(), batch["attention_mask"]).cpu()
    vectors = torch.nn.functional.normalize(vectors, dim=-1)
    return torch.nn.functional.normalize(vectors - vectors.mean(0), dim=-1)


def sentences_and_vectors(
    output: Path, files: list[Path], settings: Settings, hidden_size: int
) -> tuple[list[str], torch.Tensor]:
    """Draw sentences and let the teacher encode them once; the vectors stay in `output`."""
    sentences = sample_sentences(files, settings.teacher_sentences, settings.seed)
    kept = output / "teacher.safetensors"
    if not kept.exists():
        folder = model_folder(settings.teacher)
        check_safetensors(folder, settings.teacher)
        tokenizer = read_tokenizer(folder, settings.teacher)
        model = AutoModel.from_pretrained(folder, dtype=torch.float32, use_safetensors=True)
        if model.config.hidden_size != hidden_size:
            raise CourseError(
                f"teacher의 벡터는 {model.config.hidden_size}차원이고 모델의 벡터는 "
                f"{hidden_size}차원입니다. 차원이 같은 teacher를 주십시오."
            )
        model.to(PartialState().device)
        vectors = teacher_vectors(sentences, model, tokenizer, settings.teacher_prefix)
        save_whole(lambda folder: save_file({"vectors": vectors}, folder / kept.name), output)
    return sentences, load_file(kept)["vectors"]


class SentenceVectorLoss:
    """1 - cosine of our mean vector and the teacher's, `batch_size` sentences a step."""

    def __init__(
        self, sentences: list[str], vectors: torch.Tensor, tokenizer, batch_size: int, seed: int
    ):
        self.encoded = tokenizer(sentences, truncation=True, max_length=64)["input_ids"]
        self.vectors, self.tokenizer = vectors, tokenizer
        self.batch_size, self.seed = min(batch_size, len(sentences)), seed

    def __call__(self, bert, step: int) -> torch.Tensor:
        """Give the loss of one step; the same sentences for the same seed and step."""
        draw = random.Random(f"{self.seed}/{step}")
        rows = draw.sample(range(len(self.encoded)), self.batch_size)
        ids = {"input_ids": [self.encoded[i] for i in rows]}
        batch = self.tokenizer.pad(ids, return_tensors="pt", pad_to_multiple_of=16).to(bert.device)
        hidden = bert(**batch).last_hidden_state.float()
        ours = mean_pooling(hidden, batch["attention_mask"])
        return (1 - torch.cosine_similarity(ours, self.vectors[rows].to(ours.device))).mean()
