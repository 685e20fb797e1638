"""How mini-sentence-ko was made; FILES is a folder with ParaKQC, KorSTS and songys/Chatbot_data."""

import random
from pathlib import Path

from transformers import AutoModel, AutoTokenizer

from helpers.korean_pretraining.sentence_vectors import teacher_vectors
from helpers.resources import DATA
from helpers.similarity_chatbot import load_sentence_encoder, read_table, train_contrastive

FILES, E5 = Path("..."), "intfloat/multilingual-e5-small"

lines = (FILES / "parakqc/paraKQC_part.txt").read_text(encoding="utf-8").splitlines()
sentences = [line.split("\t")[-1] for line in lines]
paraphrases = [sentences[i : i + 10] for i in range(0, len(sentences), 10)]
sts = {part: read_table(FILES / f"korsts/sts-{part}.tsv") for part in ("train", "dev")}
chat = read_table(FILES / "chatbot/ChatbotData.csv", "Q", "A")

never = {sentence for group in paraphrases[3::4] for sentence in group}
never |= {row[f"sentence{i}"] for row in sts["dev"] for i in (1, 2)}
for file, column in {"qa": "question", "queries": "query", "unanswerable": "query"}.items():
    never |= {row[column] for row in read_table(DATA / f"similarity_chatbot/{file}.tsv")}

groups = [group for i, group in enumerate(paraphrases) if i % 4 != 3]
pairs = [[row["sentence1"], row["sentence2"]] for row in sts["train"] if float(row["score"]) >= 4]
groups, pairs = ([[s for s in g if s not in never] for g in part] for part in (groups, pairs))
groups, pairs = ([g for g in part if len(set(g)) > 1] for part in (groups, pairs))
texts = {sentence for group in groups + pairs for sentence in group}
texts |= {row[f"sentence{i}"] for row in sts["train"] for i in (1, 2)}
texts |= {row[column] for row in chat for column in ("Q", "A")}
texts = sorted(text for text in texts - never if len(text) <= 45)

e5 = AutoModel.from_pretrained(E5), AutoTokenizer.from_pretrained(E5)
teacher = dict(zip(texts, teacher_vectors(texts, *e5, "query: ").numpy(), strict=True))

encoder = load_sentence_encoder("mini-bert-ko")
together = groups * 12 + pairs * 2 + [[text] for text in texts]
random.Random(0).shuffle(together)
encoder = train_contrastive(
    encoder, together, steps=200, learning_rate=2e-4, dropout=0, teacher=teacher,
    teacher_weight=10, max_length=32,
)  # fmt: skip
encoder = train_contrastive(
    encoder, groups * 4 + pairs, steps=60, learning_rate=1e-4, dropout=0, teacher=teacher,
    teacher_weight=10, max_length=32,
)  # fmt: skip
encoder.save(DATA / "models/mini-sentence-ko")
