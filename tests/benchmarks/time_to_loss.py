"""Time to the loss of 2021: how long `pretrain` takes to where the old recipe is after 15 minutes.

    python tests/benchmarks/time_to_loss.py --minutes 15 --corpus FILES --heldout FILES

Three runs, one after another, each in a new process, on the same text with the same vocabulary: the
recipe of 2021 for M minutes; ours from scratch with a budget of M / 3; ours from a warm start with
a budget of M / 10. Ours reports the first moment at which its loss on held-out text is as low.
"""

import tempfile
from pathlib import Path

from common import BUILD, Options, main, positive, report, run_side, write_text

from helpers import ROOT, CourseError
from helpers.korean_pretraining.corpus import read_documents

BUDGETS = {"scratch": 1 / 3, "warm": 1 / 10}  # of the minutes of 2021: the goals to reach


def vocabulary(text: str, folder: str) -> dict:
    """Learn the 20,000 pieces all runs share: new ones, so
    that the warm start has to transfer its own.
    """
    import recipe_2021

    return recipe_2021.vocabulary(text, folder)


def heldout_loss(model, tokenizer, heldout: list[str], sentences: int) -> float:
    """Give the masked-LM loss on at most that many held-out sentences, in nats;
    the same masks for every model.
    """
    from helpers.korean_pretraining.evaluate import masked_accuracy

    return masked_accuracy(model, tokenizer, heldout, max_sentences=sentences).loss


def recipe(
    text: str, vocabulary: str, heldout: list[str], sentences: int, minutes: float,
    calibration: int,
    learning_rate: float,
) -> dict:  # fmt: skip
    """Train the recipe of 2021 for about `minutes` and give its loss."""
    import recipe_2021
    from transformers import AutoTokenizer

    from helpers.korean_pretraining.sentence_pairs import build_sentence_pairs

    tokenizer = AutoTokenizer.from_pretrained(vocabulary)
    with tempfile.TemporaryDirectory(dir=BUILD) as folder:
        pairs = build_sentence_pairs(text, tokenizer, recipe_2021.BLOCK_SIZE, cache_dir=folder)
        # Its schedule counts steps, so the minutes are turned into steps first.
        _, stopwatch = recipe_2021.train(pairs, tokenizer, folder, calibration)
        first = calibration // 4  # slower than the rest
        seconds_per_step = stopwatch.seconds(first) / (calibration - first)
        steps = max(1, round(60 * minutes / seconds_per_step))
        model, stopwatch = recipe_2021.train(pairs, tokenizer, folder, steps, learning_rate)
    loss = heldout_loss(model, tokenizer, heldout, sentences)
    return {
        "minutes": stopwatch.seconds() / 60,
        "steps": steps,
        "loss": loss,
        "learning_rate": learning_rate,
    }


def ours(
    text: str, vocabulary: str, heldout: list[str], sentences: int, minutes: float, goal: float,
    snapshots: int, init_from: str | None, layers: int | None,
) -> dict:  # fmt: skip
    """Train with a budget of `minutes`; evaluate its snapshots when the clock has stopped,
    until one reaches `goal`.
    """
    import recipe_2021
    from transformers import AutoTokenizer, BertForPreTraining

    from helpers.korean_pretraining.train import pretrain

    class Snapshots(recipe_2021.Stopwatch):
        """Keeps the weights at the start, at even intervals and at the end;
        writing them is on the clock.
        """

        def __init__(self, folder: Path):
            self.folder, self.taken = folder, []

        def take(self, model):
            self.taken.append(
                (self.seconds() / 60, len(self.ends) - 1, self.folder / str(len(self.taken)))
            )
            model.save_pretrained(self.taken[-1][-1])

        def on_train_begin(self, args, state, control, model=None, **kwargs):
            super().on_train_begin(args, state, control)
            self.take(model)

        def on_step_end(self, args, state, control, model=None, **kwargs):
            super().on_step_end(args, state, control)
            if self.seconds() / 60 >= len(self.taken) * minutes / snapshots:
                self.take(model)

        def on_train_end(self, args, state, control, model=None, **kwargs):
            self.take(model)

    tokenizer = AutoTokenizer.from_pretrained(vocabulary)
    curve = []
    with tempfile.TemporaryDirectory(dir=BUILD) as folder:
        kept = Snapshots(Path(folder, "snapshots"))
        pretrain(
            text,
            Path(folder, "model"),
            minutes=minutes,
            tokenizer=tokenizer,
            init_from=init_from,
            hidden_size=recipe_2021.HIDDEN_SIZE,
            num_hidden_layers=layers or recipe_2021.LAYERS,
            num_attention_heads=recipe_2021.HEADS,
            block_size=recipe_2021.BLOCK_SIZE,
            batch_size=recipe_2021.BATCH_SIZE,
            save_steps=10**7,
            callbacks=[kept],
        )
        for moment, steps, snapshot in kept.taken:
            model = BertForPreTraining.from_pretrained(snapshot, use_safetensors=True)
            loss = heldout_loss(model, tokenizer, heldout, sentences)
            curve.append({"minutes": moment, "steps": steps, "loss": loss})
            if loss <= goal:
                return {"reached": True, **curve[-1], "budget": minutes, "curve": curve}
    return {"reached": False, **curve[-1], "budget": minutes, "curve": curve}


