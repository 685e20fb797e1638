"""Fine-tuning: the log of lesson 06, and its training beside padding to the maximum in fp32.

    python tests/benchmarks/finetuning.py                                    # embedded data
    python tests/benchmarks/finetuning.py --real --nsmc FOLDER --korsts FOLDER \
        --klue-ner FILE --korquad FILE
    python tests/benchmarks/finetuning.py --speed    # examples per second, metric

The runs are appended to data/finetuning/results.jsonl; only those that are missing are computed. On
the embedded data: learning curves (the model, the same model untrained, the baseline), one model
for all tasks, and for each two, beside single models at equal steps. On real data: each task alone
and its baseline. NSMC and KorSTS are folders with their own split; of a KLUE-NER file the last
tenth, shuffled, is the test; KorQuAD is only tested on, after training on our own passages.
"""

import random
import time
from itertools import combinations
from pathlib import Path
from statistics import mean, stdev

from common import Options, main, positive, report, run_side

from helpers import CourseError

SIZES = (50, 100, 200)
LEAST = {"sentiment": 120, "similarity": 40, "entities": 40, "reading": 20}  # steps
RATES, RATE = (2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3), 2e-4
EPOCHS = 8  # as in the lesson
DEV = 300  # of the training reviews are trained on, the rest is the dev set
STEPS = 100  # of each task, alone or together with the others
PAIRED = ("sentiment", "similarity", "entities", "relation")  # reading takes minutes a pair
NSMC_EPOCHS, QUESTIONS = 1, 1000


def embedded() -> dict:
    """{task: (training examples, test examples)} of the course's own data."""
    from helpers.finetuning.data import read_data
    from helpers.finetuning.evaluate import TASKS

    names = {
        "sentiment": "sentiment-reviews",
        "similarity": "similarity-pairs",
        "entities": "entity-sentences",
        "reading": "reading-passages",
    }
    return {
        TASKS[task]: (
            read_data(TASKS[task], name, "train"),
            read_data(TASKS[task], name, "test"),
        )
        for task, name in names.items()
    }


def run_missing(
    data: str,
    tasks: dict,
    seed: int = 0,
    method: str = "bert",
    *,
    model: str = "mini-bert-ko",
    **options,
) -> dict:
    """One run of the log: the row it holds already, or a new one, appended when the run has ended.

    data: its name in the log. tasks: {task: (training examples, test examples)}, trained together
    if there are several. method: 'bert', 'untrained' or 'baseline'. options: as for
    `train_together`. A row is {"data", "method", "seed", "options", "weights", "tasks": {task:
    number of training examples}, "scores": {task: metrics}, "seconds"}.
    """
    from helpers.finetuning.baselines import BASELINES
    from helpers.finetuning.results import LOG, read_results
    from helpers.finetuning.train import train_together
    from helpers.runs import append_run, weights_of

    row = {"data": data, "method": method, "seed": seed, "options": options}
    row["weights"] = weights_of(model)
    row["tasks"] = {task.name: len(train) for task, (train, _) in tasks.items()}
    for old in read_results(weights=row["weights"]):
        if all(old[key] == value for key, value in row.items()):
            return old
    start = time.perf_counter()
    if method == "baseline":
        found = {task: BASELINES[task.name](*parts) for task, parts in tasks.items()}
    else:
        seen = {task: train for task, (train, _) in tasks.items()}
        tuned = train_together(seen, model, seed, untrained=method == "untrained", **options)
        found = {task: tuned[task.name].predict(test) for task, (_, test) in tasks.items()}
    row["scores"] = {
        task.name: {k: round(v, 4) for k, v in task.metrics(test, found[task]).items()}
        for task, (_, test) in tasks.items()
    }
    row["seconds"] = round(time.perf_counter() - start, 1)
    append_run(LOG, row)
    return row


def curves(chosen) -> None:
    """Every task from 50, 100, 200 and all examples;
    small sets are read more often, LEAST steps.
    """
    tasks = [item for item in embedded().items() if item[0].name in (chosen.tasks or LEAST)]
    for seed in range(chosen.seeds):
        for method in ("baseline", "bert", "untrained"):  # what is cut short compares alike
            for task, (train, test) in tasks:
                shuffled = random.Random(0).sample(train, len(train))
                for size in [n for n in SIZES if n < len(train)] + [len(train)]:
                    part = {task: (shuffled[:size], test)}
                    natural = task.settings.epochs * size / task.settings.batch_size
                    steps = max(LEAST[task.name], round(natural))
                    if method == "baseline":
                        run_missing("embedded", part, method=method)
                    else:
                        run_missing("embedded", part, seed, method, steps=steps)


