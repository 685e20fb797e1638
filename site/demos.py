"""What the live demos load: the models as ONNX, and the course's questions as vectors.

Everything is made from `data/`; what a model's files have not changed is not made again.
"""

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
from transformers import AutoModel

from helpers import ROOT
from helpers.export import export, round_weights
from helpers.korean_pretraining.train import pretrain
from helpers.resources import DATA, data_files, load_model, load_tokenizer, model_folder
from helpers.similarity_chatbot import SentenceEncoder, course_chatbot

BERT, SENTENCE, LAW = "mini-bert-ko", "mini-sentence-ko", "mini-bert-ko-law"
TIME_MACHINE = DATA / "models" / BERT / "time_machine.json"
# Lesson 04, section 9: the embedded model after some more steps, on statutes alone.
LAW_SETTINGS = {"steps": 80, "learning_rate": 3e-4, "block_size": 64, "batch_size": 32, "seed": 0}


def write_demos(output: Path, work: Path, time_machine: Path = TIME_MACHINE) -> bool:
    """Write `models/` and `data/` below `output`; return whether there is a time machine.

    work: where models are kept between builds.
    """
    sources = {BERT: BERT, SENTENCE: SENTENCE, LAW: work / LAW}
    stamp = fingerprint(BERT)
    if not is_current(work / LAW, stamp):
        shutil.rmtree(work / LAW, ignore_errors=True)
        files = data_files("law-documents")
        tokenizer = load_tokenizer(BERT)
        pretrain(files, work / LAW, init_from=BERT, tokenizer=tokenizer, **LAW_SETTINGS)
        (work / LAW / "stamp").write_text(stamp)
    models, ignored = output / "models", shutil.ignore_patterns("stamp")
    for name, source in sources.items():
        exported = work / "exported" / name
        stamp = fingerprint(source)
        if not is_current(exported, stamp):
            shutil.rmtree(exported, ignore_errors=True)
            export(source, exported)
            (exported / "onnx" / "model.onnx").unlink()  # the browser loads int8
            (exported / "stamp").write_text(stamp)
        shutil.copytree(exported, models / name, dirs_exist_ok=True, ignore=ignored)
    data, chat = output / "data", work / "chat"
    stamp = fingerprint(SENTENCE, *sorted((DATA / "similarity_chatbot").glob("*.tsv")))
    if not is_current(chat, stamp):
        chat.mkdir(parents=True, exist_ok=True)
        write_chat(chat)
        (chat / "stamp").write_text(stamp)
    shutil.copytree(chat, data, ignore=ignored)
    if time_machine.exists():
        shutil.copy(time_machine, data / "time_machine.json")
    return time_machine.exists()


def fingerprint(model: str | Path, *others: Path) -> str:
    """A hash of everything that decides how a model's files come out, and of other files."""
    digest = hashlib.sha256((ROOT / "helpers" / "export.py").read_bytes())
    for path in others:
        digest.update(path.read_bytes())
    digest.update(json.dumps(LAW_SETTINGS).encode())
    for path in sorted(model_folder(model).glob("*")):
        if path.name in ("config.json", "model.safetensors", "tokenizer.json"):
            digest.update(path.read_bytes())
    return digest.hexdigest()


def is_current(folder: Path, stamp: str) -> bool:
    return (folder / "stamp").exists() and (folder / "stamp").read_text() == stamp


def write_chat(folder: Path) -> None:
    """chat.json (questions, answers, thresholds, a map of two axes) and vectors.bin, float32 rows.

    The vectors are those of the int8 model, which the browser uses too.
    """
    model = round_weights(load_model(AutoModel, SENTENCE))
    # In fp32: in bf16, which some processors have, they would not be the browser's.
    chatbot = course_chatbot(SentenceEncoder(model, load_tokenizer(SENTENCE), bf16=False))
    vectors = chatbot.vectors.astype("<f4")
    (folder / "vectors.bin").write_bytes(vectors.tobytes())
    mean = vectors.mean(axis=0)
    _, sizes, axes = np.linalg.svd(vectors - mean, full_matrices=False)
    axes = axes[:2] * np.sign(axes[:2].sum(axis=1, keepdims=True))  # the sign is anyone's choice
    points = (vectors - mean) @ axes.T
    chat = {
        "questions": chatbot.questions,
        "answers": chatbot.answers,
        "threshold": round(chatbot.threshold, 4),
        "ask_from": round(chatbot.ask_from, 4),
        "map": {
            "mean": rounded(mean),
            "axes": [rounded(axis) for axis in axes],
            "points": [rounded(point, 4) for point in points],
            "share": float((sizes[:2] ** 2).sum() / (sizes**2).sum()),
        },
    }
    text = json.dumps(chat, ensure_ascii=False, separators=(",", ":"))
    (folder / "chat.json").write_text(text, encoding="utf-8")


def rounded(values: np.ndarray, digits: int = 6) -> list[float]:
    return [round(float(value), digits) for value in values]
