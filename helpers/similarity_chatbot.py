"""Lesson 02, similarity chatbot: sentence vectors, an index of questions, training and measuring them.

>>> encoder = load_sentence_encoder()
>>> chatbot = SimilarityChatbot(["이름이 뭐야?", "몇 살이야?"], ["버티예요.", "나이가 없어요."], encoder)
>>> chatbot.answer("이름 좀 알려 줘").answer
'버티예요.'
"""

import copy
import csv
import hashlib
import json
import os
import random
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file
from tqdm.auto import tqdm
from transformers import AutoModel, PrinterCallback, Trainer, TrainerCallback, TrainingArguments
from usearch.index import Index

from helpers import CourseError
from helpers.architectures import max_tokens
from helpers.course import bf16_supported, device_name, keep_memory, profile_name
from helpers.resources import check_pair, data_path, load_model, load_tokenizer

POOLINGS = ("mean", "cls", "pooler")
SENTENCE_ENCODER = "mini-sentence-ko"
UNKNOWN = "잘 모르겠습니다. 다른 말로 다시 물어봐 주십시오."
LONG_WORK = 20_000  # sentences; only then is a progress bar worth its line


# --- sentence vectors ----------------------------------------------------------------------------


class SentenceEncoder:
    """Turn sentences into vectors with a BERT.

    pooling: 'mean' of the token vectors, 'cls' (the first token's vector) or 'pooler' (the model's
    own layer above it). Longer sentences than `max_length` tokens are cut. bf16: compute in bfloat16,
    twice as fast at a relative error of some 0.2 %; None: on CPUs that round alike in every batch.
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
            rounds_alike = model.device.type == "cpu" and not torch.cpu._is_amx_tile_supported()
            bf16 = rounds_alike and bf16_supported()
        self.bf16 = bf16

    @torch.inference_mode()
    def encode(
        self, sentences: Iterable[str], batch_size: int = 64, show_progress: bool | None = None
    ) -> np.ndarray:
        """encode(["안녕?", "반가워"]) -> float32 [2, hidden], one row a sentence, in their order.

        A batch holds sentences of one length: nothing is padding, and since every sum then runs over
        the same numbers, a vector does not depend on the batch size (to 1e-5).
        `show_progress=None` shows a bar for long work only.
        Raises CourseError for anything but an iterable of strings.
        """
        ids = self._token_ids(sentences)
        vectors = np.empty((len(ids), self.model.config.hidden_size), np.float32)
        if show_progress is None:
            show_progress = len(ids) > LONG_WORK
        self.model.eval()
        device = self.model.device
        bar = tqdm(total=len(ids), disable=not show_progress, leave=False)
        with bar, torch.autocast(device.type, torch.bfloat16, enabled=self.bf16):
            for rows in batches_of_one_length(list(map(len, ids)), batch_size):
                batch = {"input_ids": torch.tensor([ids[i] for i in rows], device=device)}
                vectors[rows] = self.pool(batch).float().cpu().numpy()
                bar.update(len(rows))
        return vectors

    def pool(self, batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """Run a batch: ids and, where it is padded, mask [batch, length] -> vectors [batch, hidden]."""
        output = self.model(**batch)
        if self.pooling == "pooler":
            return output.pooler_output
        if self.pooling == "cls":
            return output.last_hidden_state[:, 0]
        if "attention_mask" not in batch:
            return output.last_hidden_state.mean(dim=1)
        mask = batch["attention_mask"].unsqueeze(-1)
        return (output.last_hidden_state * mask).sum(dim=1) / mask.sum(dim=1)

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

        What sentence-transformers asks for lies beside them: `SentenceTransformer(folder)` gives the same vectors.
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
        size = self.model.config.hidden_size
        files = {
            "modules.json": modules,
            "sentence_bert_config.json": {
                "max_seq_length": self.max_length,
                "do_lower_case": False,
            },
            "1_Pooling/config.json": {
                "word_embedding_dimension": size,
                "pooling_mode": self.pooling,
            },
        }
        for name, content in files.items():
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
        # A novel is cut before it is tokenised, and half a character (a lone surrogate) is replaced.
        sentences = [s[: 50 * self.max_length].encode(errors="replace").decode() for s in sentences]
        encoded = self.tokenizer(sentences, truncation=True, max_length=self.max_length)
        # What one call truncated to must not change the tokenizer and with it the fingerprint.
        self.tokenizer.backend_tokenizer.no_truncation()
        return encoded["input_ids"]


def batches_of_one_length(lengths: Sequence[int], batch_size: int) -> list[list[int]]:
    """batches_of_one_length([3, 9, 3, 3], 2) -> [[1], [0, 2], [3]]: the longest first."""
    rows_of: dict[int, list[int]] = {}
    for row, length in enumerate(lengths):
        rows_of.setdefault(length, []).append(row)
    return [
        rows_of[length][start : start + batch_size]
        for length in sorted(rows_of, reverse=True)
        for start in range(0, len(rows_of[length]), batch_size)
    ]


def load_sentence_encoder(
    name: str | os.PathLike = SENTENCE_ENCODER, pooling: str = "mean"
) -> SentenceEncoder:
    """load_sentence_encoder().encode(["안녕?"]) -> [[0.1, ...]]: the course's best encoder, ready to use.

    name: a catalogue name, a folder, or in the full profile a hub id.
    Raises CourseError as `load_model` does.
    """
    model = load_model(AutoModel, name).to(device_name(profile_name()))
    return SentenceEncoder(model, load_tokenizer(name), pooling)


def unit(vectors: np.ndarray) -> np.ndarray:
    """Scale rows to length 1, so that their dot product is the cosine; a row of zeros stays one."""
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / np.where(lengths == 0, 1, lengths)


# --- the chatbot ---------------------------------------------------------------------------------


class Match(NamedTuple):
    """A stored question, its answer, its row, and the cosine with the query."""

    question: str
    answer: str
    score: float
    row: int


class Reply(NamedTuple):
    """What the chatbot says, and why: the best match, and whether its score was high enough."""

    answer: str
    question: str
    score: float
    known: bool


class SimilarityChatbot:
    """Answer with the stored answer of the most similar stored question.

    threshold: below this cosine it says that it does not know; `learn_threshold` finds one.
    Raises CourseError for lists of different lengths or without a question.
    """

    VECTORS, INDEX = "vectors.safetensors", "index.json"

    def __init__(
        self,
        questions: Sequence[str],
        answers: Sequence[str],
        encoder: SentenceEncoder,
        threshold: float = 0.0,
        *,
        vectors: np.ndarray | None = None,
    ):
        self.questions, self.answers = list(questions), list(answers)
        if not self.questions or len(self.questions) != len(self.answers):
            raise CourseError(
                f"질문은 {len(self.questions)}개, 답은 {len(self.answers)}개입니다. "
                "질문마다 답을 하나씩, 한 쌍 이상 주십시오."
            )
        self.encoder, self.threshold = encoder, threshold
        self.vectors = self.unit_vectors(self.questions) if vectors is None else vectors

    def unit_vectors(self, sentences: Sequence[str]) -> np.ndarray:
        """Encode to length 1: float32 [n, hidden]; zeros, alike to nothing, for unreadable text."""
        sentences = list(sentences)
        return unit(self.encoder.encode(sentences)) * self.encoder.readable(sentences)[:, None]

    def scores(self, queries: Sequence[str]) -> np.ndarray:
        """Cosine of every query with every stored question: [queries, questions]."""
        return self.unit_vectors(queries) @ self.vectors.T

    def search(self, queries: Sequence[str], top_k: int = 5) -> list[list[Match]]:
        """search(["이름 좀 알려 줘"], 2) -> [[Match("이름이 뭐야?", ..., 0.9, 1), Match(...)]]

        The best `top_k` (all, if there are fewer) of each query, best first, of equals the first.
        Raises CourseError for a `top_k` below 1 and as `encode` does.
        """
        if top_k < 1:
            raise CourseError("top_k는 1 이상이어야 합니다. 보고 싶은 후보의 수를 주십시오.")
        found = []
        for query in self.unit_vectors(queries):  # one at a time: a million scores are 4 MB
            scores = self.vectors @ query
            best = np.argsort(-scores, kind="stable")[:top_k].tolist()
            found.append(
                [Match(self.questions[i], self.answers[i], float(scores[i]), i) for i in best]
            )
        return found

    def answer(self, query: str) -> Reply:
        """Answer one query; below the threshold, or where nothing can be read, say so."""
        (match,) = self.search([query], top_k=1)[0]
        known = match.score >= self.threshold and bool(self.encoder.readable([query])[0])
        return Reply(match.answer if known else UNKNOWN, match.question, match.score, known)

    def learn_threshold(
        self, queries: Sequence[str], rows: Sequence[int], unanswerable: Sequence[str]
    ) -> float:
        """Set the threshold that serves queries with a known right row and hopeless ones best.

        Best is the largest sum of two shares: queries answered and right, hopeless ones refused.
        """
        scores = self.scores(queries)
        right = scores.argmax(axis=1) == np.asarray(rows)
        self.threshold = best_threshold(
            scores.max(axis=1), right, self.scores(unanswerable).max(axis=1)
        )
        return self.threshold

    def save(self, folder: str | os.PathLike) -> None:
        """Write vectors (safetensors), texts and the encoder's fingerprint (JSON)."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        save_file({"vectors": np.ascontiguousarray(self.vectors)}, folder / self.VECTORS)
        index = {
            "encoder": self.encoder.fingerprint(),
            "threshold": self.threshold,
            "questions": self.questions,
            "answers": self.answers,
        }
        text = json.dumps(index, ensure_ascii=False, indent=1)
        (folder / self.INDEX).write_text(text, encoding="utf-8")

    @classmethod
    def load(cls, folder: str | os.PathLike, encoder: SentenceEncoder) -> "SimilarityChatbot":
        """Read what `save` wrote, without encoding again.

        Raises CourseError if a file is missing or damaged, or if another encoder made the vectors.
        """
        folder = Path(folder)
        try:
            index = json.loads((folder / cls.INDEX).read_text(encoding="utf-8"))
            vectors = load_file(folder / cls.VECTORS)["vectors"]
            texts = index["questions"], index["answers"]
            same, threshold = index["encoder"] == encoder.fingerprint(), float(index["threshold"])
        except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
            raise CourseError(
                f"'{folder}'의 색인(index)을 읽을 수 없습니다. 챗봇을 다시 만들어 저장하십시오."
            ) from error
        if not same:
            raise CourseError(
                f"'{folder}'의 색인은 다른 인코더(encoder)로 만들었습니다. 그 인코더를 쓰거나 "
                "색인을 다시 만드십시오."
            )
        if len(vectors) != len(texts[0]):
            raise CourseError(
                f"'{folder}'의 질문은 {len(texts[0])}개인데 벡터는 {len(vectors)}개입니다. "
                "챗봇을 다시 만들어 저장하십시오."
            )
        return cls(*texts, encoder, threshold, vectors=vectors)


