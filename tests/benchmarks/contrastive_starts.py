"""What a start already knows: Recall@1 before and after lesson 02's contrastive training.

    python tests/benchmarks/contrastive_starts.py \
        --start "읽기만=work/mini-bert-ko/read" --start "읽고 문장 벡터도=mini-bert-ko" \
        --teacher "교사(e5)=intfloat/multilingual-e5-small"

`--start NAME=MODEL`: a model's name or folder; mean pooling. Questions, halves of the queries,
steps and learning rate are the lesson's own; three seeds of training. `--teacher NAME=MODEL`: an
encoder that reads "query: " first, measured as it is, the mean of its vectors taken out.
Writes data/similarity_chatbot/starts.tsv anew; lesson 02 shows it.
"""

import argparse
import random

import numpy as np
import pandas as pd
from transformers import AutoModel, AutoTokenizer

from helpers import ROOT
from helpers.course import SEED, be_quiet, lesson_table
from helpers.korean_pretraining.sentence_vectors import teacher_vectors
from helpers.resources import load_model, load_tokenizer
from helpers.similarity_chatbot import (
    SentenceEncoder,
    read_table,
    recall_at_k,
    target_ranks,
    train_contrastive,
    unit,
)

DATA = ROOT / "data" / "similarity_chatbot"
SEEDS = (0, 1, 2)
LEARNING_RATE = 5e-5  # as the lesson's cell has it


def split() -> tuple[list[str], list[dict], list[dict], dict[str, int]]:
    """Lesson 02's own halves: questions, queries to teach, queries to test, rows of the ids."""
    pairs = read_table(DATA / "qa.tsv", "id", "question")
    rows = {pair["id"]: row for row, pair in enumerate(pairs)}
    queries = read_table(DATA / "queries.tsv", "query", "id")
    ids = sorted({query["id"] for query in queries})
    random.Random(SEED).shuffle(ids)
    taught = set(ids[: len(ids) // 2])
    train = [query for query in queries if query["id"] in taught]
    test = [query for query in queries if query["id"] not in taught]
    return [pair["question"] for pair in pairs], train, test, rows


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--start", action="append", default=[], metavar="NAME=MODEL")
    parser.add_argument("--teacher", metavar="NAME=MODEL")
    options = parser.parse_args()
    be_quiet("local")
    sizes = lesson_table("similarity_chatbot", "local")[2]
    training = {"steps": sizes["train_steps"], "batch_size": sizes["batch_size"]}
    training["learning_rate"] = LEARNING_RATE
    questions, train, test, rows = split()
    targets = np.array([rows[query["id"]] for query in test])

    asked = [query["query"] for query in test]

    def recall(vectors) -> float:
        scores = unit(vectors(asked)) @ unit(vectors(questions)).T
        return recall_at_k(target_ranks(scores, targets), 1)

    groups = {query["id"]: [questions[rows[query["id"]]]] for query in train}
    for query in train:
        groups[query["id"]].append(query["query"])

    table = []
    for start in options.start:
        name, _, model = start.partition("=")
        encoder = SentenceEncoder(load_model(AutoModel, model), load_tokenizer(model))
        before = recall(encoder.encode)
        for seed in SEEDS:
            taught = train_contrastive(encoder, list(groups.values()), seed=seed, **training)
            after = recall(taught.encode)
            table.append({"start": name, "seed": seed, "before": before, "after": after})
            print(table[-1], flush=True)
    if options.teacher:
        name, _, model = options.teacher.partition("=")
        e5 = AutoModel.from_pretrained(model), AutoTokenizer.from_pretrained(model)
        before = recall(lambda texts: teacher_vectors(texts, *e5, "query: ").numpy())
        table.append({"start": name, "before": before})
        print(table[-1])
    log = DATA / "starts.tsv"
    starts = pd.DataFrame(table).round(6).convert_dtypes()
    starts.to_csv(log, sep="\t", index=False, lineterminator="\n")


if __name__ == "__main__":
    main()
