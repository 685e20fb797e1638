"""Build BERT's sentence pairs from text: fast, in little memory, and the same on any number of processes.

Three passes over files on disk: (1) every sentence becomes token ids in one flat file; (2) each document is cut into pairs,
with a random generator of its own, so that neither order nor process can change the result; (3) the pairs are an Arrow file
that `datasets` maps into memory instead of loading it.
"""

import hashlib
import json
import os
import random
import shutil
import tempfile
from array import array
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path

import datasets
import numpy as np
import pyarrow as pa
from tokenizers import Tokenizer

from helpers import CourseError
from helpers.korean_pretraining.corpus import as_paths, read_documents

FORMAT = 1  # part of the cache key: raise it when the procedure below changes
IDS = "I"  # array and NumPy type of a token id on disk: unsigned, 4 bytes
SENTENCES_PER_BATCH = 4_000  # enough to keep the tokenizer's threads busy
PAIRS_PER_BATCH = 10_000


@dataclass(frozen=True)
class PairSettings:
    """Everything beside the text that decides what the pairs are."""

    block_size: int
    short_seq_prob: float
    random_next_prob: float
    seed: int
    cls_id: int
    sep_id: int


def build_sentence_pairs(
    files: str | os.PathLike | Iterable[str | os.PathLike],
    tokenizer,
    block_size: int = 128,
    *,
    short_seq_prob: float = 0.1,
    random_next_prob: float = 0.5,
    seed: int = 0,
    num_proc: int = 1,
    cache_dir: str | os.PathLike | None = None,
) -> datasets.Dataset:
    """Cut text into `[CLS] A [SEP] B [SEP]` examples for masked-LM and next-sentence training.

    Columns: `input_ids` (at most `block_size` ids), `token_type_ids` (0 for A, 1 for B), `next_sentence_label` (0: B goes on
    where A ends, 1: B is from another document). Documents are cut as in BERT: sentences are collected up to the target
    length (a random shorter one with `short_seq_prob`), split into A and B at a random place, and B is replaced by text from
    another document with `random_next_prob`, truncated at a random end. Unlike BERT's script nothing is thrown away: text
    that does not fit, or whose place a random B took, starts the next example, and a lone sentence is split inside, so that
    it too can have a true continuation.
    `cache_dir` keeps the result under a key of the text's hash, the tokenizer and every parameter; without it the result
    lies in the system's temporary folder.
    Raises `CourseError` for an unreadable corpus, one with fewer than two documents, a `block_size` below 8, and a
    probability that is none.
    Source: Devlin et al. 2019, appendix A.2; create_pretraining_data.py in google-research/bert.
    """
    files = as_paths(files)
    if block_size < 8:
        raise CourseError(f"block_size={block_size}은(는) 너무 작습니다. 8 이상의 수를 주십시오.")
    probabilities = {"short_seq_prob": short_seq_prob, "random_next_prob": random_next_prob}
    for name, value in probabilities.items():
        if not 0 <= value <= 1:
            raise CourseError(f"{name}은(는) 확률입니다. 0과 1 사이의 수를 주십시오.")
    settings = PairSettings(
        block_size,
        short_seq_prob,
        random_next_prob,
        seed,
        tokenizer.cls_token_id,
        tokenizer.sep_token_id,
    )
    parent = Path(cache_dir or tempfile.mkdtemp(prefix="sentence-pairs-"))
    backend = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    backend.no_truncation()  # the caller's may truncate or pad since its last call: not here
    backend.no_padding()
    target = parent / cache_key(files, backend, settings)
    if not target.exists():
        parent.mkdir(parents=True, exist_ok=True)
        # Built beside its place and renamed at the end: an interrupted build never looks like a finished one.
        build = Path(tempfile.mkdtemp(prefix=".building-", dir=parent))
        try:
            tokenize_corpus(files, backend, build)
            write_pairs(build, settings, num_proc)
            for scratch in ("tokens.bin", "sentences.npy", "documents.npy"):
                (build / scratch).unlink()
            if not target.exists():  # another process may have built the same in the meantime
                os.replace(build, target)
        finally:
            shutil.rmtree(build, ignore_errors=True)
    parts = sorted(target.glob("part-*.arrow"))
    return datasets.concatenate_datasets([datasets.Dataset.from_file(str(part)) for part in parts])


