r"""Which change of the pretraining recipe helps? Each against the same base, at the same minutes.

    python tests/benchmarks/recipe_candidates.py --corpus FILES --heldout FILE --everyday FOLDER \
        --init-from FOLDER

A candidate changes one thing. Judged by bits per character on single
held-out sentences; beside it top-1, the bits of everyday sentences (KorSTS dev) and the rank
correlation of mean vectors there, which is what a teacher is for. The runs are appended to
build/benchmarks/recipe_candidates.jsonl; only those that are missing are computed. Text is changed
as the recipe of mini-bert-ko changes it. The teacher is the model given with --init-from.
"""

import importlib.util
import json
import tempfile
import time
from itertools import product
from pathlib import Path
from statistics import mean

import torch
from common import BUILD, Options, main, positive, report, run_side, write_text
from embedded_model import sentence_vectors
from scipy.stats import spearmanr
from transformers import BertForMaskedLM, TrainerCallback

from helpers import ROOT
from helpers.course import be_quiet
from helpers.korean_pretraining import train
from helpers.korean_pretraining.corpus import as_paths, read_documents
from helpers.korean_pretraining.evaluate import masked_accuracy
from helpers.korean_pretraining.sentence_vectors import SentenceVectorLoss
from helpers.korean_pretraining.stages import Stage
from helpers.resources import load_tokenizer
from helpers.similarity_chatbot import read_table

LOG = BUILD / "recipe_candidates.jsonl"
VOCABULARY = "mini-bert-ko"
SENTENCES = 3000
BASE = {
    "batch_size": 96,
    "block_size": 64,
    "learning_rate": 1e-3,
    "mlm_probability": 0.2,
    "num_hidden_layers": 6,
}
WINDOWS = [0.75, ["windows"], 64], [0.25, ["pairs"], 64]
SINGLE = [0.85, ["pairs"], 64], [0.15, ["sentences"], 64]
CANDIDATES = {
    "base": {},
    "all [MASK]": {"mask_replace_prob": 1.0},
    "masking 30 to 15 %": {"mlm_probability": 0.3, "final_mlm_probability": 0.15},
    "rate 2e-3": {"learning_rate": 2e-3},
    "batch 192": {"batch_size": 192},
    "batch 192, Muon": {"batch_size": 192, "optimizer": "muon"},
    "Muon": {"optimizer": "muon"},
    "batches of 48, 96, 192": {"batch_size": 48, "growing": True},
    "NSP in the last quarter": {"stages": WINDOWS},
    "single sentences at the end": {"stages": SINGLE},
    "compiled": {"compile": True},
    "without glosses": {"text": "without glosses"},
    "a twentieth of everyday language": {"text": "everyday"},
    "teacher, 12 sentences a step": {"taught": "always", "teacher_batch_size": 12},
    "teacher, 48 every fourth step": {"taught": "every fourth", "teacher_batch_size": 48},
    "teacher, 48 in the last quarter": {"taught": "late", "teacher_batch_size": 48},
}
RECIPE = ROOT / "data" / "models" / VOCABULARY / "recipe.py"


def text_of(kind: str, corpus: list, everyday: str) -> list[Path]:
    """The text of a candidate, written below build/ by the recipe's own functions."""
    spec = importlib.util.spec_from_file_location("recipe", RECIPE)
    recipe = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(recipe)
    recipe.WORK = BUILD / "recipe_candidates"
    (recipe.WORK / "text").mkdir(parents=True, exist_ok=True)
    if kind == "without glosses":
        return recipe.without_glosses([Path(file) for file in corpus])
    size = sum(len("\n".join(document).encode()) for document in read_documents(as_paths(corpus)))
    spoken = recipe.WORK / "twentieth.txt"
    write_text([recipe.everyday_language(Path(everyday))], spoken, size / 19 / 1e6)
    return [*map(Path, corpus), spoken]


class GrowingBatches(TrainerCallback):
    """Twice, then four times as many rows a step, from a third and from two thirds of the budget.

    The Trainer ends a step where the count of batches divides by the number of parts, so the number
    changes at such a place only.
    """

    def __init__(self, seconds: float):
        self.seconds, self.batches = seconds, 0

    def on_train_begin(self, args, state, control, **kwargs):
        self.started = time.monotonic()

    def on_substep_end(self, args, state, control, **kwargs):
        self.batches += 1

    def on_step_end(self, args, state, control, **kwargs):
        self.batches += 1
        progress = (time.monotonic() - self.started) / self.seconds
        parts = 1 + (progress > 1 / 3) + 2 * (progress > 2 / 3)
        if self.batches % parts == 0:
            args.gradient_accumulation_steps = parts


