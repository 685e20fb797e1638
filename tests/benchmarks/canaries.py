"""Planted secrets, three times over: the curve and the defences of lesson 03 with other seeds.

    python tests/benchmarks/canaries.py
    python tests/benchmarks/canaries.py --seeds 1 --noises 0 0.1      # fewer runs

A seed makes other secrets, another background and another training, so that the spread between
seeds holds all three; within a seed every defence reads the same text, so that defences are
compared in pairs. The runs are appended to data/mask_attack/canaries.jsonl, one row a seed and
defence; only those that are missing are computed.
"""

import random
import tempfile
from pathlib import Path
from statistics import mean, stdev

from common import BUILD, Options, main, positive, report, run_side

from helpers import ROOT

LOG = ROOT / "data" / "mask_attack" / "canaries.jsonl"
MODEL = "mini-bert-ko"
SIZES = "secret_sentences", "secrets_each", "candidates", "passes", "membership_others"
NOISES = 0, 0.1, 1  # more than the lesson has time for
PLAIN, EARLY = "막지 않음", "일찍 멈춤"


def planted(seed: int, sizes: dict) -> tuple[list, list[str], list[str]]:
    """The canaries of a seed, the text with them in it, and other sentences of the same kind."""
    from helpers.mask_attack.exposure import make_canaries, plant
    from helpers.resources import data_files

    files = data_files("law-documents")
    lines = [line for f in files for line in f.read_text(encoding="utf-8").splitlines() if line]
    random.Random(seed).shuffle(lines)
    count = sizes["secret_sentences"]
    canaries = make_canaries(sizes["repetitions"], sizes["secrets_each"], seed)
    return canaries, plant(lines[:count], canaries, seed), lines[count:]


def train(arm: str, noise: float | None, seed: int, sizes: dict) -> dict:
    """Learn the text of a seed in one way and measure: {defence: row}. Plainly gives two rows."""
    from transformers import BertForMaskedLM

    from helpers.course import be_quiet
    from helpers.mask_attack import exposure, learn
    from helpers.resources import load_model, load_tokenizer

    be_quiet("local")
    tokenizer, untrained = load_tokenizer(MODEL), load_model(BertForMaskedLM, MODEL).eval()
    canaries, text, heldout = planted(seed, sizes)
    sentences = {
        "중복 제거": list(dict.fromkeys(text)),
        "패턴으로 가림": [exposure.redact(sentence) for sentence in text],
    }.get(arm, text)
    rows = {}

    def watch(model, step: int) -> None:
        if EARLY not in rows:
            rows[EARLY] = {"steps": step} | measured(model.eval())
            model.train()

    def measured(model) -> dict:
        return result_of(model, untrained, tokenizer, canaries, heldout, seed, sizes)

    model, steps = learn.learn(
        MODEL,
        tokenizer,
        sentences,
        passes=sizes["passes"],
        way=None if noise is None else learn.clipped(noise),
        watch=watch if arm == PLAIN else None,
        seed=seed,
    )
    row = {"steps": steps} | measured(model)
    if noise is not None:
        epsilon = learn.epsilon_of(noise, steps, len(text), 0.01 / len(text))
        row["epsilon"] = epsilon if noise else None  # JSON has no infinity
    return {arm: row} | rows


