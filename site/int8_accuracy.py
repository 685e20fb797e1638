"""What int8 costs, for the cards: masked accuracy and retrieval with and without rounded weights.

    python site/int8_accuracy.py --heldout wiki.txt --paraphrases paraKQC_part.txt

`--paraphrases`: ten lines a group; the first sentences of all groups are stored, the other nine of
every fourth group, which mini-sentence-ko never saw, ask. Prints a JSON line a model and precision.
"""

import argparse
import json
import tempfile
from dataclasses import asdict
from pathlib import Path

from transformers import AutoModel, BertForMaskedLM

from helpers.course import be_quiet
from helpers.export import round_weights
from helpers.korean_pretraining.evaluate import masked_accuracy
from helpers.resources import load_model, load_tokenizer
from helpers.similarity_chatbot import SentenceEncoder, evaluate_retrieval

BERT, SENTENCE = "mini-bert-ko", "mini-sentence-ko"


def write_tables(paraphrases: Path, folder: Path) -> tuple[Path, Path]:
    """The file as the two tables of `evaluate_retrieval`: questions, and queries held out."""
    lines = [line.strip() for line in paraphrases.read_text(encoding="utf-8").splitlines()]
    lines = [line.split("\t")[-1] for line in lines if line]
    groups = [lines[i : i + 10] for i in range(0, len(lines), 10)]
    stored = [f"g{i}\t{group[0]}" for i, group in enumerate(groups)]
    asked = [f"{line}\tg{i}" for i, group in enumerate(groups) if i % 4 == 3 for line in group[1:]]
    questions, queries = folder / "questions.tsv", folder / "queries.tsv"
    questions.write_text("\n".join(["id\tquestion", *stored]) + "\n", encoding="utf-8")
    queries.write_text("\n".join(["query\tid", *asked]) + "\n", encoding="utf-8")
    return questions, queries


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--heldout", type=Path)
    parser.add_argument("--paraphrases", type=Path)
    parser.add_argument("--max-sentences", type=int, default=3000)
    options = parser.parse_args()
    be_quiet("local")
    for precision, change in (("fp16", lambda model: model), ("int8", round_weights)):
        head = {"precision": precision}
        if options.heldout:
            model = change(load_model(BertForMaskedLM, BERT))
            count = options.max_sentences
            found = masked_accuracy(
                model, load_tokenizer(BERT), options.heldout, max_sentences=count
            )
            print(json.dumps({"model": BERT} | head | asdict(found)), flush=True)
        if options.paraphrases:
            model = change(load_model(AutoModel, SENTENCE))
            encoder = SentenceEncoder(model, load_tokenizer(SENTENCE), bf16=False)
            with tempfile.TemporaryDirectory() as folder:
                tables = write_tables(options.paraphrases, Path(folder))
                found = evaluate_retrieval(*tables, encoder)
            print(json.dumps({"model": SENTENCE} | head | found), flush=True)


if __name__ == "__main__":
    main()