def cache_key(files: list[Path], tokenizer: Tokenizer, settings: PairSettings) -> str:
    """Hash the files' bytes (not their names), the whole tokenizer and the settings."""
    key = hashlib.sha256(json.dumps([FORMAT, asdict(settings)], sort_keys=True).encode())
    key.update(tokenizer.to_str().encode())
    for path in files:
        with open(path, "rb") as file:
            key.update(hashlib.file_digest(file, "sha256").digest())
    return key.hexdigest()[:32]


def tokenize_corpus(files: list[Path], tokenizer: Tokenizer, folder: Path) -> None:
    """Write all token ids to `tokens.bin`, the sentences' offsets in it and the documents' offsets in those as `.npy`.

    Documents without a token are dropped. Raises `CourseError` where fewer than two remain.
    """
    sentences, documents = array("q", [0]), array("q", [0])
    with open(folder / "tokens.bin", "wb") as tokens:
        for batch in batched_documents(read_documents(files)):
            flat = [sentence for document in batch for sentence in document]
            encodings = iter(tokenizer.encode_batch_fast(flat, add_special_tokens=False))
            for document in batch:
                for _ in document:
                    if ids := next(encodings).ids:
                        array(IDS, ids).tofile(tokens)
                        sentences.append(sentences[-1] + len(ids))
                if len(sentences) - 1 > documents[-1]:
                    documents.append(len(sentences) - 1)
    if len(documents) < 3:
        raise CourseError(
            f"말뭉치에 문서가 {len(documents) - 1}개뿐이어서 '다음 문장이 아닌' 쌍을 만들 수 없습니다. "
            "문서 사이에 빈 줄을 넣어 두 개 이상의 문서로 나누어 주십시오."
        )
    np.save(folder / "sentences.npy", np.frombuffer(sentences, np.int64))
    np.save(folder / "documents.npy", np.frombuffer(documents, np.int64))


