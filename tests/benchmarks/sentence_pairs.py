"""Sentence pairs: `build_sentence_pairs` against the class of 2021, in seconds and in memory.

    python tests/benchmarks/sentence_pairs.py --corpus FILES

Both sides read the same file with the same vocabulary, each in a new process, taking turns. The
class comes from transformers 4.57.6, the last release line that has it, in an environment made on
the first run (build/benchmarks/).
"""

import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path
from statistics import median

from common import BUILD, Options, main, positive, report, run_side, write_text

from helpers import CourseError

BLOCK_SIZE = 128
VOCAB_SIZE = 16_000
GROWTH = 10, 200  # MB
# torch goes first and alone, so that pip weighs one of its large wheels only.
PACKAGES_2021 = "torch==2.13.0", "transformers==4.57.6"


def python_2021() -> Path:
    """Make the environment with transformers 4.57.6 where it is missing, and give its Python."""
    folder = BUILD / "transformers-4.57.6"
    python = folder / "bin" / "python"
    ready = folder / "ready"
    if not ready.exists():
        print("transformers 4.57.6 환경을 만듭니다. 몇 분 걸립니다.", file=sys.stderr, flush=True)
        venv.create(folder, clear=True, with_pip=True)
        for package in PACKAGES_2021:
            pip = [python, "-m", "pip", "install", "--quiet", package]
            if subprocess.run(pip).returncode:
                raise CourseError(
                    f"{package}을(를) 설치하지 못했습니다. 네트워크를 확인하고 다시 실행하십시오."
                )
        ready.touch()
    return python


def peak_memory() -> float:
    """Give the most memory this process has held so far, in MB."""
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def vocabulary(text: str, vocab: str) -> dict:
    """Learn a WordPiece vocabulary from `text` and write it as the `vocab.txt` both sides read."""
    from helpers.korean_pretraining.wordpiece import train_wordpiece

    pieces = train_wordpiece(text, VOCAB_SIZE).get_vocab()
    Path(vocab).write_text("\n".join(sorted(pieces, key=pieces.get)), encoding="utf-8")
    return {"pieces": len(pieces)}


def transformers_2021(text: str, vocab: str) -> dict:
    """Measure the 2021 class; it leaves a pickled cache beside `text`, which is removed."""
    from transformers import BertTokenizerFast, TextDatasetForNextSentencePrediction

    tokenizer = BertTokenizerFast(vocab_file=vocab, do_lower_case=False, strip_accents=False)
    before = peak_memory()
    start = time.perf_counter()
    pairs = TextDatasetForNextSentencePrediction(tokenizer, text, BLOCK_SIZE, overwrite_cache=True)
    seconds = time.perf_counter() - start
    peak = peak_memory()
    for cache in Path(text).parent.glob("cached_nsp_*"):
        cache.unlink()
    tokens = sum(len(pair["input_ids"]) for pair in pairs)
    return dict(seconds=seconds, before=before, peak=peak, pairs=len(pairs), tokens=tokens)


def ours(text: str, vocab: str) -> dict:
    """Measure `build_sentence_pairs` with an empty cache."""
    from helpers.korean_pretraining.sentence_pairs import build_sentence_pairs
    from helpers.korean_pretraining.wordpiece import wordpiece_tokenizer

    pieces = Path(vocab).read_text(encoding="utf-8").split("\n")
    tokenizer = wordpiece_tokenizer({piece: number for number, piece in enumerate(pieces)})
    before = peak_memory()
    with tempfile.TemporaryDirectory(dir=BUILD) as cache:
        start = time.perf_counter()
        pairs = build_sentence_pairs(text, tokenizer, BLOCK_SIZE, cache_dir=cache)
        seconds = time.perf_counter() - start
        peak = peak_memory()
        lengths = pairs.with_format("arrow")["input_ids"].combine_chunks().offsets
    return dict(
        seconds=seconds, before=before, peak=peak, pairs=len(pairs), tokens=lengths[-1].as_py()
    )


