"""Searching a million vectors: exactly, and with a graph index, by the clock."""

import time

import numpy as np
from usearch.index import Index

from helpers.similarity_chatbot.encoder import unit


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
    'usearch-64', 'usearch-512': the number of candidates a search keeps), `vectors`,
    `build_seconds`, `median_ms`, `p95_ms` and `recall`, the share of the exact `top_k` it found.
    Source: Malkov & Yashunin 2018, "Efficient and robust approximate nearest neighbor search".
    """
    began = time.perf_counter()
    index = Index(ndim=vectors.shape[1], metric="cos", dtype="f16")
    index.add(np.arange(len(vectors)), vectors)
    build_seconds = time.perf_counter() - began

    def exact(query: np.ndarray) -> np.ndarray:
        return np.argpartition(-(vectors @ query), top_k)[:top_k]

    def graph(query: np.ndarray) -> np.ndarray:
        return index.search(query, top_k).keys

    rows, truth = [], [set(exact(query).tolist()) for query in queries]
    methods = {"exact": (exact, 0), "usearch-64": (graph, 64), "usearch-512": (graph, 512)}
    for method, (search, candidates) in methods.items():
        if candidates:
            index.expansion_search = candidates
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
                "build_seconds": build_seconds if candidates else 0.0,
                "median_ms": float(np.median(times)),
                "p95_ms": float(np.percentile(times, 95)),
                "recall": found / (top_k * len(queries)),
            }
        )
    return rows
