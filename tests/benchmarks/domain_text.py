"""General or domain text? Lesson 04's table: the same steps on Wikipedia, statutes, half of each.

    python tests/benchmarks/domain_text.py --corpus FILES --law FILES \
        --heldout FILE --heldout-law FILE

Two starts: the embedded model with its vocabulary, and an untrained one of lesson 04's shape, small
enough to leave the plateau of mere frequencies, with a vocabulary of half of each text. Every run
reads from the same amount of text and is measured on both held-out texts, with the same masks for
all runs of a start. The runs are appended to data/korean_pretraining/domain.jsonl; only those that
are missing are computed.
"""

import json
import tempfile
from itertools import product
from pathlib import Path
from statistics import mean, stdev

from common import BUILD, Options, main, positive, report, run_side, write_text

from helpers import ROOT

LOG = ROOT / "data" / "korean_pretraining" / "domain.jsonl"
MODEL = "mini-bert-ko"
TEXTS = ("general", "law", "half")
STEPS = {"warm": 200, "scratch": 2500}  # a few minutes each
BATCH_SIZE, BLOCK_SIZE = 64, 64
SENTENCES = 2000
CHOICES = {
    "warm": {"learning_rate": 3e-4},
    "scratch": {"learning_rate": 2e-3, "mlm_probability": 0.2, "mask_replace_prob": 1.0},
}
# The model from scratch: larger weights than BERT's 0.02, as in lesson 04, section 6.
VOCABULARY = 4000
SHAPE = {"hidden_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4}
INITIALIZER_RANGE = 0.08


def measured(model, tokenizer, heldout: dict[str, str]) -> dict:
    from helpers.korean_pretraining.evaluate import masked_accuracy

    row = {}
    for kind, file in heldout.items():
        result = masked_accuracy(model, tokenizer, file, max_sentences=SENTENCES)
        row |= {
            f"{kind}_top1": result.top1,
            f"{kind}_bits": result.bits_per_character,
            f"{kind}_masked": result.masked_tokens,
            f"{kind}_guesses": result.guesses,
        }
    return row


def untrained(heldout: dict) -> dict:
    """Measure the embedded model as it is."""
    from transformers import BertForMaskedLM

    from helpers.resources import load_model, load_tokenizer

    model = load_model(BertForMaskedLM, MODEL)
    return measured(model, load_tokenizer(MODEL), heldout)


def start_from_scratch(folder: Path, vocabulary_of: str, seed: int) -> None:
    """Save an untrained model and a vocabulary of its own."""
    import torch
    from transformers import BertConfig, BertForPreTraining

    from helpers.korean_pretraining.wordpiece import train_wordpiece

    tokenizer = train_wordpiece(vocabulary_of, vocab_size=VOCABULARY)
    tokenizer.save_pretrained(folder)
    torch.manual_seed(seed)
    config = BertConfig(
        vocab_size=len(tokenizer),
        intermediate_size=4 * SHAPE["hidden_size"],
        max_position_embeddings=BLOCK_SIZE,
        initializer_range=INITIALIZER_RANGE,
        pad_token_id=tokenizer.pad_token_id,
        **SHAPE,
    )
    BertForPreTraining(config).save_pretrained(folder)


def run(start: str, text: str, seed: int, steps: int, heldout: dict, vocabulary_of: str) -> dict:
    """Train on one text from one start and measure the result."""
    from transformers import BertForMaskedLM

    from helpers.course import be_quiet
    from helpers.korean_pretraining.run_folder import read_log
    from helpers.korean_pretraining.train import pretrain
    from helpers.resources import load_model, load_tokenizer

    be_quiet("local")
    with tempfile.TemporaryDirectory(dir=BUILD) as folder:
        source = MODEL
        if start == "scratch":
            source = Path(folder, "start")
            start_from_scratch(source, vocabulary_of, seed)
        pretrain(
            text,
            Path(folder, "model"),
            steps=steps,
            tokenizer=load_tokenizer(source),
            init_from=source,
            block_size=BLOCK_SIZE,
            batch_size=BATCH_SIZE,
            seed=seed,
            save_steps=10**7,
            **CHOICES[start],
        )
        tokens = sum(row["tokens"] for row in read_log(Path(folder, "model")))
        model = load_model(BertForMaskedLM, Path(folder, "model"))
        return {"tokens": tokens, **measured(model, load_tokenizer(source), heldout)}


def measure() -> None:
    from helpers.runs import weights_of

    options = Options("일반 글과 법률 글을 같은 스텝만큼 읽힌 결과를 견줍니다. 4강의 표입니다.")
    options.add_argument("--law", nargs="+", required=True, metavar="FILE", help="법률 글입니다.")
    options.add_argument("--heldout", required=True, metavar="FILE", help="떼어 둔 일반 글입니다.")
    options.add_argument(
        "--heldout-law", required=True, metavar="FILE", help="떼어 둔 법률 글입니다."
    )
    options.add_argument(
        "--megabytes", type=positive(float), default=20, help="읽힐 글의 MB입니다."
    )
    options.add_argument("--seeds", type=positive(int), default=2, help="시드의 수입니다.")
    chosen = options.parse_args()
    heldout = {"general": chosen.heldout, "law": chosen.heldout_law}
    key = {"weights": weights_of(MODEL), "megabytes": chosen.megabytes}
    lines = LOG.read_text(encoding="utf-8").splitlines() if LOG.exists() else []
    rows = [row for row in map(json.loads, lines) if key.items() <= row.items()]

    def add(wanted: dict, side: str, **arguments) -> None:
        wanted = key | wanted
        if any(wanted.items() <= row.items() for row in rows):
            return
        rows.append(wanted | run_side(side, heldout=heldout, **arguments))
        with LOG.open("a", encoding="utf-8", newline="\n") as file:
            file.write(json.dumps(rows[-1]) + "\n")

    with tempfile.TemporaryDirectory(dir=BUILD) as folder:
        texts = {name: Path(folder, f"{name}.txt") for name in TEXTS}
        write_text(chosen.corpus, texts["general"], chosen.megabytes)
        write_text(chosen.law, texts["law"], chosen.megabytes)
        parts = [Path(folder, f"{name}.part") for name in ("general", "law")]
        for corpus, part in zip((chosen.corpus, chosen.law), parts, strict=True):
            write_text(corpus, part, chosen.megabytes / 2)
        texts["half"].write_bytes(b"\n".join(part.read_bytes() for part in parts))

        add({"start": "warm", "text": "none", "steps": 0, "seed": 0}, "untrained")
        # All runs of one seed first: a table that is cut short compares alike.
        for seed, start, text in product(range(chosen.seeds), STEPS, TEXTS):
            wanted = {"start": start, "text": text, "steps": STEPS[start], "seed": seed}
            files = {"text": texts[text], "vocabulary_of": texts["half"]}
            add(wanted, "run", **(wanted | files))

    table: dict[tuple[str, str], list[dict]] = {}
    for row in rows:
        table.setdefault((row["start"], row["text"]), []).append(row)
    printed = []
    for (start, text), group in table.items():
        cells = []
        for name, factor in (("top1", 100), ("bits", 1)):
            for kind in heldout:
                values = [factor * row[f"{kind}_{name}"] for row in group]
                spread = stdev(values) if len(values) > 1 else 0
                cells.append(f"{mean(values):.2f} ± {spread:.2f}")
        printed.append([start, text, *cells, len(group)])
    columns = ["출발점", "글", "일반 top-1", "법률 top-1", "일반 비트", "법률 비트", "시드"]
    report("무엇을 더 읽힐 것인가", columns, printed, {"benchmark": "domain_text", "runs": rows})


if __name__ == "__main__":
    main(measure, untrained, run)
