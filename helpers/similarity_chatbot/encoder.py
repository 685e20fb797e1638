"""Sentence vectors: a BERT, a way to pool its token vectors, and what makes them comparable."""

import copy
import hashlib
import itertools
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm.auto import tqdm
from transformers import AutoModel

from helpers import CourseError
from helpers.architectures import max_tokens
from helpers.batches import mean_pooling
from helpers.course import bf16_supported, device_name, processor_has, profile_name
from helpers.resources import check_pair, load_model, load_tokenizer

POOLINGS = ("mean", "cls", "pooler")
SENTENCE_ENCODER = "mini-sentence-ko"
LONG_WORK = 20_000  # sentences; only then is a progress bar worth its line


class SentenceEncoder:
    """Turn sentences into vectors with a BERT.

    pooling: 'mean' of the token vectors, 'cls' (the first token's vector) or 'pooler' (the model's
    own layer above it). Longer sentences than `max_length` tokens are cut. bf16: compute in
    bfloat16, twice as fast at a relative error of some 0.2 %; None: on CPUs that round alike in
    every batch.
    Source of mean pooling: Reimers & Gurevych 2019, "Sentence-BERT", section 3.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        pooling: str = "mean",
        max_length: int = 128,
        bf16: bool | None = None,
    ):
        if pooling not in POOLINGS:
            raise CourseError(
                f"{pooling!r}(이)라는 풀링은 없습니다. {', '.join(POOLINGS)} 가운데에서 고르십시오."
            )
        if pooling == "pooler" and getattr(model, "pooler", None) is None:
            raise CourseError("이 모델에는 풀러(pooler)가 없습니다. mean이나 cls를 고르십시오.")
        check_pair(model, tokenizer)
        self.model, self.tokenizer, self.pooling = model.eval(), tokenizer, pooling
        self.max_length = min(max_length, max_tokens(model.config))
        if bf16 is None:
            # On a GPU and on CPUs with matrix units (AMX) the rounding would depend on the batch.
            rounds_alike = model.device.type == "cpu" and not processor_has("amx_tile")
            bf16 = rounds_alike and bf16_supported()
        self.bf16 = bf16

    @torch.inference_mode()
    def encode(self, sentences: Iterable[str], batch_size: int = 64) -> np.ndarray:
        """encode(["안녕?", "반가워"]) -> float32 [2, hidden], one row a sentence, in their order.

        A batch holds sentences of one length: nothing is padding, and since every sum then runs
        over the same numbers, a vector does not depend on the batch size (to 1e-5).
        Raises CourseError for anything but an iterable of strings.
        """
        ids = self._token_ids(sentences)
        vectors = np.empty((len(ids), self.model.config.hidden_size), np.float32)
        self.model.eval()
        device = self.model.device
        bar = tqdm(total=len(ids), disable=len(ids) <= LONG_WORK, leave=False)
        with bar, torch.autocast(device.type, torch.bfloat16, enabled=self.bf16):
            for rows in batches_of_one_length(list(map(len, ids)), batch_size):
                batch = {"input_ids": torch.tensor([ids[i] for i in rows], device=device)}
                vectors[rows] = self.pool(batch).float().cpu().numpy()
                bar.update(len(rows))
        return vectors

    def pool(self, batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """Ids and, where they are padded, a mask [batch, length] -> vectors [batch, hidden]."""
        output = self.model(**batch)
        if self.pooling == "pooler":
            return output.pooler_output
        if self.pooling == "cls":
            return output.last_hidden_state[:, 0]
        if "attention_mask" not in batch:
            return output.last_hidden_state.mean(dim=1)
        return mean_pooling(output.last_hidden_state, batch["attention_mask"])

    def readable(self, sentences: Iterable[str]) -> np.ndarray:
        """readable(["안녕?", "", "👍"]) -> [True, False, False]: is there any token it knows?

        Of an empty text, or of a script outside the vocabulary, a vector says nothing.
        """
        empty = set(self.tokenizer.all_special_ids)
        return np.array([bool(set(row) - empty) for row in self._token_ids(sentences)], dtype=bool)

    def fingerprint(self) -> str:
        """A hash of weights, vocabulary, pooling and length: equal only where vectors are equal."""
        digest = hashlib.sha256(f"{self.pooling} {self.max_length}".encode())
        digest.update(self.tokenizer.backend_tokenizer.to_str().encode())
        for name, weight in sorted(self.model.state_dict().items()):
            digest.update(name.encode())
            digest.update(np.ascontiguousarray(weight.float().cpu().numpy()).data)
        return digest.hexdigest()

    def save(self, folder: str | os.PathLike) -> None:
        """Write model (fp16 safetensors) and tokenizer, for `load_sentence_encoder(folder)`.

        What sentence-transformers asks for lies beside them: `SentenceTransformer(folder)` gives
        the same vectors.
        """
        folder = Path(folder)
        copy.deepcopy(self.model).half().save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)
        if self.pooling == "pooler":  # a way that sentence-transformers does not know
            return
        modules = [
            {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{name}"}
            for i, (path, name) in enumerate([("", "Transformer"), ("1_Pooling", "Pooling")])
        ]
        reading = {"max_seq_length": self.max_length, "do_lower_case": False}
        size = self.model.config.hidden_size
        pooling = {"word_embedding_dimension": size, "pooling_mode": self.pooling}
        for name, content in {
            "modules.json": modules,
            "sentence_bert_config.json": reading,
            "1_Pooling/config.json": pooling,
        }.items():
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")

    def _token_ids(self, sentences: Iterable[str]) -> list[list[int]]:
        if isinstance(sentences, str) or not isinstance(sentences, Iterable):
            raise CourseError('문장은 리스트로 주십시오. 하나라면 ["안녕?"]처럼 씁니다.')
        sentences = list(sentences)
        for number, sentence in enumerate(sentences, start=1):
            if not isinstance(sentence, str):
                raise CourseError(
                    f"문장은 문자열이어야 하는데 {number}번째는 {type(sentence).__name__}입니다. "
                    "빈칸이나 숫자가 섞이지 않았는지 확인하십시오."
                )
        if not sentences:  # the tokenizer fails on an empty list
            return []
        # A novel is cut before it is tokenised; half a character (a lone surrogate) is replaced.
        sentences = [s[: 50 * self.max_length].encode(errors="replace").decode() for s in sentences]
        encoded = self.tokenizer(sentences, truncation=True, max_length=self.max_length)
        # What one call truncated to must not change the tokenizer and with it the fingerprint.
        self.tokenizer.backend_tokenizer.no_truncation()
        return encoded["input_ids"]


def batches_of_one_length(lengths: Sequence[int], batch_size: int) -> list[list[int]]:
    """batches_of_one_length([3, 9, 3, 3], 2) -> [[1], [0, 2], [3]]: the longest first."""
    order = sorted(range(len(lengths)), key=lengths.__getitem__, reverse=True)
    groups = [list(rows) for _, rows in itertools.groupby(order, lengths.__getitem__)]
    return [rows[i : i + batch_size] for rows in groups for i in range(0, len(rows), batch_size)]


def load_sentence_encoder(
    name: str | os.PathLike = SENTENCE_ENCODER, pooling: str = "mean"
) -> SentenceEncoder:
    """load_sentence_encoder().encode(["안녕?"]) -> [[0.1, ...]]: the course's best encoder.

    name: a catalogue name, a folder, or in the full profile a hub id.
    Raises CourseError as `load_model` does.
    """
    model = load_model(AutoModel, name).to(device_name(profile_name()))
    return SentenceEncoder(model, load_tokenizer(name), pooling)


def unit(vectors: np.ndarray) -> np.ndarray:
    """Scale rows to length 1, so that their dot product is the cosine; a row of zeros stays one."""
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / np.where(lengths == 0, 1, lengths)
