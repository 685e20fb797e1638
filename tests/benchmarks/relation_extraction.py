"""Relation extraction: the table of lesson 05, and its training beside the straightforward loop.

    python tests/benchmarks/relation_extraction.py                      # embedded sentences
    python tests/benchmarks/relation_extraction.py --klue train.json    # and KLUE-RE
    python tests/benchmarks/relation_extraction.py --speed              # sentences per second, F1

The table's runs are appended to data/entity_bert/results.jsonl; only those that are missing are
computed. A KLUE-RE file is split 80/20 with no pair of entities on both sides. On it every variant
trains on all sentences for one epoch, which takes two cores about two minutes, and the TELLING ones
for five as well, to see whether one epoch misleads. The straightforward loop pads to 128 tokens and
computes in fp32; both sides train the same variant on the same sentences, each in a process of its
own, taking turns.
"""

import json
import random
import time
from pathlib import Path
from statistics import mean, median, stdev

from common import BUILD, Options, main, positive, report, run_side

from helpers import ROOT

EMBEDDED = ROOT / "data" / "entity_bert"
TELLING = ["plain", "entity_embedding", "best"]
SHORT = 1  # epochs
VARIANT = "entity_embedding"


def split_pairs(source: str, folder: Path, share: float = 0.2, seed: int = 0) -> tuple[Path, Path]:
    """Write train.json and test.json; no unordered pair of entity words
    and no sentence lies in both.
    """
    from helpers.entity_bert.spans import ROLES, read_examples

    examples = read_examples(source)
    group: dict[str, str] = {}  # union-find over sentences and pairs

    def find(key: str) -> str:
        while group.setdefault(key, key) != key:
            key = group[key]
        return key

    def keys(example: dict) -> tuple[str, str]:
        words = sorted(example[role]["word"] for role in ROLES)
        return "pair " + "\n".join(words), "sentence " + example["sentence"]

    for example in examples:
        pair, sentence = keys(example)
        group[find(pair)] = find(sentence)
    groups = sorted({find(keys(example)[0]) for example in examples})
    random.Random(seed).shuffle(groups)
    held_out = set(groups[: round(share * len(groups))])
    folder.mkdir(parents=True, exist_ok=True)
    for name, side in (("train", False), ("test", True)):
        part = [e for e in examples if (find(keys(e)[0]) in held_out) == side]
        (folder / f"{name}.json").write_text(json.dumps(part, ensure_ascii=False), encoding="utf-8")
    return folder / "train.json", folder / "test.json"


def ours(train: str, test: str, epochs: float, batch_size: int) -> dict:
    """Train and measure as the lesson does; the clock counts the steps only."""
    from recipe_2021 import Stopwatch

    from helpers.course import be_quiet
    from helpers.entity_bert.metrics import label_names
    from helpers.entity_bert.spans import read_examples
    from helpers.entity_bert.train import Settings
    from helpers.entity_bert.train import train as train_model

    be_quiet("local")
    clock, examples, unseen = Stopwatch(), read_examples(train), read_examples(test)
    model, tokenizer = train_model(
        examples,
        VARIANT,
        labels=label_names(examples, unseen),
        settings=Settings(epochs=epochs, batch_size=batch_size),
        callbacks=[clock],
    )
    return measured(model, tokenizer, unseen, clock.seconds())


