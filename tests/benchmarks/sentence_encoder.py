"""Sentence encoder: `SentenceEncoder.encode` against the notes' loop and sentence-transformers.

    python tests/benchmarks/sentence_encoder.py --questions ChatbotData.csv

The same model and the same questions on every side, each in a new process, taking turns; loading
the model is not counted. sentence-transformers is fetched on the first run (build/benchmarks/) and
works with this environment's torch and transformers.
"""

import subprocess
import sys
import time
from pathlib import Path
from statistics import median

from common import BUILD, Options, main, positive, report, run_side

from helpers import CourseError

SENTENCE_TRANSFORMERS = "sentence-transformers==6.2.0"
FOLDER = BUILD / SENTENCE_TRANSFORMERS
COLUMNS = ("question", "Q")


def read_questions(file: str) -> list[str]:
    from helpers.similarity_chatbot import read_table

    rows = read_table(file)
    column = next((name for name in COLUMNS if name in rows[0]), None)
    if column is None:
        raise CourseError(
            f"'{file}'에 {' 또는 '.join(COLUMNS)} 열이 없습니다. 열 이름을 고치십시오."
        )
    return [row[column] for row in rows]


def timed(encode, questions: list[str]) -> dict:
    """Time one call after a short one, which makes what the first call prepares."""
    encode(questions[:64])
    start = time.perf_counter()
    vectors = encode(questions)
    return {"seconds": time.perf_counter() - start, "first": [float(x) for x in vectors[0]]}


def loop(questions: str, model: str) -> dict:
    """The notes' way: a sentence at a time, without gradients."""
    import numpy as np
    import torch
    from transformers import AutoModel

    from helpers.resources import load_model, load_tokenizer

    bert, tokenizer = load_model(AutoModel, model), load_tokenizer(model)

    @torch.no_grad()
    def encode(sentences: list[str]):
        vectors = []
        for sentence in sentences:
            inputs = tokenizer(sentence, truncation=True, max_length=128, return_tensors="pt")
            vectors.append(bert(**inputs).last_hidden_state[0].mean(0).numpy())
        return np.stack(vectors)

    return timed(encode, read_questions(questions))


def sentence_transformers(questions: str, model: str) -> dict:
    """sentence-transformers with mean pooling and its own defaults."""
    sys.path.insert(0, str(FOLDER))
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer

    from helpers.resources import model_folder

    # The files hold fp16, in which a CPU is slow; fp32 is what the loop computes in.
    kwargs = {"dtype": "float32"}
    bert = Transformer(str(model_folder(model)), max_seq_length=128, model_kwargs=kwargs)
    pooling = Pooling(bert.get_embedding_dimension(), "mean")
    encoder = SentenceTransformer(modules=[bert, pooling], device="cpu")
    return timed(lambda s: encoder.encode(s, show_progress_bar=False), read_questions(questions))


def ours(questions: str, model: str, bf16: bool | None = None) -> dict:
    from transformers import AutoModel

    from helpers.resources import load_model, load_tokenizer
    from helpers.similarity_chatbot import SentenceEncoder

    bert, tokenizer = load_model(AutoModel, model), load_tokenizer(model)
    encoder = SentenceEncoder(bert, tokenizer, bf16=bf16)
    return timed(encoder.encode, read_questions(questions)) | {"bf16": encoder.bf16}


def fetch_sentence_transformers() -> None:
    if not FOLDER.exists():
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", FOLDER]
        if subprocess.run([*pip, SENTENCE_TRANSFORMERS]).returncode:
            raise CourseError(
                f"{SENTENCE_TRANSFORMERS}을(를) 설치하지 못했습니다. 네트워크를 확인하십시오."
            )


def measure() -> None:
    import numpy as np

    from helpers.resources import data_path

    options = Options("문장 인코더를 노트의 반복문, sentence-transformers와 나란히 잽니다.")
    options.add_argument("--questions", type=Path, default=data_path("chatbot-pairs"))
    options.add_argument("--model", default="mini-sentence-ko")
    options.add_argument("--rounds", type=positive(int), default=3, help="번갈아 재는 횟수입니다.")
    chosen = options.parse_args()
    fetch_sentence_transformers()
    job = {"questions": chosen.questions.resolve(), "model": chosen.model}
    sides = {
        "loop": ("loop", {}),
        "sentence_transformers": ("sentence_transformers", {}),
        "ours_fp32": ("ours", {"bf16": False}),
        "ours": ("ours", {}),
    }
    runs = {name: [] for name in sides}
    for _ in range(chosen.rounds):
        for name, (side, extra) in sides.items():
            runs[name].append(run_side(side, **job, **extra))
    seconds = {name: median(run["seconds"] for run in runs[name]) for name in sides}
    first = {name: np.array(runs[name][0]["first"]) for name in sides}
    number = len(read_questions(chosen.questions))
    result = {"benchmark": "sentence_encoder", "sentences": number, "rounds": chosen.rounds}
    result |= {"bf16": runs["ours"][0]["bf16"], "seconds": seconds}
    result["ratio"] = {name: seconds[name] / seconds["ours"] for name in sides}
    result["cosine_to_loop"] = {
        name: float(v @ first["loop"] / np.linalg.norm(v) / np.linalg.norm(first["loop"]))
        for name, v in first.items()
    }
    rows = [
        [
            name,
            f"{seconds[name]:.2f}",
            f"{number / seconds[name]:,.0f}",
            f"{result['ratio'][name]:.2f}배",
            f"{result['cosine_to_loop'][name]:.5f}",
        ]
        for name in sides
    ]
    columns = ["", "초", "문장/초", "ours에 견준 시간", "loop와의 코사인"]
    report(f"문장 {number:,}개를 벡터로", columns, rows, result)


if __name__ == "__main__":
    main(measure, loop, sentence_transformers, ours)
