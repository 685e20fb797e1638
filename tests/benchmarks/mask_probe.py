"""Cloze probing: `probe` in batches against the fill-mask pipeline, prompt by prompt.

    python tests/benchmarks/mask_probe.py

Both sides answer the prompts of data/mask_attack with the five likeliest tokens, each in a new
process, taking turns; the pipeline is called once a prompt, as in the lecture. The answers are
compared, order included.
"""

import time
from statistics import median

from common import Options, main, positive, report, run_side

TOP_K = 5


def prompts_of(limit: int | None) -> list[str]:
    from helpers.mask_attack.probe import cloze, read_table

    return cloze(read_table("facts"), read_table("templates"))["prompt"].tolist()[:limit]


def load(model: str):
    from transformers import BertForMaskedLM

    from helpers.resources import load_model, load_tokenizer

    return load_model(BertForMaskedLM, model), load_tokenizer(model)


def one_by_one(model: str, limit: int | None) -> dict:
    """The pipeline, called with one prompt at a time."""
    from transformers import pipeline

    network, tokenizer = load(model)
    fill = pipeline("fill-mask", model=network, tokenizer=tokenizer, top_k=TOP_K)
    prompts = prompts_of(limit)
    fill(prompts[0])  # what the first call sets up is not on the clock
    start = time.perf_counter()
    answers = [[answer["token_str"] for answer in fill(prompt)] for prompt in prompts]
    return {"seconds": time.perf_counter() - start, "answers": answers}


def batched(model: str, limit: int | None) -> dict:
    """`probe` with all prompts; what is glued to a mask stays
    as the tokenizer cuts it, as in the pipeline.
    """
    from helpers.mask_attack.probe import probe

    network, tokenizer = load(model)
    prompts = prompts_of(limit)
    probe(network, tokenizer, prompts[:1], glued=False)
    start = time.perf_counter()
    frame = probe(network, tokenizer, prompts, top_k=TOP_K, glued=False)
    seconds = time.perf_counter() - start
    ids = [tokenizer.convert_tokens_to_ids(list(tokens)) for tokens in frame["tokens"]]
    return {"seconds": seconds, "answers": [[tokenizer.decode([i]) for i in row] for row in ids]}


def measure() -> None:
    options = Options(
        "빈칸 질문을 파이프라인에 하나씩 넣을 때와 묶어서 넣을 때를 견줍니다.", corpus=False
    )
    options.add_argument("--model", default="mini-bert-ko", help="모델의 이름이나 폴더입니다.")
    options.add_argument("--prompts", type=positive(int), help="질문의 수. 없으면 모두입니다.")
    options.add_argument("--rounds", type=positive(int), default=3, help="번갈아 재는 횟수입니다.")
    chosen = options.parse_args()
    runs = {"one_by_one": [], "batched": []}
    for _ in range(chosen.rounds):
        for side, done in runs.items():
            done.append(run_side(side, model=chosen.model, limit=chosen.prompts))
    slow, fast = (median(run["seconds"] for run in done) for done in runs.values())
    expected, got = (done[0]["answers"] for done in runs.values())
    same = sum(a == b for a, b in zip(expected, got, strict=True))
    result = {
        "benchmark": "mask_probe",
        "prompts": len(got),
        "one_by_one_seconds": slow,
        "batched_seconds": fast,
        "speed_ratio": slow / fast,
        "same_answers": same,
    }
    rows = [
        ["pipeline, 하나씩", f"{slow:.2f}", f"{len(got) / slow:.0f}", ""],
        ["probe, 묶어서", f"{fast:.2f}", f"{len(got) / fast:.0f}", f"{same}/{len(got)}"],
        ["비율", f"{slow / fast:.1f}배", "", ""],
    ]
    report("빈칸 질문", ["", "초", "질문/초", "같은 답"], rows, result)


if __name__ == "__main__":
    main(measure, one_by_one, batched)
