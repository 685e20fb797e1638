"""BERT's sentence pairs from text: fast, in little memory, the same for any number of processes.

Four passes: (1) every sentence becomes token ids in one flat file; (2) each document is cut into
true pairs, with a random generator of its own; (3) some pairs of different documents exchange their
second halves; (4) the pairs are an Arrow file that `datasets` maps into memory instead of loading
it. Passes 2 and 3 handle places in the flat file, never text.
"""

import atexit
import hashlib
import json
import os
import random
import shutil
import tempfile
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import BinaryIO

import datasets
import numpy as np
import pyarrow as pa
from tokenizers import Tokenizer

from helpers import CourseError
from helpers.korean_pretraining.corpus import Files, as_paths, read_documents

FORMAT = 2  # part of the cache key: raise it when the procedure below changes
IDS = "I"  # array and NumPy type of a token id on disk: unsigned, 4 bytes
SENTENCES_PER_BATCH = 4_000  # enough to keep the tokenizer's threads busy
PAIRS_PER_BATCH = 10_000
PAIRS = "pairs.arrow"


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
    files: Files,
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

    Columns: `input_ids` (at most `block_size` ids), `token_type_ids` (0 for A, 1 for B),
    `next_sentence_label` (0: B goes on where A ends, 1: B is from another document). As in BERT,
    sentences are collected up to the target length (a random shorter one with `short_seq_prob`) and
    split into A and B at a random sentence border; a lone sentence is split inside, between two
    words. What does not fit starts the next example. Unlike BERT's script, a wrong B is no passage
    of its own: couples of pairs from different documents, their B's alike, exchange them;
    `random_next_prob` is the share that does. So every token is used exactly once, and B alone (how
    it begins, how it ends, how long it is) says nothing about the label. A pair without a partner,
    where one document has more than half of the text, keeps its B and label 0.
    `cache_dir` keeps the result under a key of the text's hash, the tokenizer and every parameter;
    without it the result lies in the system's temporary folder until Python ends.
    Raises `CourseError` for an unreadable corpus, one with fewer than two documents, a `block_size`
    below 8, and a probability that is none.
    Source: Devlin et al. 2019, appendix A.2; create_pretraining_data.py in google-research/bert.
    """
    files = as_paths(files)
    if block_size < 8:
        raise CourseError(f"block_size={block_size}은(는) 너무 작습니다. 8 이상의 수를 주십시오.")
    probabilities = {"short_seq_prob": short_seq_prob, "random_next_prob": random_next_prob}
    for name, value in probabilities.items():
        if not 0 <= value <= 1:
            raise CourseError(f"{name}은(는) 확률입니다. 0과 1 사이의 수를 주십시오.")
    special = tokenizer.cls_token_id, tokenizer.sep_token_id
    settings = PairSettings(block_size, short_seq_prob, random_next_prob, seed, *special)
    if cache_dir is None:  # the pairs are mapped into memory until Python ends
        cache_dir = tempfile.mkdtemp(prefix="sentence-pairs-")
        atexit.register(shutil.rmtree, cache_dir, ignore_errors=True)
    backend = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    backend.no_truncation()  # the caller's may truncate or pad since its last call: not here
    backend.no_padding()
    target = Path(cache_dir) / cache_key(files, backend, settings)
    if not target.exists():
        build_folder(target, files, backend, settings, num_proc)
    return datasets.Dataset.from_file(str(target / PAIRS))


def build_folder(
    target: Path, files: list[Path], tokenizer: Tokenizer, settings: PairSettings, num_proc: int
) -> None:
    """Do the four passes beside `target` and rename at the end: half a build never looks whole."""
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = {"dir": target.parent, "ignore_cleanup_errors": True}
    with tempfile.TemporaryDirectory(prefix=".building-", **scratch) as folder:
        build = Path(folder)
        tokenize_corpus(files, tokenizer, build)
        pairs = cut_corpus(build, continues_word(tokenizer), settings, num_proc)
        write_pairs(build, *exchange_halves(pairs, settings), settings)
        for name in ("tokens.bin", "sentences.npy", "documents.npy"):
            (build / name).unlink()
        if not target.exists():  # another process may have built the same in the meantime
            os.replace(build, target)


def cache_key(files: list[Path], tokenizer: Tokenizer, settings: PairSettings) -> str:
    """Hash the files' bytes (not their names), the whole tokenizer and the settings."""
    key = hashlib.sha256(json.dumps([FORMAT, asdict(settings)], sort_keys=True).encode())
    key.update(tokenizer.to_str().encode())
    for path in files:
        with open(path, "rb") as file:
            key.update(hashlib.file_digest(file, "sha256").digest())
    return key.hexdigest()[:32]