def best_threshold(scores: np.ndarray, right: np.ndarray, hopeless: np.ndarray) -> float:
    """best_threshold([.9, .6, .5], [True, True, False], [.4, .55]) -> 0.575, halfway between .55 and .6

    scores: best cosine of each answerable query; right: was the best match the right one;
    hopeless: best cosine of each query without an answer. See `learn_threshold` for what is best.
    """
    scores, right, hopeless = map(np.asarray, (scores, right, hopeless))
    steps = np.unique(np.concatenate([scores, hopeless, [-1, 1]]))
    candidates = (steps[:-1] + steps[1:]) / 2
    answered = ((scores[:, None] >= candidates) & right[:, None]).mean(axis=0)
    refused = (hopeless[:, None] < candidates).mean(axis=0)
    return float(candidates[np.argmax(answered + refused)])


# --- measuring -----------------------------------------------------------------------------------


def target_ranks(scores: np.ndarray, targets: Sequence[int]) -> np.ndarray:
    """target_ranks([[.1, .9, .5]], [2]) -> [2]: the place of the right column in each row, from 1.

    scores: [queries, questions]. Ties and NaN count against the right column.
    """
    scores, targets = np.asarray(scores), np.asarray(targets)
    own = scores[np.arange(len(scores)), targets][:, None]
    return scores.shape[1] - (scores < own).sum(axis=1)


