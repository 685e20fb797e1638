"""Relation extraction: the table of lesson 05, and its training beside the straightforward loop.

    python tests/benchmarks/relation_extraction.py                      # embedded sentences
    python tests/benchmarks/relation_extraction.py --klue train.json    # KLUE-RE
    python tests/benchmarks/relation_extraction.py --pretraining        # after masking entities
    python tests/benchmarks/relation_extraction.py --speed              # sentences per second, F1

The table's runs are appended to data/entity_bert/results.jsonl; only those that are missing are
computed. Every variant tries three learning rates with the first seed; the development file chooses
the rate, and in every run the epoch. A KLUE-RE file is split 70/10/20 with no pair of entities on
two sides; on it the MAIN variants train with the rate that our own sentences chose, unless
`--rates` names others. `--pretraining` reads on with whole entities or with as many single tokens
masked, before the same fine-tuning, and appends to data/entity_bert/pretraining.jsonl. The
straightforward loop pads to 128 tokens and computes in fp32; both sides train the same variant on
the same sentences, each in a process of its own, taking turns.
"""

import json
import random
import tempfile
import time
from itertools import product
from pathlib import Path
from statistics import mean, median, stdev

from common import BUILD, Options, main, positive, report, run_side

from helpers import ROOT

EMBEDDED = ROOT / "data" / "entity_bert"
FILES = ("train", "dev", "test")
KLUE_EPOCHS = 5
MASKINGS = ("none", "choose_chunks", "choose_tokens")
STEPS, SENTENCES = 200, 2016
VARIANT, MODEL = "entity_embedding", "mini-bert-ko"


