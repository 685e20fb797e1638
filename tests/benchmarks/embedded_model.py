"""The numbers of a model card: masked accuracy on sentences, similarity, and one prompt.

    python tests/benchmarks/embedded_model.py --model mini-bert-ko \
        --heldout wiki.txt law.txt --sts sts-dev.tsv

`--sts` is a file of KorSTS (sentence1, sentence2 and score by column name). Prints one JSON line
for each measurement.
"""

import argparse
import csv
import json
from dataclasses import asdict
from pathlib import Path

import pandas as pd
import torch
from transformers import BertForMaskedLM, pipeline

from helpers.korean_pretraining.evaluate import masked_accuracy
from helpers.korean_pretraining.sentence_vectors import mean_pooling
from helpers.resources import load_model, load_tokenizer

PROMPT = "이순신은 [MASK] 중기의 무신이다."


@torch.inference_mode()
def sentence_vectors(bert, tokenizer, sentences: list[str], pooling: str) -> torch.Tensor:
    """Encode sentences as the mean of their tokens or as [CLS]: [sentences, hidden]."""
    order = sorted(range(len(sentences)), key=lambda i: len(sentences[i]))
    vectors = torch.empty(len(sentences), bert.config.hidden_size)
    for start in range(0, len(order), 64):
        rows = order[start : start + 64]
        batch = tokenizer(
            [sentences[i] for i in rows],
            padding=True,
            truncation=True,
            max_length=128,
            return_tensors="pt",
        )
        hidden = bert(**batch).last_hidden_state
        vectors[rows] = (
            mean_pooling(hidden, batch["attention_mask"]) if pooling == "mean" else hidden[:, 0]
        )
    return vectors


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="mini-bert-ko")
    parser.add_argument("--heldout", type=Path, nargs="*", default=[])
    parser.add_argument("--sts", type=Path)
    parser.add_argument("--max-sentences", type=int, default=4000)
    options = parser.parse_args()
    model, tokenizer = load_model(BertForMaskedLM, options.model), load_tokenizer(options.model)
    for file in options.heldout:
        result = masked_accuracy(model, tokenizer, file, max_sentences=options.max_sentences)
        print(json.dumps({"heldout": file.name} | asdict(result)))
    if options.sts:
        with open(options.sts, encoding="utf-8") as file:
            rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
        scores = [float(row["score"]) for row in rows]
        for pooling in ("mean", "cls"):
            a, b = (
                sentence_vectors(model.bert, tokenizer, [row[column] for row in rows], pooling)
                for column in ("sentence1", "sentence2")
            )
            similarity = pd.Series(torch.cosine_similarity(a, b).numpy())
            spearman = similarity.rank().corr(pd.Series(scores).rank())
            print(json.dumps({"sts": options.sts.name, "pooling": pooling, "spearman": spearman}))
    fill = pipeline("fill-mask", model=model, tokenizer=tokenizer, top_k=5)
    print(
        json.dumps(
            {"prompt": PROMPT, "top5": [row["token_str"] for row in fill(PROMPT)]},
            ensure_ascii=False,
        )
    )


if __name__ == "__main__":
    main()