def result_of(model, untrained, tokenizer, canaries, heldout, seed: int, sizes: dict) -> dict:
    """Exposure and AUC by repetitions, secrets spelled out, and accuracy on other sentences."""
    from helpers.korean_pretraining.evaluate import masked_accuracy
    from helpers.mask_attack import exposure, membership

    frame = exposure.measure_exposure(
        model,
        tokenizer,
        canaries,
        reference=untrained,
        candidates=sizes["candidates"],
        seed=seed,
    )
    means = frame.groupby("repetitions")["exposure"].mean()
    others = exposure.unseen_canaries(canaries, sizes["membership_others"], seed)
    sentences = [canary.sentence for canary in (*canaries, *others)]
    scores = membership.membership_scores(model, untrained, tokenizer, sentences)["ratio"]
    count = [canary.repetitions for canary in canaries]
    unseen = scores[len(canaries) :]
    found = {
        str(n): membership.roc(
            [scores[i] for i, repetitions in enumerate(count) if repetitions == n], unseen, draws=0
        )
        for n in sorted(set(count))  # 0 is the control: about a half
    }
    with tempfile.TemporaryDirectory(dir=BUILD) as folder:
        path = Path(folder, "heldout.txt")
        path.write_text("\n".join(heldout[:200]) + "\n", encoding="utf-8")
        before, top1 = (masked_accuracy(m, tokenizer, path).top1 for m in (untrained, model))
    return {
        "exposure": {str(n): float(value) for n, value in means.items()},
        "secrets": frame[["kind", "repetitions", "exposure", "extracted"]].values.tolist(),
        "auc": {n: row["AUC"] for n, row in found.items()},
        "tpr": {n: row["TPR"] for n, row in found.items()},
        "extracted": int(frame["extracted"].sum()),
        "top1": top1,
        "top1_before": before,
    }


def measure() -> None:
    from helpers.course import lesson_table
    from helpers.runs import append_run, read_runs, weights_of

    table = lesson_table("mask_attack", "local")[2]
    options = Options("3강의 비밀을 다른 시드로 심고 막아 봅니다.", corpus=False)
    options.add_argument("--seeds", type=positive(int), default=3, help="시드의 수입니다.")
    options.add_argument(
        "--noises", type=float, nargs="*", default=NOISES, help="DP-SGD의 잡음입니다."
    )
    options.add_argument(
        "--repetitions",
        type=int,
        nargs="+",
        default=table["repetitions"],
        help="되풀이 횟수입니다.",
    )
    for name in SIZES:
        kind, flag = positive(type(table[name])), "--" + name.replace("_", "-")
        options.add_argument(flag, type=kind, default=table[name], help=f"기본값 {table[name]}.")
    options.add_argument("--log", type=Path, default=LOG, help="결과를 더할 파일입니다.")
    chosen = options.parse_args()
    sizes = {name: getattr(chosen, name) for name in (*SIZES, "repetitions")}
    key = {"weights": weights_of(MODEL), "sizes": sizes}
    arms = {PLAIN: None, "중복 제거": None, "패턴으로 가림": None}
    arms |= {f"자르기, 잡음 {noise:g}" if noise else "자르기만": noise for noise in chosen.noises}

    def known() -> list[dict]:
        rows = read_runs(chosen.log, key["weights"])
        return [row for row in rows if key.items() <= row.items()]

    for seed in range(chosen.seeds):  # all defences of a seed first: a table cut short is in pairs
        for arm, noise in arms.items():
            done = {row["arm"] for row in known() if row["seed"] == seed}
            if arm in done and (arm != PLAIN or EARLY in done):
                continue
            found = run_side("train", arm=arm, noise=noise, seed=seed, sizes=sizes)
            for name, row in found.items():
                if name not in done:
                    append_run(chosen.log, key | {"seed": seed, "arm": name} | row)

    most, rows = str(max(chosen.repetitions)), known()
    printed = []
    for arm in dict.fromkeys(row["arm"] for row in rows):
        group = [row for row in rows if row["arm"] == arm]
        cells = []
        for values in ([r["exposure"][most] for r in group], [100 * r["top1"] for r in group]):
            spread = stdev(values) if len(values) > 1 else 0
            cells.append(f"{mean(values):.2f} ± {spread:.2f}")
        printed.append([arm, *cells, len(group)])
    columns = ["방어", f"{most}번의 노출도", "새 글 top-1(%)", "시드"]
    report("심은 비밀", columns, printed, {"benchmark": "canaries", "runs": rows})


if __name__ == "__main__":
    main(measure, train)