def measure() -> None:
    options = Options("2021년의 방법이 정한 시간에 이른 손실까지 얼마나 걸리는지 잽니다.")
    law = ROOT / "data" / "korean_pretraining" / "law" / "law.txt"
    options.add_argument(
        "--heldout",
        nargs="+",
        default=[law],
        metavar="FILE",
        help="학습에 쓰지 않은 텍스트 파일입니다. 기본값은 내장 법률 문서입니다.",
    )
    options.add_argument(
        "--init-from",
        default=ROOT / "data" / "models" / "mini-bert-ko",
        metavar="DIR",
        help="이어받을 모델의 폴더입니다.",
    )
    options.add_argument(
        "--init-layers", type=positive(int), default=4, help="이어받을 층의 수입니다."
    )
    options.add_argument(
        "--minutes", type=positive(float), default=15, help="2021년의 방법에 줄 분입니다."
    )
    options.add_argument(
        "--recipe-rate",
        type=positive(float),
        default=5e-5,
        help="2021년의 방법이 쓸 학습률입니다. 기본값은 그때의 값입니다.",
    )
    options.add_argument(
        "--megabytes", type=positive(float), default=20, help="쓸 텍스트의 MB입니다."
    )
    options.add_argument(
        "--sentences", type=positive(int), default=2000, help="평가할 문장 수입니다."
    )
    options.add_argument(
        "--calibration",
        type=positive(int),
        default=20,
        help="분을 스텝 수로 바꾸려고 먼저 재는 스텝 수입니다.",
    )
    options.add_argument(
        "--snapshots", type=positive(int), default=30, help="평가할 시점의 수입니다."
    )
    chosen = options.parse_args()
    # Asked now, not after the first 15 minutes.
    if not Path(chosen.init_from, "model.safetensors").is_file():
        raise CourseError(
            f"'{chosen.init_from}'에 model.safetensors가 없습니다. --init-from에 모델의 폴더를 "
            "주십시오."
        )
    if not sum(1 for _ in read_documents(chosen.heldout)):
        raise CourseError("평가할 문장이 없습니다. --heldout에 문장이 든 텍스트 파일을 주십시오.")

    with tempfile.TemporaryDirectory(dir=BUILD) as folder:
        text, tokenizer = Path(folder, "corpus.txt"), Path(folder, "vocabulary")
        size = write_text(chosen.corpus, text, chosen.megabytes) / 1e6
        unused = run_side("vocabulary", text=text, folder=tokenizer)["unused"]
        job = {"text": text, "vocabulary": tokenizer, "heldout": [*map(str, chosen.heldout)]}
        job["sentences"] = chosen.sentences
        runs = {
            "recipe_2021": run_side(
                "recipe",
                **job,
                minutes=chosen.minutes,
                calibration=chosen.calibration,
                learning_rate=chosen.recipe_rate,
            )
        }
        starts = {
            "scratch": {"init_from": None, "layers": None},
            "warm": {"init_from": chosen.init_from, "layers": chosen.init_layers},
        }
        for name, share in BUDGETS.items():
            budget = {"minutes": share * chosen.minutes, "snapshots": chosen.snapshots}
            goal = runs["recipe_2021"]["loss"]
            runs[name] = run_side("ours", **job, **budget, goal=goal, **starts[name])

    result = {"benchmark": "time_to_loss", "megabytes": size, "unused_pieces": unused, **runs}
    rows = []
    for name, run in runs.items():
        share = (
            run["minutes"] / runs["recipe_2021"]["minutes"] if run.get("reached", True) else None
        )
        result[name]["share"] = share
        rows.append(
            [
                name,
                f"{run['minutes']:.2f}",
                f"{run['steps']:,}",
                f"{run['loss']:.3f}",
                "이르지 못함" if share is None else f"{share:.3f}",
            ]
        )
    columns = ["", "분", "스텝", "손실", "2021년 대비 시간"]
    report("2021년의 방법이 이른 손실까지 걸린 시간", columns, rows, result)


if __name__ == "__main__":
    main(measure, vocabulary, recipe, ours)