def batched_documents(documents: Iterable[list[str]]) -> Iterator[list[list[str]]]:
    """Group documents until they hold `SENTENCES_PER_BATCH` sentences."""
    batch, size = [], 0
    for document in documents:
        batch.append(document)
        size += len(document)
        if size >= SENTENCES_PER_BATCH:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def write_pairs(folder: Path, settings: PairSettings, num_proc: int) -> None:
    """Cut all documents, `num_proc` stretches of them at the same time, into `part-*.arrow`."""
    count = len(np.load(folder / "documents.npy", mmap_mode="r")) - 1
    num_proc = max(1, min(num_proc, count))
    borders = [count * i // num_proc for i in range(num_proc + 1)]
    jobs = [
        (folder, settings, i, start, stop)
        for i, (start, stop) in enumerate(zip(borders, borders[1:], strict=False))
    ]
    if num_proc == 1:
        write_part(*jobs[0])
    else:
        # "spawn": a fork after the tokenizer has started its threads can hang.
        with ProcessPoolExecutor(num_proc, mp_context=get_context("spawn")) as pool:
            list(pool.map(write_part, *zip(*jobs, strict=True)))


def write_part(folder: Path, settings: PairSettings, part: int, start: int, stop: int) -> None:
    """Write the pairs of documents `start` to `stop` as one Arrow stream file."""
    with TokenizedCorpus(folder) as corpus:
        schema = pa.schema(
            {
                "input_ids": pa.list_(pa.int32()),
                "token_type_ids": pa.list_(pa.int8()),
                "next_sentence_label": pa.int64(),
            }
        )
        with pa.OSFile(str(folder / f"part-{part:05d}.arrow"), "wb") as sink:
            with pa.ipc.new_stream(sink, schema) as writer:
                ids, lengths, labels = array(IDS), array("q"), array("q")
                for document in range(start, stop):
                    for a, b, label in document_pairs(corpus, document, settings):
                        ids.append(settings.cls_id)
                        ids.extend(a)
                        ids.append(settings.sep_id)
                        ids.extend(b)
                        ids.append(settings.sep_id)
                        lengths.extend((len(a) + 2, len(b) + 1))
                        labels.append(label)
                    if len(labels) >= PAIRS_PER_BATCH or document == stop - 1:
                        writer.write_batch(record_batch(ids, lengths, labels, schema))
                        ids, lengths, labels = array(IDS), array("q"), array("q")


def record_batch(ids: array, lengths: array, labels: array, schema: pa.Schema) -> pa.RecordBatch:
    """Turn flat ids, the lengths of both halves of each pair, and labels into an Arrow batch."""
    halves = np.frombuffer(lengths, np.int64)
    types = np.repeat(np.tile(np.array([0, 1], np.int8), len(labels)), halves)
    offsets = np.concatenate([[0], halves.reshape(-1, 2).sum(1).cumsum()]).astype(np.int32)
    input_ids = np.frombuffer(ids, np.uint32).astype(np.int32)
    return pa.record_batch(
        [
            pa.ListArray.from_arrays(offsets, input_ids),
            pa.ListArray.from_arrays(offsets, types),
            pa.array(np.frombuffer(labels, np.int64)),
        ],
        schema=schema,
    )


class TokenizedCorpus:
    """Read sentences of `tokenize_corpus` by document, from disk: memory does not grow with the text."""

    def __init__(self, folder: Path):
        self.sentences = np.load(folder / "sentences.npy")
        self.documents = np.load(folder / "documents.npy").tolist()
        self.tokens = open(folder / "tokens.bin", "rb", buffering=0)

    def __enter__(self) -> "TokenizedCorpus":
        return self

    def __exit__(self, *exception) -> None:
        self.tokens.close()

    def __len__(self) -> int:
        return len(self.documents) - 1

    def read(self, first: int, last: int) -> list[array]:
        """Give sentences `first` to `last` (exclusive) as arrays of ids."""
        offsets = self.sentences[first : last + 1].tolist()
        self.tokens.seek(offsets[0] * 4)
        ids = array(IDS)
        ids.frombytes(self.tokens.read((offsets[-1] - offsets[0]) * 4))
        start = offsets[0]
        return [ids[a - start : b - start] for a, b in zip(offsets, offsets[1:], strict=False)]

    def document(self, index: int) -> list[array]:
        """Give all sentences of one document."""
        return self.read(self.documents[index], self.documents[index + 1])

    def passage(self, index: int, length: int, rng: random.Random) -> array:
        """Give about `length` ids from a random sentence of document `index` on; fewer where the document ends."""
        first = rng.randrange(self.documents[index], self.documents[index + 1])
        last = first + 1
        while (
            last < self.documents[index + 1]
            and self.sentences[last] - self.sentences[first] < length
        ):
            last += 1
        return sum(self.read(first, last), array(IDS))


def document_pairs(
    corpus: TokenizedCorpus, index: int, settings: PairSettings
) -> Iterator[tuple[array, array, int]]:
    """Cut one document into (A, B, next_sentence_label)."""
    rng = random.Random((settings.seed << 40) + index)
    room = settings.block_size - 3  # [CLS], [SEP], [SEP]
    rest = corpus.document(index)[::-1]  # a stack: the next sentence is the last element
    while rest:
        target = rng.randint(2, room) if rng.random() < settings.short_seq_prob else room
        chunk, size = [], 0
        while rest and size < target:
            chunk.append(rest.pop())
            size += len(chunk[-1])
        if size > target:  # what does not fit starts the next example
            rest.append(chunk[-1][len(chunk[-1]) - (size - target) :])
            chunk[-1] = chunk[-1][: len(chunk[-1]) - (size - target)]
        is_random = rng.random() < settings.random_next_prob
        if len(chunk) > 1:
            border = rng.randint(1, len(chunk) - 1)
        elif len(chunk[0]) > 1 and not is_random:
            # One sentence alone: split it inside, or it could never have a true continuation.
            border = 1
            cut = rng.randint(1, len(chunk[0]) - 1)
            chunk = [chunk[0][:cut], chunk[0][cut:]]
        else:
            border, is_random = 1, True
        a = sum(chunk[:border], array(IDS))
        if not is_random:
            yield a, sum(chunk[border:], array(IDS)), 0
            continue
        rest.extend(reversed(chunk[border:]))  # not used after all
        if len(a) >= target:  # leave room for B
            keep = rng.randint(1, target - 1)
            rest.append(a[keep:])
            a = a[:keep]
        other = rng.randrange(len(corpus) - 1)
        other += other >= index
        b = corpus.passage(other, target - len(a), rng)
        excess = max(0, len(b) - (target - len(a)))
        front = rng.randint(0, excess)
        yield a, b[front : len(b) - (excess - front)], 1