def split_pairs(source: str, folder: Path, seed: int = 0) -> list[Path]:
    """Write train.json (70 %), dev.json (10 %) and test.json; no unordered pair of entity words and
    no sentence lies in two of them.
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
    borders = [0, *(round(share * len(groups)) for share in (0.7, 0.8, 1))]
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / f"{name}.json" for name in FILES]
    for file, start, stop in zip(files, borders, borders[1:], strict=False):
        chosen = set(groups[start:stop])
        part = [e for e in examples if find(keys(e)[0]) in chosen]
        file.write_text(json.dumps(part, ensure_ascii=False), encoding="utf-8")
    return files


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
    tokenizer = load_tokenizer(MODEL)
    model = load_model(
        EntityBert,
        MODEL,
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
        train, _, test = split_pairs(chosen.klue, BUILD / "klue_re")
        job = {"train": train, "test": test}
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


def pretrained(masking: str, seed: int, learning_rate: float) -> dict:
    """Read on with one way of masking; what is found again on held-out text, and relations."""
    from helpers.course import be_quiet
    from helpers.entity_bert import pretraining
    from helpers.entity_bert.evaluate import evaluate
    from helpers.entity_bert.train import Settings
    from helpers.resources import data_files, load_tokenizer

    be_quiet("local")
    files = data_files("korean-documents")
    text = [line for f in files for line in f.read_text(encoding="utf-8").splitlines() if line]
    random.Random(0).shuffle(text)
    rows = pretraining.chunk_rows(load_tokenizer(MODEL), text[:SENTENCES])
    heldout, learned = rows[::7], [row for n, row in enumerate(rows) if n % 7]
    choosers = {name: getattr(pretraining, name) for name in MASKINGS[1:]}
    with tempfile.TemporaryDirectory(dir=BUILD) as folder:
        start = folder if masking in choosers else MODEL
        if masking in choosers:
            pretraining.continue_pretraining(
                learned, choosers[masking], start, MODEL, STEPS, seed=seed
            )
        found = {n: pretraining.recovered(heldout, choose, start) for n, choose in choosers.items()}
        if masking not in choosers:
            return found
        train, dev, test = (EMBEDDED / f"{name}.json" for name in FILES)
        settings = Settings(learning_rate=learning_rate)
        options = {"dev_file": dev, "model": start, "settings": settings}
        result = evaluate(train, test, VARIANT, seed, **options)
    return found | {"micro_f1": result.micro_f1, "outcomes": result.outcomes}


def measure_pretraining(chosen) -> None:
    from helpers.entity_bert.results import PRETRAINING, best_rate, read_results
    from helpers.runs import append_run, read_runs, weights_of

    weights = weights_of(MODEL)
    own = [r for r in read_results(weights=weights) if r["data"] == "relation-sentences"]
    own = [run for run in own if run["variant"] == VARIANT]
    rate = best_rate(own)
    for seed, masking in product(range(chosen.seeds), chosen.variants or MASKINGS):
        key = {"weights": weights, "steps": STEPS, "masking": masking, "seed": seed}
        if not any(key.items() <= row.items() for row in read_runs(PRETRAINING, weights)):
            found = run_side("pretrained", masking=masking, seed=seed, learning_rate=rate)
            if masking == "none":  # the table's own runs
                (run,) = (r for r in own if (r["seed"], r["learning_rate"]) == (seed, rate))
                found |= {name: run[name] for name in ("micro_f1", "outcomes")}
            append_run(PRETRAINING, key | {"learning_rate": rate} | found)
    result = {"benchmark": "entity_pretraining", "runs": read_runs(PRETRAINING, weights)}
    rows = [
        [masking, *(f"{mean(r[name] for r in runs):.3f}" for name in MASKINGS[1:]), *f1(runs)]
        for masking in MASKINGS
        if (runs := [row for row in result["runs"] if row["masking"] == masking])
    ]
    columns = ["가린 것", "개체", "아무 토큰", "micro F1", "시드"]
    report("개체를 통째로 가리는 사전학습", columns, rows, result)


def f1(runs: list[dict]) -> tuple[str, int]:
    values = [run["micro_f1"] for run in runs]
    return f"{mean(values):.1f} ± {stdev(values) if len(values) > 1 else 0:.1f}", len(values)


def measure_table(chosen) -> None:
    from helpers.course import be_quiet
    from helpers.entity_bert.results import (
        RATES,
        best_rate,
        chosen_runs,
        read_results,
        run_missing,
    )
    from helpers.entity_bert.spans import MAIN, VARIANTS
    from helpers.entity_bert.train import Settings
    from helpers.runs import weights_of

    be_quiet("local")
    seeds, weights = range(chosen.seeds), weights_of(MODEL)
    if chosen.klue:
        files = split_pairs(chosen.klue, BUILD / "klue_re")
        settings = Settings(epochs=KLUE_EPOCHS)
        runs = [r for r in read_results(weights=weights) if r["data"] == "relation-sentences"]
        for variant in chosen.variants or MAIN:
            rates = chosen.rates or [best_rate([r for r in runs if r["variant"] == variant])]
            run_missing("klue-re-part", files, [variant], seeds, rates=rates, settings=settings)
    else:
        files = [EMBEDDED / f"{name}.json" for name in FILES]
        rates = chosen.rates or RATES
        run_missing("relation-sentences", files, chosen.variants or VARIANTS, seeds, rates=rates)
    table: dict[tuple[str, float, str], list[dict]] = {}
    for run in chosen_runs(read_results(weights=weights)):
        table.setdefault((run["data"], run["epochs"], run["variant"]), []).append(run)
    rows, result = [], {"benchmark": "relation_extraction", "runs": []}
    for (data, epochs, variant), runs in sorted(table.items()):
        cells = []
        for name in ("micro_f1", "auprc"):
            values = [run[name] for run in runs]
            spread = stdev(values) if len(values) > 1 else 0
            cells.append(f"{mean(values):.1f} ± {spread:.1f}")
        rows.append([data, f"{epochs:g}", variant, runs[0]["learning_rate"], *cells, len(runs)])
        result["runs"] += [{k: v for k, v in run.items() if k != "outcomes"} for run in runs]
    report(
        "관계 추출", ["데이터", "에폭", "방법", "학습률", "micro F1", "AUPRC", "시드"], rows, result
    )


def measure() -> None:
    options = Options(
        "5강의 결과표를 채우거나(기본값), 학습 속도를 소박한 반복문과 견줍니다.", corpus=False
    )
    options.add_argument("--klue", help="내장 문장 대신 쓸 KLUE-RE 형식의 파일. 7:1:2로 나눕니다.")
    options.add_argument(
        "--pretraining", action="store_true", help="개체를 가려 더 읽힌 뒤의 결과를 기록합니다."
    )
    options.add_argument("--variants", nargs="+", help="잴 방법입니다. 없으면 모두입니다.")
    options.add_argument("--rates", nargs="+", type=float, help="시험할 학습률. 없으면 셋입니다.")
    options.add_argument("--seeds", type=positive(int), default=3, help="시드의 수입니다.")
    options.add_argument("--speed", action="store_true", help="결과표 대신 속도를 잽니다.")
    options.add_argument("--rounds", type=positive(int), default=1, help="번갈아 재는 횟수입니다.")
    options.add_argument("--epochs", type=positive(float), default=5, help="속도를 잴 에폭 수.")
    options.add_argument("--batch-size", type=positive(int), default=16, help="배치의 크기.")
    chosen = options.parse_args()
    if chosen.pretraining:
        measure_pretraining(chosen)
    else:
        (measure_speed if chosen.speed else measure_table)(chosen)


if __name__ == "__main__":
    main(measure, ours, straightforward, pretrained)
