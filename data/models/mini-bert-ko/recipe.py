"""How mini-bert-ko was made from its text.

    python data/models/mini-bert-ko/recipe.py 4500 wiki_*.txt.xz --everyday FOLDER \
        --start mini-bert-ko --batch-size 128 --learning-rate 1e-3 --optimizer muon
    python data/models/mini-bert-ko/recipe.py 8000 wiki_*.txt.xz --everyday FOLDER \
        --batch-size 1024 --optimizer muon            # from e5 on a GPU; not tried yet

The first command made the weights that lie here, on two CPU cores with bf16, from its own former
weights, which are in the history.

FOLDER holds songys/Chatbot_data, NSMC and KorSTS, their training parts alone. An interrupted run
goes on when the same command is given again. The model, in fp16, then lies in
work/mini-bert-ko/shipped.
"""

import random
import re
import zlib
from pathlib import Path
from typing import Annotated

import typer
from transformers import BertForPreTraining

from helpers import similarity_chatbot
from helpers.course import be_quiet
from helpers.examples import read_table
from helpers.korean_pretraining.corpus import read_documents
from helpers.korean_pretraining.run_folder import SETTINGS
from helpers.korean_pretraining.stages import Stage
from helpers.korean_pretraining.train import pretrain
from helpers.korean_pretraining.trainer import PrintLog
from helpers.resources import load_tokenizer

E5 = "intfloat/multilingual-e5-small"
WORK = Path("work/mini-bert-ko")

# Brackets that hold Chinese, Latin, Greek, Cyrillic or Japanese letters, or nothing but dates:
# `(世宗, 1397년 ~ 1450년)`. A model that reads them everywhere answers `)` when it is unsure.
GLOSS = re.compile(
    r"\s?\((?=[^()]*[A-Za-zÀ-ɏͰ-ӿ぀-ヿ㐀-鿿]|[\s\d년월일~\-–—∼·,.?/세기경전후]+\))[^()]*\)"
)


def without_glosses(files: list[Path]) -> list[Path]:
    """Copy the text; three documents of four lose their glosses."""
    folder = WORK / "text"
    folder.mkdir(parents=True, exist_ok=True)
    copies = [folder / f"{file.name.removesuffix('.xz')}" for file in files]
    for file, copy in zip(files, copies, strict=True):
        documents = []
        for document in read_documents(file):
            if zlib.crc32(document[0].encode()) % 4:
                document = [re.sub(r"\(\s*\)", "", GLOSS.sub("", line)) for line in document]
            documents.append("\n".join(document))
        copy.write_text("\n\n".join(documents) + "\n", encoding="utf-8")
    return copies


def everyday_language(folder: Path) -> Path:
    """Write everyday sentences as documents of about 60 pieces: two exchanges, or three lines."""
    chat = similarity_chatbot.read_table(folder / "chatbot" / "ChatbotData.csv", "Q", "A")
    reviews, _ = read_table(folder / "nsmc" / "train.tsv", ("text",), "label")
    pairs, _ = read_table(folder / "korsts" / "sts-train.tsv", ("sentence1", "sentence2"), "score")
    exchanges = [[row["Q"], row["A"]] for row in chat]
    lines = [row["text"] for _, row in reviews]
    lines += [row[name] for _, row in pairs for name in ("sentence1", "sentence2")]
    draw = random.Random(0)
    draw.shuffle(exchanges)
    draw.shuffle(lines)
    documents = [sum(exchanges[i : i + 2], []) for i in range(0, len(exchanges), 2)]
    documents += [lines[i : i + 3] for i in range(0, len(lines), 3)]
    draw.shuffle(documents)
    file = WORK / "everyday.txt"
    file.write_text("\n\n".join("\n".join(d) for d in documents) + "\n", encoding="utf-8")
    return file


def spoken_and_written(text: list[Path]) -> Path:
    """Write everyday language and the first file of Wikipedia, about as many sentences of each."""
    file = WORK / "teacher.txt"
    parts = [part.read_text(encoding="utf-8") for part in (text[-1], text[0])]
    file.write_text("\n".join(parts), encoding="utf-8")
    return file


def main(
    steps: int,
    files: list[Path],
    everyday: Annotated[Path, typer.Option()],
    start: str = E5,
    e5: str = E5,
    batch_size: int = 64,
    learning_rate: float = 7e-4,
    optimizer: str = "adamw",
    taught_steps: int = 900,
) -> None:
    """Read for `steps`; then for `taught_steps` with e5's sentence vectors as a second aim."""
    be_quiet("local")
    WORK.mkdir(parents=True, exist_ok=True)
    tokenizer = load_tokenizer("mini-bert-ko")
    text = [*without_glosses(sorted(files)), everyday_language(everyday)]
    common = {"tokenizer": tokenizer, "batch_size": batch_size, "mask_replace_prob": 1.0, "seed": 4}
    read = pretrain(
        text,
        WORK / "read",
        steps=steps,
        init_from=start,
        num_hidden_layers=6,
        learning_rate=learning_rate,
        optimizer=optimizer,
        mlm_probability=0.3,
        final_mlm_probability=0.15,
        stages=[Stage(0.75, ("windows",), 64), Stage(0.25, ("pairs", "sentences"), 128)],
        save_steps=50,
        resume=(WORK / "read" / SETTINGS).exists(),
        time_machine=WORK / "time_machine.json",
        callbacks=[PrintLog()],
        **common,
    )
    taught = pretrain(
        text,
        WORK / "taught",
        steps=taught_steps,
        init_from=read.folder,
        learning_rate=3e-4,
        stages=[Stage(1.0, ("pairs", "sentences"), 128)],
        teacher=e5,
        teacher_prefix="query: ",
        teacher_corpus=str(spoken_and_written(text)),
        teacher_sentences=20_000,
        teacher_batch_size=64,
        resume=(WORK / "taught" / SETTINGS).exists(),
        callbacks=[PrintLog()],
        **common,
    )
    model = BertForPreTraining.from_pretrained(taught.folder, use_safetensors=True)
    model.half().save_pretrained(WORK / "shipped")
    tokenizer.save_pretrained(WORK / "shipped")


if __name__ == "__main__":
    typer.run(main)
