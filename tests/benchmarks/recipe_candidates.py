r"""Which change of the pretraining recipe helps? Each against the same base, at the same minutes.

    python tests/benchmarks/recipe_candidates.py --corpus FILES --heldout FILE --init-from FOLDER \
        --everyday FOLDER

A candidate changes one thing. Judged by bits per character on single held-out sentences; top-1
beside it. The runs are appended to build/benchmarks/recipe_candidates.jsonl; only those that are
missing are computed. The text of the last two is made as the recipe of mini-bert-ko makes it; they
are judged on everyday sentences (KorSTS dev) as well.
"""

import importlib.util
import json
import tempfile
from itertools import product
from pathlib import Path
from statistics import mean

from common import BUILD, Options, main, positive, report, run_side, write_text

from helpers import ROOT
from helpers.korean_pretraining.corpus import as_paths, read_documents

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
    "NSP in the last quarter": {"stages": WINDOWS},
    "single sentences at the end": {"stages": SINGLE},
    "compiled": {"compile": True},
    "without glosses": {"text": "without glosses"},
    "a twentieth of everyday language": {"text": "everyday"},
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
    from transformers import BertForMaskedLM

    from helpers.course import be_quiet
    from helpers.korean_pretraining.evaluate import masked_accuracy
    from helpers.korean_pretraining.stages import Stage
    from helpers.korean_pretraining.train import pretrain
    from helpers.resources import load_tokenizer
    from helpers.similarity_chatbot import read_table

    be_quiet("local")
    settings = BASE | CANDIDATES[candidate]
    if "stages" in settings:
        settings["stages"] = [
            Stage(share, tuple(kinds), n) for share, kinds, n in settings["stages"]
        ]
    if "text" in settings:
        corpus = text_of(settings.pop("text"), corpus, everyday)
    tokenizer = load_tokenizer(VOCABULARY)
    with tempfile.TemporaryDirectory(dir=BUILD) as folder:
        trained = pretrain(
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
        Path(folder, "spoken.txt").write_text(
            "\n".join(row["sentence1"] for row in sts) + "\n", encoding="utf-8"
        )
        spoken = masked_accuracy(
            model, tokenizer, Path(folder, "spoken.txt"), max_sentences=SENTENCES
        )
    return {
        "steps": trained.log[-1]["step"],
        "tokens": sum(row["tokens"] for row in trained.log),
        "bits_per_character": result.bits_per_character,
        "top1": result.top1,
        "everyday_bits_per_character": spoken.bits_per_character,
        "everyday_top1": spoken.top1,
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
                f"{mean(row['tokens'] for row in part):,.0f}",
            ]
        )
    columns = [
        "candidate",
        "bits per character",
        "between seeds",
        "top-1",
        "everyday, bits",
        "tokens",
    ]
    report(f"{chosen.minutes:g} minutes, {chosen.seeds} seeds", columns, table, {"rows": rows})


if __name__ == "__main__":
    main(measure, run)