def five_tasks() -> dict:
    """The four of `embedded` and lesson 05's relations."""
    from helpers.finetuning.relation import Relation
    from helpers.resources import data_path

    relation, folder = Relation(), data_path("relation-sentences")
    split = relation.read(folder / "train.json"), relation.read(folder / "test.json")
    return embedded() | {relation: split}


def together(chosen) -> None:
    """One model for five tasks beside five models: STEPS steps a task on either side."""
    tasks = five_tasks()
    for seed in range(chosen.seeds):
        for task, parts in tasks.items():
            run_missing("embedded", {task: parts}, seed, steps=STEPS, batch_size=16)
        total = {"steps": STEPS * len(tasks), "batch_size": 16}
        for temperature in (1.0, 2.0, 100.0):
            run_missing("embedded", tasks, seed, temperature=temperature, **total)


def pairs(chosen) -> None:
    """One model for each two tasks, STEPS steps each: which helps which."""
    tasks = [item for item in five_tasks().items() if item[0].name in (chosen.tasks or PAIRED)]
    for seed in range(chosen.seeds):
        for two in combinations(tasks, 2):
            options = {"steps": 2 * STEPS, "batch_size": 16, "temperature": 100.0}
            run_missing("embedded", dict(two), seed, **options)


def tune(chosen) -> None:
    """What is chosen on held-out training reviews: learning rate,
    frozen layers, layer-wise decay.
    """
    ((task, (reviews, _)),) = [item for item in embedded().items() if item[0].name == "sentiment"]
    shuffled = random.Random(0).sample(reviews, len(reviews))
    parts = {task: (shuffled[:DEV], shuffled[DEV:])}
    changes = [{"learning_rate": rate} for rate in RATES]
    changes += [{"learning_rate": RATE, "frozen_layers": frozen} for frozen in (3, 6)]
    changes += [{"learning_rate": RATE, "layer_decay": decay} for decay in (0.9, 0.7)]
    for seed in range(chosen.seeds):
        for change in changes:
            run_missing("embedded-dev", parts, seed, epochs=EPOCHS, **change)


PARTS = {"curves": curves, "tune": tune, "together": together, "pairs": pairs}


def real(chosen) -> None:
    """Each task on the public data, beside its baseline."""
    from helpers.finetuning.evaluate import TASKS

    parts, changes = {}, {}
    if chosen.klue_ner:
        examples = TASKS["entities"].read(chosen.klue_ner)
        random.Random(0).shuffle(examples)
        cut = len(examples) // 10
        parts["klue-ner-part"] = "entities", examples[cut:], examples[:cut]
    if chosen.nsmc:
        files = [Path(chosen.nsmc) / f"{split}.tsv" for split in ("train", "test")]
        parts["nsmc"] = "sentiment", *map(TASKS["sentiment"].read, files)
        changes["nsmc"] = {"epochs": NSMC_EPOCHS}
    if chosen.korsts:
        files = [Path(chosen.korsts) / f"sts-{split}.tsv" for split in ("train", "dev")]
        parts["korsts"] = "similarity", *map(TASKS["similarity"].read, files)
    if chosen.korquad:
        questions = TASKS["reading"].read(chosen.korquad)
        test = random.Random(0).sample(questions, min(QUESTIONS, len(questions)))
        (train,) = [train for task, (train, _) in embedded().items() if task.name == "reading"]
        parts["korquad"] = "reading", train, test
    if not parts:
        raise CourseError(
            "--real에는 --nsmc, --korsts, --klue-ner, --korquad 가운데 하나가 필요합니다."
        )
    for data, (name, train, test) in parts.items():
        run_missing(data, {TASKS[name]: (train, test)}, method="baseline")
        for seed in range(chosen.seeds):
            run_missing(data, {TASKS[name]: (train, test)}, seed, **changes.get(data, {}))


def ours(name: str, seed: int, epochs: float) -> dict:
    return timed(name, seed, {"epochs": epochs})


def padded(name: str, seed: int, epochs: float) -> dict:
    """Every batch padded to `max_length`, in 32 bits."""
    return timed(name, seed, {"epochs": epochs, "pad_to_max": True, "bf16": False})


