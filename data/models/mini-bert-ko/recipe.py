"""How mini-bert-ko is made from its text; the weights that lie here are older, see README.md.

    python data/models/mini-bert-ko/recipe.py 8 wiki_*.txt.xz                     # minutes on a GPU
    python data/models/mini-bert-ko/recipe.py 300 wiki_*.txt.xz --batch-size 96   # minutes on a CPU

An interrupted run goes on with --resume. The model, in fp16, then lies in
work/mini-bert-ko/shipped.
"""

from pathlib import Path

import typer
from transformers import BertForPreTraining

from helpers.course import be_quiet
from helpers.korean_pretraining.run_folder import SETTINGS
from helpers.korean_pretraining.stages import Stage
from helpers.korean_pretraining.train import pretrain
from helpers.korean_pretraining.trainer import PrintLog
from helpers.resources import load_tokenizer

E5 = "intfloat/multilingual-e5-small"
WORK = Path("work/mini-bert-ko")


def main(
    minutes: float, files: list[Path], batch_size: int = 1024, e5: str = E5, resume: bool = False
) -> None:
    """Read for `minutes`; then take a tenth of
    that to take e5's sentence vectors as a second aim.
    """
    be_quiet("local")
    tokenizer = load_tokenizer("mini-bert-ko")
    common = {
        "tokenizer": tokenizer,
        "batch_size": batch_size,
        "optimizer": "muon",
        "mask_replace_prob": 1.0,
        "seed": 4,
    }
    WORK.mkdir(parents=True, exist_ok=True)
    read = pretrain(
        files,
        WORK / "read",
        minutes=minutes,
        init_from=e5,
        num_hidden_layers=6,
        learning_rate=1e-3,
        mlm_probability=0.3,
        final_mlm_probability=0.15,
        stages=[Stage(0.75, ("windows",), 64), Stage(0.25, ("pairs", "sentences"), 128)],
        compile=True,
        save_steps=500,
        resume=resume and (WORK / "read" / SETTINGS).exists(),
        time_machine=WORK / "time_machine.json",
        callbacks=[PrintLog()],
        **common,
    )
    taught = pretrain(
        files,
        WORK / "taught",
        minutes=minutes / 10,
        init_from=read.folder,
        learning_rate=2e-4,
        stages=[Stage(1.0, ("pairs", "sentences"), 128)],
        teacher=e5,
        teacher_prefix="query: ",
        teacher_sentences=20_000,
        resume=resume and (WORK / "taught" / SETTINGS).exists(),
        callbacks=[PrintLog()],
        **common,
    )
    model = BertForPreTraining.from_pretrained(taught.folder, use_safetensors=True)
    model.half().save_pretrained(WORK / "shipped")
    tokenizer.save_pretrained(WORK / "shipped")


if __name__ == "__main__":
    typer.run(main)