def tokenize_corpus(files: list[Path], tokenizer: Tokenizer, folder: Path) -> None:
    """Write all token ids to `tokens.bin`, offsets of sentences and documents as `.npy`.

    Documents without a token are dropped; one of a single token, which cannot be a pair, is read as
    part of the one before.
    Raises `CourseError` where fewer than two documents remain.
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
                if sentences[-1] - sentences[documents[-1]] > 1:
                    documents.append(len(sentences) - 1)
    if len(documents) > 1:
        documents[-1] = len(sentences) - 1
    if len(documents) < 3:
        raise CourseError(
            f"말뭉치에 문서가 {len(documents) - 1}개뿐이어서 '다음 문장이 아닌' 쌍을 만들 수 "
            "없습니다. 문서 사이에 빈 줄을 넣어 두 개 이상의 문서로 나누어 주십시오."
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


def continues_word(tokenizer: Tokenizer) -> np.ndarray:
    """Say of each id whether its piece goes on inside a word ("##하는"): [vocabulary] of bool."""
    vocabulary = tokenizer.get_vocab()
    inside = np.zeros(max(vocabulary.values()) + 1, bool)
    inside[[number for piece, number in vocabulary.items() if piece.startswith("##")]] = True
    return inside


def cut_corpus(
    folder: Path, inside_word: np.ndarray, settings: PairSettings, num_proc: int
) -> np.ndarray:
    """Cut all documents, in `num_proc` processes, as `cut_documents` does: [pairs, 5]."""
    count = len(np.load(folder / "documents.npy", mmap_mode="r")) - 1
    num_proc = max(1, min(num_proc, count))
    borders = [count * i // num_proc for i in range(num_proc + 1)]
    cut = partial(cut_documents, folder, inside_word, settings)
    if num_proc == 1:
        return cut(*borders)
    # "spawn": a fork after the tokenizer has started its threads can hang.
    try:
        with ProcessPoolExecutor(num_proc, mp_context=get_context("spawn")) as pool:
            return np.concatenate(list(pool.map(cut, borders[:-1], borders[1:])))
    except BrokenProcessPool as error:
        raise CourseError(
            f"문장 쌍을 만들던 프로세스 {num_proc}개 가운데 하나가 끝나 버렸습니다. num_proc=1로 "
            "다시 실행하십시오. 스크립트에서 불렀다면 if __name__ == '__main__': 아래로 옮겨도 "
            "됩니다."
        ) from error


def cut_documents(
    folder: Path, inside_word: np.ndarray, settings: PairSettings, first: int, last: int
) -> np.ndarray:
    """Cut documents into rows of (document, start of A, of B, end, 1 if inside a sentence)."""
    sentences = np.load(folder / "sentences.npy", mmap_mode="r")
    documents = np.load(folder / "documents.npy").tolist()
    rows = array("q")
    with open(folder / "tokens.bin", "rb", buffering=0) as tokens:
        for document in range(first, last):
            rng = random.Random((settings.seed << 40) + document)
            starts = sentences[documents[document] : documents[document + 1] + 1].tolist()
            for start, stop in chunks(starts[0], starts[-1], settings, rng):
                splits = starts[bisect_right(starts, start) : bisect_left(starts, stop)]
                alone = not splits
                if alone:  # one sentence, or a part: split between two words, if it has two
                    words = ~inside_word[read_ids(tokens, start + 1, stop)]
                    splits = (start + 1 + np.flatnonzero(words)).tolist() or range(start + 1, stop)
                rows.extend((document, start, rng.choice(splits), stop, alone))
    return np.frombuffer(rows, np.int64).reshape(-1, 5)


def read_ids(tokens: BinaryIO, start: int, stop: int) -> np.ndarray:
    """Read ids of `tokens.bin` from place `start` to `stop`: memory grows with no text."""
    tokens.seek(4 * start)
    return np.frombuffer(tokens.read(4 * (stop - start)), np.uint32)


def chunks(
    start: int, stop: int, settings: PairSettings, rng: random.Random
) -> Iterator[tuple[int, int]]:
    """Divide a document's tokens into stretches of the target length; none is of one token.

    Example: start=0, stop=130, room for 61 -> (0, 61), (61, 122), (122, 130).
    """
    room = settings.block_size - 3  # [CLS], [SEP], [SEP]
    while start < stop:
        target = rng.randint(2, room) if rng.random() < settings.short_seq_prob else room
        if stop - start - target == 1:
            target += 1 if target < room else -1
        yield start, min(stop, start + target)
        start += target


def exchange_halves(pairs: np.ndarray, settings: PairSettings) -> tuple[np.ndarray, np.ndarray]:
    """Let couples of pairs exchange their B: give the places of all halves and the labels [pairs].

    Pairs of different documents become couples first, B's of the same length that were split in the
    same way; where lengths differ, the split of the longer B moves on, so that nothing is cut off.
    Only then is it drawn which couples exchange: what a label 1 may look like, a label 0 looks like
    as often. Rows of the places [pairs, 4]: start and end of A, start and end of B.
    """
    rng = np.random.default_rng([settings.seed, len(pairs)])
    document, first, split, stop, inside = pairs.T.copy()
    couples, waiting = [], []  # those waiting are always of one document
    owner = document.tolist()
    for row in np.lexsort((rng.random(len(pairs)), inside, stop - split)).tolist():
        if waiting and owner[waiting[-1]] != owner[row]:
            couples.append((waiting.pop(), row))
        else:
            waiting.append(row)
    couples = np.array(couples)
    split[couples] = stop[couples] - (stop - split)[couples].min(1, keepdims=True)
    places, labels = np.stack([first, split, split, stop], 1), np.zeros(len(pairs), np.int64)
    exchanged = rng.permutation(couples)[: round(len(couples) * settings.random_next_prob)]
    places[exchanged, 2:] = places[exchanged[:, ::-1], 2:]
    labels[exchanged] = 1
    return places, labels


def write_pairs(
    folder: Path, places: np.ndarray, labels: np.ndarray, settings: PairSettings
) -> None:
    """Write the pairs at `places` [pairs, 4] of the tokens as one Arrow stream file."""
    lists = {"input_ids": pa.list_(pa.int32()), "token_type_ids": pa.list_(pa.int8())}
    schema = pa.schema(lists | {"next_sentence_label": pa.int64()})
    with (
        open(folder / "tokens.bin", "rb", buffering=0) as tokens,
        pa.OSFile(str(folder / PAIRS), "wb") as sink,
        pa.ipc.new_stream(sink, schema) as writer,
    ):
        for first in range(0, len(places), PAIRS_PER_BATCH):
            part = slice(first, first + PAIRS_PER_BATCH)
            columns = pair_columns(tokens, places[part], settings)
            writer.write_batch(pa.record_batch([*columns, pa.array(labels[part])], schema=schema))


def pair_columns(tokens: BinaryIO, places: np.ndarray, settings: PairSettings) -> list[pa.Array]:
    """Give `input_ids` and `token_type_ids` of the pairs at `places` [pairs, 4]."""
    lengths = places[:, 1::2] - places[:, ::2]
    offsets = np.concatenate([[0], (lengths.sum(1) + 3).cumsum()])
    cls, separators = offsets[:-1], [offsets[:-1] + lengths[:, 0] + 1, offsets[1:] - 1]
    input_ids = np.zeros(offsets[-1], np.int32)
    is_text = np.ones(offsets[-1], bool)
    for where, value in ((cls, settings.cls_id), *((s, settings.sep_id) for s in separators)):
        input_ids[where], is_text[where] = value, False
    halves = places.reshape(-1, 2).tolist()
    input_ids[is_text] = np.concatenate([read_ids(tokens, *half) for half in halves])
    types = np.repeat(np.tile(np.array([0, 1], np.int8), len(places)), (lengths + [2, 1]).ravel())
    offsets = offsets.astype(np.int32)
    return [pa.ListArray.from_arrays(offsets, column) for column in (input_ids, types)]