def taught_at_times(when: str, seconds: float) -> type[SentenceVectorLoss]:
    """Give a teacher that is asked in the last quarter, or at every fourth step, only."""

    class AtTimes(SentenceVectorLoss):
        def __call__(self, bert, step):
            self.started = getattr(self, "started", time.monotonic())
            late = time.monotonic() - self.started > 0.75 * seconds
            if when == "always" or (late if when == "late" else step % 4 == 0):
                return super().__call__(bert, step)
            return torch.zeros(())

    return AtTimes


def run(
    candidate: str,
    seed: int,
    minutes: float,
    corpus: list,
    heldout: str,
    init_from: str,
    everyday: str,
) -> dict:
    """Train one candidate and measure it."""
    be_quiet("local")
    settings = BASE | CANDIDATES[candidate]
    if "stages" in settings:
        settings["stages"] = [
            Stage(share, tuple(kinds), n) for share, kinds, n in settings["stages"]
        ]
    if "text" in settings:
        corpus = text_of(settings.pop("text"), corpus, everyday)
    if settings.pop("growing", None):
        settings["callbacks"] = [GrowingBatches(60 * minutes)]
    if when := settings.pop("taught", None):
        train.SentenceVectorLoss = taught_at_times(when, 60 * minutes)
        settings |= {"teacher": init_from, "teacher_prefix": "query: ", "teacher_sentences": 5000}
    tokenizer = load_tokenizer(VOCABULARY)
    with tempfile.TemporaryDirectory(dir=BUILD) as folder:
        trained = train.pretrain(
            corpus,
            Path(folder, "model"),
            minutes=minutes,
            init_from=init_from or None,
            tokenizer=tokenizer,
            seed=seed,
            logging_steps=1,
            save_steps=10**6,
            **settings,
        )
        model = BertForMaskedLM.from_pretrained(trained.folder)
        result = masked_accuracy(model, tokenizer, heldout, max_sentences=SENTENCES)
        sts = read_table(Path(everyday) / "korsts" / "sts-dev.tsv")
        firsts, seconds = ([row[name] for row in sts] for name in ("sentence1", "sentence2"))
        Path(folder, "spoken.txt").write_text("\n".join(firsts) + "\n", encoding="utf-8")
        spoken = masked_accuracy(
            model, tokenizer, Path(folder, "spoken.txt"), max_sentences=SENTENCES
        )
    vectors = [sentence_vectors(model.bert, tokenizer, side, "mean") for side in (firsts, seconds)]
    cosines = torch.cosine_similarity(*vectors).tolist()
    return {
        "steps": trained.log[-1]["step"],
        "tokens": sum(row["tokens"] for row in trained.log),
        "bits_per_character": result.bits_per_character,
        "top1": result.top1,
        "everyday_bits_per_character": spoken.bits_per_character,
        "everyday_top1": spoken.top1,
        "sts": spearmanr(cosines, [float(row["score"]) for row in sts]).statistic,
    }


def measure() -> None:
    parser = Options(__doc__)
    parser.add_argument("--heldout", required=True)
    parser.add_argument("--init-from", default="", help="출발 모델의 폴더. 없으면 빈 모델입니다.")
    parser.add_argument(
        "--everyday", required=True, help="chatbot, nsmc, korsts 폴더가 든 폴더입니다."
    )
    parser.add_argument("--minutes", type=positive(float), default=20)
    parser.add_argument("--seeds", type=positive(int), default=2)
    parser.add_argument("--only", nargs="+", choices=CANDIDATES, default=list(CANDIDATES))
    chosen = parser.parse_args()
    lines = LOG.read_text(encoding="utf-8").splitlines() if LOG.exists() else []
    known = [json.loads(line) for line in lines]
    rows = []
    for candidate, seed in product(chosen.only, range(chosen.seeds)):
        key = {"candidate": candidate, "seed": seed, "minutes": chosen.minutes}
        row = next((row for row in known if key.items() <= row.items()), None)
        if row is None:
            names = ("corpus", "heldout", "init_from", "everyday")
            row = key | run_side("run", **key, **{name: getattr(chosen, name) for name in names})
            with open(LOG, "a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
        rows.append(row)
    table = []
    for candidate in chosen.only:
        part = [row for row in rows if row["candidate"] == candidate]
        bits = [row["bits_per_character"] for row in part]
        table.append(
            [
                candidate,
                f"{mean(bits):.3f}",
                f"{max(bits) - min(bits):.3f}",
                f"{100 * mean(row['top1'] for row in part):.1f} %",
                f"{mean(row['everyday_bits_per_character'] for row in part):.3f}",
                f"{mean(row['sts'] for row in part):.3f}",
                f"{mean(row['tokens'] for row in part):,.0f}",
            ]
        )
    columns = [
        "candidate",
        "bits per character",
        "between seeds",
        "top-1",
        "everyday, bits",
        "KorSTS",
        "tokens",
    ]
    report(f"{chosen.minutes:g} minutes, {chosen.seeds} seeds", columns, table, {"rows": rows})


if __name__ == "__main__":
    main(measure, run)