def straightforward(train: str, test: str, epochs: float, batch_size: int) -> dict:
    """The loop one writes first: every batch padded to 128 tokens, fp32,
    the library's attention.
    """
    import torch
    from transformers import get_linear_schedule_with_warmup

    from helpers.course import be_quiet, seed_everything
    from helpers.entity_bert.metrics import label_names
    from helpers.entity_bert.model import EntityBert
    from helpers.entity_bert.spans import read_examples
    from helpers.entity_bert.train import FASTER, WARMUP, Settings, encode_all, pad_batch
    from helpers.resources import load_model, load_tokenizer

    be_quiet("local")
    seed_everything(0)
    rate = Settings().learning_rate
    examples, unseen = read_examples(train), read_examples(test)
    labels = label_names(examples, unseen)
    tokenizer = load_tokenizer("mini-bert-ko")
    model = load_model(
        EntityBert,
        "mini-bert-ko",
        entity_variant=VARIANT,
        id2label=dict(enumerate(labels)),
        label2id={label: number for number, label in enumerate(labels)},
    ).train()
    rows = encode_all(tokenizer, examples, VARIANT, 128)
    for row, example in zip(rows, examples, strict=True):
        row["labels"] = labels.index(example["label"])
    new = [p for n, p in model.named_parameters() if not n.startswith("bert.")]
    groups = [{"params": model.bert.parameters()}, {"params": new, "lr": FASTER * rate}]
    optimizer = torch.optim.AdamW(groups, lr=rate, weight_decay=0.01)
    steps = int(epochs * -(-len(rows) // batch_size))
    schedule = get_linear_schedule_with_warmup(optimizer, int(WARMUP * steps), steps)
    start = time.perf_counter()
    for step in range(steps):
        place = step * batch_size % len(rows)
        if place < batch_size:
            random.Random(step).shuffle(rows)
        batch = pad_batch(rows[place : place + batch_size], tokenizer.pad_token_id, length=128)
        model(**batch).loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
    seconds = time.perf_counter() - start
    return measured(model.eval(), tokenizer, unseen, seconds)


def measured(model, tokenizer, unseen: list[dict], seconds: float) -> dict:
    from helpers.entity_bert.metrics import micro_f1
    from helpers.entity_bert.train import predict

    answers = predict(model, tokenizer, unseen).argmax(1)
    gold = [example["label"] for example in unseen]
    f1 = micro_f1(gold, [model.config.id2label[int(i)] for i in answers])
    return {"seconds": seconds, "micro_f1": f1}


def measure_speed(chosen) -> None:
    job = {"train": EMBEDDED / "train.json", "test": EMBEDDED / "test.json"}
    if chosen.klue:
        job = dict(zip(job, split_pairs(chosen.klue, BUILD / "klue_re"), strict=True))
    sentences = len(json.loads(Path(job["train"]).read_text(encoding="utf-8"))) * chosen.epochs
    runs = {"straightforward": [], "ours": []}
    for _ in range(chosen.rounds):
        for side, measured_runs in runs.items():
            measured_runs.append(
                run_side(side, **job, epochs=chosen.epochs, batch_size=chosen.batch_size)
            )
    result = {"benchmark": "relation_extraction_speed", "epochs": chosen.epochs}
    for side, measured_runs in runs.items():
        seconds = median(run["seconds"] for run in measured_runs)
        result[side] = {
            "sentences_per_second": sentences / seconds,
            "micro_f1": measured_runs[0]["micro_f1"],
        }
    old, new = (result[side] for side in runs)
    result["ratio"] = new["sentences_per_second"] / old["sentences_per_second"]
    rows = [
        [side, f"{result[side]['sentences_per_second']:.1f}", f"{result[side]['micro_f1']:.1f}"]
        for side in runs
    ]
    rows.append(["비율", f"{result['ratio']:.2f}배", ""])
    report("관계 추출의 학습 속도", ["", "문장/초", "micro F1"], rows, result)


def measure_table(chosen) -> None:
    from helpers.course import be_quiet
    from helpers.entity_bert.results import read_results, run_missing, weights_of
    from helpers.entity_bert.spans import VARIANTS
    from helpers.entity_bert.train import Settings

    be_quiet("local")
    seeds = range(chosen.seeds)
    if not chosen.only_klue:
        files = EMBEDDED / "train.json", EMBEDDED / "test.json"
        run_missing("relation-sentences", *files, chosen.variants or VARIANTS, seeds)
    if chosen.klue:
        files = split_pairs(chosen.klue, BUILD / "klue_re")
        variants = chosen.variants or list(VARIANTS)
        run_missing("klue-re-part", *files, variants, seeds, settings=Settings(epochs=SHORT))
        run_missing("klue-re-part", *files, [v for v in TELLING if v in variants], seeds)
    table: dict[tuple[str, float, str], list[dict]] = {}
    for run in read_results(weights=weights_of("mini-bert-ko")):
        table.setdefault((run["data"], run["epochs"], run["variant"]), []).append(run)
    rows, result = [], {"benchmark": "relation_extraction", "runs": []}
    for (data, epochs, variant), runs in sorted(table.items()):
        cells = []
        for name in ("micro_f1", "auprc"):
            values = [run[name] for run in runs]
            spread = stdev(values) if len(values) > 1 else 0
            cells.append(f"{mean(values):.1f} ± {spread:.1f}")
        rows.append([data, f"{epochs:g}", variant, *cells, len(runs)])
        result["runs"] += [{k: v for k, v in run.items() if k != "outcomes"} for run in runs]
    report("관계 추출", ["데이터", "에폭", "방법", "micro F1", "AUPRC", "시드"], rows, result)


def measure() -> None:
    options = Options(
        "5강의 결과표를 채우거나(기본값), 학습 속도를 소박한 반복문과 견줍니다.", corpus=False
    )
    options.add_argument("--klue", help="KLUE-RE 형식의 파일입니다. 8:2로 나누어 씁니다.")
    options.add_argument("--only-klue", action="store_true", help="내장 문장은 건너뜁니다.")
    options.add_argument("--variants", nargs="+", help="잴 방법입니다. 없으면 모두입니다.")
    options.add_argument("--seeds", type=positive(int), default=3, help="시드의 수입니다.")
    options.add_argument("--speed", action="store_true", help="결과표 대신 속도를 잽니다.")
    options.add_argument("--rounds", type=positive(int), default=1, help="번갈아 재는 횟수입니다.")
    options.add_argument("--epochs", type=positive(float), default=5, help="속도를 잴 에폭 수.")
    options.add_argument("--batch-size", type=positive(int), default=16, help="배치의 크기.")
    chosen = options.parse_args()
    (measure_speed if chosen.speed else measure_table)(chosen)


if __name__ == "__main__":
    main(measure, ours, straightforward)