def measure() -> None:
    options = Options("문장 쌍을 2021년의 클래스와 나란히 만들어 시간과 메모리를 잽니다.")
    options.add_argument("--megabytes", type=positive(float), default=5, help="함께 읽을 MB입니다.")
    options.add_argument(
        "--growth",
        type=positive(float),
        nargs=2,
        default=GROWTH,
        help="우리 쪽 메모리를 견줄 두 MB입니다.",
    )
    options.add_argument("--rounds", type=positive(int), default=3, help="번갈아 재는 횟수입니다.")
    chosen = options.parse_args()
    if sys.platform == "win32":
        raise CourseError("이 측정은 Linux와 macOS에서만 됩니다. Windows에서는 WSL을 쓰십시오.")

    with tempfile.TemporaryDirectory(dir=BUILD) as folder:
        text, vocab = Path(folder, "corpus.txt"), Path(folder, "vocab.txt")
        size = write_text(chosen.corpus, text, chosen.megabytes) / 1e6
        run_side("vocabulary", text=text, vocab=vocab)
        sides = {"transformers_2021": python_2021(), "ours": sys.executable}
        runs = {name: [] for name in sides}
        for _ in range(chosen.rounds):
            for name, python in sides.items():
                runs[name].append(run_side(name, python=python, text=text, vocab=vocab))
        growth = []
        for megabytes in chosen.growth:
            megabytes = write_text(chosen.corpus, text, megabytes) / 1e6
            growth.append({"megabytes": megabytes, **run_side("ours", text=text, vocab=vocab)})

    result = {"benchmark": "sentence_pairs", "megabytes": size, "rounds": chosen.rounds}
    for name, measured in runs.items():
        seconds = median(run["seconds"] for run in measured)
        result[name] = {
            "seconds": seconds,
            "mb_per_second": size / seconds,
            "peak_mb": max(run["peak"] for run in measured),
            "peak_mb_before": max(run["before"] for run in measured),
            "pairs": measured[0]["pairs"],
            "tokens": measured[0]["tokens"],
        }
    old, new = (result[name] for name in sides)
    result["speed_ratio"] = new["mb_per_second"] / old["mb_per_second"]
    result["memory_ratio"] = new["peak_mb"] / old["peak_mb"]
    result["growth"] = [
        {"megabytes": g["megabytes"], "peak_mb": g["peak"], "seconds": g["seconds"]} for g in growth
    ]
    # A corpus smaller than the first size gives the same text twice, and no growth to speak of.
    small, large = growth
    grew = large["peak"] / small["peak"] - 1 if large["megabytes"] > small["megabytes"] else None
    result["peak_growth"] = grew

    def row(label: str, megabytes: float, seconds: float, peak: float, extra: str) -> list[str]:
        return [
            label,
            f"{megabytes:.2f}",
            f"{seconds:.2f}",
            f"{megabytes / seconds:.2f}",
            f"{peak:.0f}",
            extra,
        ]

    rows = [
        row(
            name,
            size,
            result[name]["seconds"],
            result[name]["peak_mb"],
            f"{result[name]['pairs']:,}",
        )
        for name in sides
    ]
    rows.append(
        ["비율", "", "", f"{result['speed_ratio']:.2f}배", f"{result['memory_ratio']:.2f}배", ""]
    )
    rows += [
        row("ours", g["megabytes"], g["seconds"], g["peak"], f"{g['pairs']:,}") for g in growth
    ]
    rows.append(
        ["최대 메모리의 증가", "", "", "", "텍스트 부족" if grew is None else f"{grew:+.0%}", ""]
    )
    columns = ["", "텍스트(MB)", "초", "MB/s", "최대 메모리(MB)", "문장 쌍"]
    report("문장 쌍 만들기", columns, rows, result)


if __name__ == "__main__":
    main(measure, vocabulary, transformers_2021, ours)