def recall_at_k(ranks: Sequence[int], k: int) -> float:
    """recall_at_k([1, 3, 9], 5) -> 0.667: the share of queries whose right answer is in the first k."""
    return float(np.mean(np.asarray(ranks) <= k))


def mean_reciprocal_rank(ranks: Sequence[int]) -> float:
    """mean_reciprocal_rank([1, 2, 4]) -> 0.583: the mean of 1 / rank."""
    return float(np.mean(1 / np.asarray(ranks)))


def evaluate_retrieval(
    questions: Path, queries: Path, encoder: SentenceEncoder
) -> dict[str, float | int]:
    """Measure an encoder on two tables: {"recall_at_1", "recall_at_5", "mrr", "n"}.

    questions: columns `id`, `question`. queries: columns `query`, `id` of the right question.
    Raises CourseError for an unusable file and for an id that is not, or twice, in the questions.
    """
    stored = read_table(questions, "id", "question")
    rows = {row["id"]: number for number, row in enumerate(stored)}
    if len(rows) < len(stored):
        raise CourseError(f"'{questions}'에 같은 id가 두 번 있습니다. id를 저마다 다르게 쓰십시오.")
    asked = read_table(queries, "query", "id")
    if unknown := [row["id"] for row in asked if row["id"] not in rows]:
        raise CourseError(
            f"'{queries}'의 id {unknown[0]!r}이(가) '{questions}'에 없습니다. id를 확인하십시오."
        )
    texts = [row["question"] for row in stored]
    chatbot = SimilarityChatbot(texts, texts, encoder)
    ranks = []
    for start in range(0, len(asked), 1000):  # a thousand rows of scores at a time
        part = asked[start : start + 1000]
        scores = chatbot.scores([row["query"] for row in part])
        ranks.extend(target_ranks(scores, [rows[row["id"]] for row in part]))
    return {
        "recall_at_1": recall_at_k(ranks, 1),
        "recall_at_5": recall_at_k(ranks, 5),
        "mrr": mean_reciprocal_rank(ranks),
        "n": len(ranks),
    }


