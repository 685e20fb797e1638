"""Training step: `pretrain` against a plain BERT and a plain `Trainer`, in tokens per second.

    python tests/benchmarks/training_step.py --corpus FILES

4 layers of width 256, 20,000 pieces, batches of 32 x 128, the same sentence pairs; each side in a
new process, taking turns.
"""

import tempfile
import time
from pathlib import Path
from statistics import median

from common import BUILD, Options, main, positive, report, run_side, write_text

WARM_UP = 5  # steps before the clock starts: first calls allocate memory and choose kernels


def vocabulary(text: str, folder: str) -> dict:
    """Learn the 20,000 pieces both sides share."""
    import recipe_2021

    return recipe_2021.vocabulary(text, folder)


def plain(text: str, vocabulary: str, steps: int) -> dict:
    """Time the plain side: tokens without the padding, a pair's mean length on every row."""
    import recipe_2021
    from transformers import AutoTokenizer

    from helpers.korean_pretraining.sentence_pairs import build_sentence_pairs

    tokenizer = AutoTokenizer.from_pretrained(vocabulary)
    with tempfile.TemporaryDirectory(dir=BUILD) as folder:
        pairs = build_sentence_pairs(text, tokenizer, recipe_2021.BLOCK_SIZE, cache_dir=folder)
        _, stopwatch = recipe_2021.train(pairs, tokenizer, folder, WARM_UP + steps)
        length = sum(map(len, pairs["input_ids"])) / len(pairs)
    speed = steps * recipe_2021.BATCH_SIZE * length / stopwatch.seconds(WARM_UP)
    return {"tokens_per_second": speed, "pair_length": length}


def ours(text: str, vocabulary: str, steps: int) -> dict:
    """Time `pretrain`, with everything its Trainer does in a step; tokens as its log counts them.

    Its steps are of similar length each, so that the mean of all pairs would be the wrong count.
    """
    import recipe_2021
    from transformers import AutoTokenizer

    from helpers.korean_pretraining.train import pretrain

    stopwatch = recipe_2021.Stopwatch()
    with tempfile.TemporaryDirectory(dir=BUILD) as folder:
        run = pretrain(
            text,
            Path(folder, "model"),
            steps=WARM_UP + steps,
            tokenizer=AutoTokenizer.from_pretrained(vocabulary),
            hidden_size=recipe_2021.HIDDEN_SIZE,
            num_hidden_layers=recipe_2021.LAYERS,
            num_attention_heads=recipe_2021.HEADS,
            block_size=recipe_2021.BLOCK_SIZE,
            batch_size=recipe_2021.BATCH_SIZE,
            logging_steps=1,
            save_steps=WARM_UP + steps + 1,
            callbacks=[stopwatch],
        )
    tokens = sum(row["tokens"] for row in run.log[WARM_UP:])
    return {"tokens_per_second": tokens / stopwatch.seconds(WARM_UP)}


def matrix_peak() -> dict:
    """Measure the fastest of ten 4096 x 2048 x 2048 products
    in the number format `pretrain` computes in.
    """
    import torch

    from helpers.korean_pretraining.train import bf16_supported

    dtype = torch.bfloat16 if bf16_supported() else torch.float32
    device = "cuda" if torch.cuda.is_available() else "cpu"
    a = torch.randn(4096, 2048, device=device).to(dtype)
    b = torch.randn(2048, 2048, device=device).to(dtype)
    seconds = []
    for _ in range(10):
        start = time.perf_counter()
        (a @ b)[0, 0].item()  # item() waits for a GPU
        seconds.append(time.perf_counter() - start)
    return {"flops": 2 * 4096 * 2048 * 2048 / min(seconds), "dtype": str(dtype)}


def flops_per_position() -> float:
    """Count the arithmetic that one position of a batch needs, forward and backward."""
    import recipe_2021

    hidden, length = recipe_2021.HIDDEN_SIZE, recipe_2021.BLOCK_SIZE
    # A weight used in a matrix product costs 6 operations a position: a multiplication and an
    # addition forward, twice that backward (for the gradient of the input and of the weight).
    # A layer has 4 h^2 weights for attention (query, key, value, output) and 8 h^2 feed-forward.
    layer = 6 * 12 * hidden**2
    # Attention has no weights there, but two products with every other position: h multiplications
    # each, so 6 * 2 * length * h. Looking up embeddings, norms and activations are not counted.
    attention = 6 * 2 * length * hidden
    # The masked-LM head (h^2, then h times the vocabulary) is needed at the masked 15 % only. The
    # plain side computes it everywhere; that is waste, so both sides get the same count.
    head = 6 * 0.15 * (hidden**2 + hidden * recipe_2021.VOCAB_SIZE)
    pooler = 6 * hidden**2 / length  # once a sequence
    return recipe_2021.LAYERS * (layer + attention) + head + pooler


def measure() -> None:
    options = Options("학습 한 스텝을 기본 Trainer와 나란히 재어 초당 토큰 수를 견줍니다.")
    options.add_argument(
        "--megabytes", type=positive(float), default=5, help="쓸 텍스트의 MB입니다."
    )
    options.add_argument(
        "--steps", type=positive(int), default=30, help="한 번에 재는 스텝 수입니다."
    )
    options.add_argument("--rounds", type=positive(int), default=3, help="번갈아 재는 횟수입니다.")
    chosen = options.parse_args()

    runs = {"plain": [], "ours": [], "matrix_peak": []}
    with tempfile.TemporaryDirectory(dir=BUILD) as folder:
        text, tokenizer = Path(folder, "corpus.txt"), Path(folder, "vocabulary")
        write_text(chosen.corpus, text, chosen.megabytes)
        unused = run_side("vocabulary", text=text, folder=tokenizer)["unused"]
        job = {"text": text, "vocabulary": tokenizer, "steps": chosen.steps}
        for _ in range(chosen.rounds):
            for side in ("plain", "ours"):
                runs[side].append(run_side(side, **job))
            runs["matrix_peak"].append(run_side("matrix_peak"))

    peak = max(runs["matrix_peak"], key=lambda run: run["flops"])
    length = runs["plain"][0]["pair_length"]
    result = {"benchmark": "training_step", "rounds": chosen.rounds, "steps": chosen.steps}
    result |= {"unused_pieces": unused, "pair_length": length}
    result |= {"peak_gflops": peak["flops"] / 1e9, "peak_dtype": peak["dtype"]}
    for side in ("plain", "ours"):
        speed = median(run["tokens_per_second"] for run in runs[side])
        share = speed * flops_per_position() / peak["flops"]
        result[side] = {"tokens_per_second": speed, "share_of_peak": share}
    result["ratio"] = result["ours"]["tokens_per_second"] / result["plain"]["tokens_per_second"]
    rows = [
        [side, f"{result[side]['tokens_per_second']:,.0f}", f"{result[side]['share_of_peak']:.1%}"]
        for side in ("plain", "ours")
    ]
    rows.append(["비율", f"{result['ratio']:.2f}배", ""])
    columns = ["", "토큰/초 (패딩 제외)", "최대 연산 속도 대비"]
    title = f"학습 한 스텝 (행렬 곱의 최대 속도 {peak['flops'] / 1e9:.0f} GFLOP/s, {peak['dtype']})"
    report(title, columns, rows, result)


if __name__ == "__main__":
    main(measure, vocabulary, plain, ours, matrix_peak)