def timed(name: str, seed: int, options: dict) -> dict:
    """Train on the embedded data; the clock counts the steps only."""
    from recipe_2021 import Stopwatch

    from helpers.course import be_quiet
    from helpers.finetuning.train import train

    be_quiet("local")
    clock = Stopwatch()
    ((task, (seen, unseen)),) = [item for item in embedded().items() if item[0].name == name]
    tuned = train(task, seen, seed=seed, callbacks=[clock], **options)
    rate = options["epochs"] * len(seen) / clock.seconds()
    return {"examples_per_second": rate, task.score: tuned.metrics(unseen)[task.score]}


def measure_speed(chosen) -> None:
    from helpers.finetuning.evaluate import TASKS

    rows, result = [], {"benchmark": "finetuning_speed"}
    for name in chosen.tasks or TASKS:
        job = {"name": name, "seed": 0, "epochs": chosen.epochs}
        sides = {side: run_side(side, **job) for side in ("padded", "ours")}
        speeds = [run["examples_per_second"] for run in sides.values()]
        scores = [run[TASKS[name].score] for run in sides.values()]
        rows.append([name, *(f"{s:.1f}" for s in speeds), f"{speeds[1] / speeds[0]:.2f}배"])
        rows[-1] += [f"{score:.3f}" for score in scores]
        result[name] = {**sides, "ratio": speeds[1] / speeds[0]}
    columns = ["과제", "채우고 fp32, 예/초", "ours, 예/초", "비율", "점수(fp32)", "점수(ours)"]
    report("미세 조정의 속도", columns, rows, result)


def show_log() -> None:
    from helpers.finetuning.results import read_results
    from helpers.runs import weights_of

    groups: dict[tuple, list[dict]] = {}
    for run in read_results(weights=weights_of("mini-bert-ko")):
        options = ", ".join(f"{key} {value:g}" for key, value in run["options"].items())
        for task, scores in run["scores"].items():
            key = (
                run["data"],
                " ".join(run["tasks"]),
                task,
                run["tasks"][task],
                run["method"],
                options,
            )
            groups.setdefault(key, []).append(scores)
    rows = []
    for key, runs in groups.items():
        cells = []
        for name in runs[0]:
            values = [run[name] for run in runs]
            cells.append(f"{name} {mean(values):.3f}")
            cells[-1] += f" ± {stdev(values):.3f}" if len(values) > 1 else ""
        rows.append(
            [*key[:1], "multi" if " " in key[1] else "", *key[2:], "\n".join(cells), len(runs)]
        )
    columns = ["데이터", "", "과제", "학습 예", "방법", "설정", "점수", "시드"]
    report("미세 조정", columns, rows, {"benchmark": "finetuning", "runs": len(rows)})


def measure() -> None:
    options = Options("6강의 기록을 채우거나(기본값), 학습 속도를 견줍니다.", corpus=False)
    options.add_argument(
        "--real", action="store_true", help="내장 데이터 대신 공개된 데이터를 잽니다."
    )
    options.add_argument("--nsmc", help="NSMC의 train.tsv와 test.tsv가 있는 폴더입니다.")
    options.add_argument("--korsts", help="KorSTS의 sts-train.tsv와 sts-dev.tsv가 있는 폴더입니다.")
    options.add_argument("--klue-ner", help="KLUE-NER 형식의 파일입니다. 9:1로 나누어 씁니다.")
    options.add_argument("--korquad", help="KorQuAD 1.0 형식의 파일입니다. 재는 데에만 씁니다.")
    options.add_argument("--tasks", nargs="+", help="과제의 이름. 없으면 모두입니다.")
    options.add_argument("--only", nargs="+", choices=PARTS, help="잴 부분. 없으면 모두입니다.")
    options.add_argument("--seeds", type=positive(int), default=1, help="시드의 수입니다.")
    options.add_argument("--speed", action="store_true", help="기록 대신 속도를 잽니다.")
    options.add_argument("--epochs", type=positive(float), default=2, help="속도를 잴 에폭 수.")
    chosen = options.parse_args()
    if chosen.speed:
        return measure_speed(chosen)
    from helpers.course import be_quiet

    be_quiet("local")
    if chosen.real:
        real(chosen)
    else:
        for part in chosen.only or PARTS:
            PARTS[part](chosen)
    show_log()


if __name__ == "__main__":
    main(measure, ours, padded)