def read_table(path: str | os.PathLike, *columns: str) -> list[dict[str, str]]:
    """read_table("qa.tsv", "question") -> [{"id": "q001", "question": "안녕?", ...}, ...]

    A header line, then a row a line; `.csv` has commas and quotes, any other file tabs and none.
    Raises CourseError if the file cannot be read, has no row, or lacks a column or a value.
    """
    path = Path(path)
    form = {} if path.suffix == ".csv" else {"delimiter": "\t", "quoting": csv.QUOTE_NONE}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file, **form))
    except OSError as error:
        raise CourseError(
            f"'{path}' 파일을 읽을 수 없습니다({error.strerror}). 경로를 확인하십시오."
        ) from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise CourseError(
            f"'{path}'은(는) UTF-8로 쓴 표가 아닙니다. UTF-8로 다시 저장하십시오."
        ) from error
    if not rows:
        raise CourseError(f"'{path}'에 행이 없습니다. 첫 줄에 열 이름, 그 아래에 값을 쓰십시오.")
    for column in columns:
        for number, row in enumerate(rows, start=2):
            if row.get(column) is None:
                raise CourseError(
                    f"'{path}'의 {number}번째 줄에 {column} 열이 없습니다. 첫 줄에 열 이름을 쓰고 "
                    "열을 탭(.csv이면 쉼표)으로 나누십시오."
                )
    return rows


def crowd(vectors: np.ndarray, count: int, seed: int = 0) -> np.ndarray:
    """crowd(vectors [n, hidden], 1_000_000) -> unit vectors [count, hidden]: the n real ones first.

    The rest is invented to lie as real ones do: between two of them, with noise of a third of the
    length. It is for timing a search; what is found among them means nothing.
    """
    rng = np.random.default_rng(seed)
    made = np.empty((count, vectors.shape[1]), np.float32)
    real = min(count, len(vectors))
    made[:real] = unit(vectors[:real])
    for start in range(real, count, 50_000):
        size = min(50_000, count - start)
        first, second = (made[rng.integers(real, size=size)] for _ in range(2))
        noise = rng.standard_normal((size, vectors.shape[1]), np.float32)
        noise *= 0.33 / np.sqrt(vectors.shape[1])
        share = rng.random((size, 1), np.float32)
        made[start : start + size] = unit(share * first + (1 - share) * second + noise)
    return made


def search_latency(vectors: np.ndarray, queries: np.ndarray, top_k: int = 10) -> list[dict]:
    """Time queries one by one: exact, then with usearch's graph index (HNSW) in 16 bits.

    vectors [n, hidden] and queries [m, hidden] of length 1 -> one row a method: `method` ('exact',
    'usearch-64', 'usearch-512': the number of candidates a search keeps), `vectors`, `build_seconds`,
    `median_ms`, `p95_ms` and `recall`, the share of the exact `top_k` it found.
    Source: Malkov & Yashunin 2018, "Efficient and robust approximate nearest neighbor search".
    """
    began = time.perf_counter()
    index = Index(ndim=vectors.shape[1], metric="cos", dtype="f16")
    index.add(np.arange(len(vectors)), vectors)
    build_seconds = time.perf_counter() - began

    def exact(query: np.ndarray) -> np.ndarray:
        return np.argpartition(-(vectors @ query), top_k)[:top_k]

    def graph(query: np.ndarray, candidates: int) -> np.ndarray:
        index.expansion_search = candidates
        return index.search(query, top_k).keys

    rows, truth = [], [set(exact(query).tolist()) for query in queries]
    methods = {"exact": (exact, 0.0)}
    for candidates in (64, 512):
        methods[f"usearch-{candidates}"] = partial(graph, candidates=candidates), build_seconds
    for method, (search, seconds) in methods.items():
        times, found = [], 0
        for query, right in zip(queries, truth, strict=True):
            began = time.perf_counter()
            keys = search(query)
            times.append(1000 * (time.perf_counter() - began))
            found += len(right & set(keys.tolist()))
        rows.append(
            {
                "method": method,
                "vectors": len(vectors),
                "build_seconds": seconds,
                "median_ms": float(np.median(times)),
                "p95_ms": float(np.percentile(times, 95)),
                "recall": found / (top_k * len(queries)),
            }
        )
    return rows


def course_chatbot(encoder: SentenceEncoder) -> SimilarityChatbot:
    """The chatbot over the course's own pairs, its threshold learned from the course's queries."""
    folder = data_path("chatbot-pairs").parent
    pairs = read_table(folder / "qa.tsv", "id", "question", "answer")
    queries = read_table(folder / "queries.tsv", "query", "id")
    hopeless = read_table(folder / "unanswerable.tsv", "query")
    rows = {pair["id"]: row for row, pair in enumerate(pairs)}
    chatbot = SimilarityChatbot(
        [pair["question"] for pair in pairs], [pair["answer"] for pair in pairs], encoder
    )
    chatbot.learn_threshold(
        [query["query"] for query in queries],
        [rows[query["id"]] for query in queries],
        [query["query"] for query in hopeless],
    )
    return chatbot


def talk(chatbot: SimilarityChatbot) -> None:
    """Read queries from the terminal or a pipe, a line each, and print the answers to the end."""
    typed = sys.stdin.isatty()
    if typed:
        print("질문을 쓰고 Enter를 누르십시오. 끝내려면 Ctrl-D나 Ctrl-C를 누르십시오.")
    try:
        while True:
            query = input("> " if typed else "").strip()
            if query:
                reply = chatbot.answer(query)
                print(f"{reply.answer}\n    [{reply.score:.3f}] {reply.question}", flush=True)
    except (EOFError, KeyboardInterrupt):
        print("\n안녕히 가십시오." if typed else "안녕히 가십시오.")


# --- training ------------------------------------------------------------------------------------


def train_contrastive(
    encoder: SentenceEncoder,
    groups: Sequence[Sequence[str]],
    *,
    steps: int,
    batch_size: int = 64,
    learning_rate: float = 5e-5,
    temperature: float = 0.05,
    dropout: float = 0.1,
    teacher: Mapping[str, np.ndarray] | None = None,
    teacher_weight: float = 1.0,
    max_length: int = 64,
    seed: int = 0,
    callbacks: Iterable[TrainerCallback] = (),
) -> SentenceEncoder:
    """Train a copy of an encoder to put the sentences of a group together and the groups apart.

    groups: [["이름이 뭐야?", "이름 좀 알려 줘"], ["안녕?"]]. A step takes two sentences from each of
    `batch_size` groups; every sentence has to find its partner among the partners of the others
    (in-batch negatives). A group of one is its own partner: only dropout makes the two differ, so
    without dropout it learns from the teacher alone.
    teacher: {sentence: vector [hidden]}; the vectors of these sentences are also turned into the
    direction of the teacher's, `teacher_weight` times one minus the cosine.
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

    def collate(drawn: list[tuple[str, str]]) -> dict[str, torch.Tensor]:
        sentences = [sentence for pair in drawn for sentence in pair]
        if not dropout:  # what comes twice would give the same vector twice
            sentences = list(dict.fromkeys(sentences))
            place = {sentence: row for row, sentence in enumerate(sentences)}
            partners = [(place[a], place[b]) for a, b in drawn if a != b]
        else:
            partners = [(row, row + 1) for row in range(0, len(sentences), 2)]
        batch = encoder.tokenizer(
            sentences, padding=True, truncation=True, max_length=max_length, return_tensors="pt"
        )
        batch["partners"] = torch.tensor(partners, dtype=torch.long).reshape(-1, 2)
        if teacher:
            none = np.zeros(encoder.model.config.hidden_size, np.float32)
            rows = np.stack([teacher.get(sentence, none) for sentence in sentences])
            batch["teacher"] = torch.from_numpy(rows).float()
        return dict(batch)

    keep_memory()
    on_cpu = encoder.model.device.type == "cpu"
    trainer = ContrastiveTrainer(
        encoder=encoder,
        temperature=temperature,
        teacher_weight=teacher_weight,
        model=encoder.model,
        args=TrainingArguments(
            output_dir=tempfile.gettempdir(),  # nothing is saved, but the Trainer wants a folder
            max_steps=steps,
            per_device_train_batch_size=min(batch_size, len(groups)),
            learning_rate=learning_rate,
            warmup_steps=0.1,
            optim="adamw_torch_fused",
            bf16=bf16_supported(),
            dataloader_drop_last=True,
            remove_unused_columns=False,
            logging_steps=max(1, steps // 20),
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            use_cpu=on_cpu,
            dataloader_pin_memory=not on_cpu,
            seed=seed,
        ),
        train_dataset=DrawnPairs(groups),
        data_collator=collate,
        callbacks=list(callbacks),
    )
    trainer.remove_callback(PrinterCallback)
    trainer.train()
    # Off comes the Trainer's wrapper that computes in bf16: vectors must not depend on the batch.
    for name in ("forward", "_original_forward"):
        vars(encoder.model).pop(name, None)
    encoder.model.eval()
    encoder.tokenizer.backend_tokenizer.no_truncation()
    encoder.tokenizer.backend_tokenizer.no_padding()
    return encoder


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

    def __init__(self, *, encoder, temperature: float, teacher_weight: float, **kwargs):
        super().__init__(**kwargs)
        self.encoder, self.temperature, self.teacher_weight = encoder, temperature, teacher_weight

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        inputs = dict(inputs)
        teacher, partners = inputs.pop("teacher", None), inputs.pop("partners")
        vectors = self.encoder.pool(inputs).float()
        loss = 0 * vectors.sum()
        if len(partners) > 1:
            loss = contrastive_loss(*vectors[partners.T], self.temperature)
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
