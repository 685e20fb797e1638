"""What the hub and GitHub hold for `full`, made here, small, in the real file formats.

The texts are the embedded ones; bert-base-multilingual-cased has its exact shape (119,547 pieces,
178 million
parameters, the names of 2018's checkpoint) and random weights.
"""

import csv
import dataclasses
import json
import sys
from pathlib import Path
from urllib.parse import urlsplit

from helpers import resources
from helpers.finetuning.entities import read_entities, tags_of
from helpers.korean_pretraining.corpus import read_documents
from helpers.resources import CATALOGUE, Resource, sha256
from helpers.similarity_chatbot import read_table

PIECES = 119_547
LABELS = (  # KLUE-RE's, in its order
    "no_relation org:dissolved org:founded org:place_of_headquarters org:alternate_names "
    "org:member_of org:members org:political/religious_affiliation org:product org:founded_by "
    "org:top_members/employees org:number_of_employees/members "
    "per:date_of_birth per:date_of_death per:place_of_birth "
    "per:place_of_death per:place_of_residence per:origin per:employee_of per:schools_attended "
    "per:alternate_names per:parents per:children per:siblings per:spouse per:other_family "
    "per:colleagues per:product per:religion per:title"
).split()


def commit_folder(root: Path, name: str) -> Path:
    """Where Hub looks for the pinned commit of this line of the catalogue."""
    entry = CATALOGUE[name]
    owner, repository = entry.url.removeprefix("hub:").split("/")[:2]
    kind = "models" if entry.kind == "model" else "datasets"
    folder = root / kind / owner / repository / entry.revision
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def write_multilingual_bert(root: Path, **shape: int) -> None:
    """The files of google-bert/bert-base-multilingual-cased; `shape` makes it smaller."""
    import torch
    from safetensors.torch import save_file
    from transformers import BertConfig, BertForPreTraining, BertTokenizerFast

    folder = commit_folder(root, "bert-base-multilingual-cased")
    vocab = pieces()
    (folder / "vocab.txt").write_text("".join(f"{piece}\n" for piece in vocab), encoding="utf-8")
    tokenizer = BertTokenizerFast(vocab=str(folder / "vocab.txt"), do_lower_case=False)
    tokenizer.backend_tokenizer.save(str(folder / "tokenizer.json"))
    write_json(folder / "tokenizer_config.json", {"do_lower_case": False, "model_max_length": 512})
    torch.manual_seed(0)
    config = BertConfig(vocab_size=len(vocab), **shape)
    model = BertForPreTraining(config)
    names = {"LayerNorm.weight": "LayerNorm.gamma", "LayerNorm.bias": "LayerNorm.beta"}
    weights = {}
    for name, tensor in model.state_dict().items():
        for new, old in names.items():
            name = name.replace(new, old)
        if not name.startswith("cls.predictions.decoder"):  # the decoder is the word embeddings
            weights[name] = tensor.contiguous()
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    settings = {
        "architectures": ["BertForMaskedLM"],
        "model_type": "bert",
        "vocab_size": len(vocab),
    }
    write_json(folder / "config.json", settings | {"pad_token_id": 0} | shape)
    for name in ("README.md", "pytorch_model.bin", "tf_model.h5", "flax_model.msgpack"):
        (folder / name).write_bytes(b"not to be downloaded")


def pieces() -> list[str]:
    """119,547 pieces, [UNK] to [MASK] at 100 to 103 as in the original; Korean is read by syllables
    and pieces.
    """
    korean = (resources.DATA / "models/mini-bert-ko/vocab.txt").read_text(encoding="utf-8").split()
    letters = [chr(code) for code in range(sys.maxunicode) if chr(code).isalpha()]
    letters = letters[: PIECES // 3]
    syllables = [chr(code) for code in range(ord("가"), ord("힣") + 1)]
    specials = [
        "[PAD]",
        *(f"[unused{n}]" for n in range(1, 100)),
        "[UNK]",
        "[CLS]",
        "[SEP]",
        "[MASK]",
    ]
    words = [*specials, *korean, *syllables, *(f"##{letter}" for letter in syllables), *letters]
    words = list(dict.fromkeys(words))
    return words + [f"##filler{n}" for n in range(PIECES - len(words))]


def write_klue(root: Path, name: str, columns: dict, rows: dict[str, list[dict]]) -> None:
    """One folder of klue/klue: classes as numbers, their names in the file's own metadata."""
    import datasets

    folder = commit_folder(root, name) / name.removeprefix("klue-")
    folder.mkdir()
    features = datasets.Features(columns)
    for split, part in (("train", rows["train"]), ("validation", rows["test"])):
        datasets.Dataset.from_list(part, features=features).to_parquet(
            folder / f"{split}-00000-of-00001.parquet"
        )


def write_klue_re(root: Path) -> None:
    from datasets import ClassLabel, Value

    folder = resources.data_path("relation-sentences")
    rows = {s: json.loads((folder / f"{s}.json").read_text("utf-8")) for s in ("train", "test")}
    entity = {"word": "string", "start_idx": "int32", "end_idx": "int32", "type": "string"}
    entity = {name: Value(kind) for name, kind in entity.items()}
    columns = {"guid": Value("string"), "sentence": Value("string"), "subject_entity": entity}
    columns |= {
        "object_entity": entity,
        "label": ClassLabel(names=LABELS),
        "source": Value("string"),
    }
    write_klue(root, "klue-re", columns, rows)


def write_klue_sts(root: Path) -> None:
    from datasets import ClassLabel, Value

    rows = {"train": [], "test": []}
    for number, pair in enumerate(read_table(resources.data_path("similarity-pairs"))):
        score = float(pair["score"])
        row = {"guid": f"klue-sts_{number}", "source": "made here"}
        row |= {name: pair[name] for name in ("sentence1", "sentence2")}
        row["labels"] = {
            "label": round(score, 1),
            "real-label": score,
            "binary-label": int(score >= 3),
        }
        if pair["split"] in rows:
            rows[pair["split"]].append(row)
    labels = {"label": Value("float64"), "real-label": Value("float64")}
    labels["binary-label"] = ClassLabel(names=["negative", "positive"])
    columns = dict.fromkeys(("guid", "source", "sentence1", "sentence2"), Value("string"))
    write_klue(root, "klue-sts", columns | {"labels": labels}, rows)


def write_klue_ner(root: Path) -> None:
    from datasets import ClassLabel, List, Value

    kinds = ("DT", "LC", "OG", "PS", "QT", "TI")
    tags = [f"{begin}-{kind}" for kind in kinds for begin in "BI"] + ["O"]
    rows = {}
    for split in ("train", "test"):
        examples = read_entities(resources.data_path("entity-sentences") / f"entities_{split}.tsv")
        rows[split] = [
            {
                "sentence": example["text"],
                "tokens": list(example["text"]),
                "ner_tags": tags_of(len(example["text"]), example["entities"]),
            }
            for example in examples
        ]
    columns = {"sentence": Value("string"), "tokens": List(Value("string"))}
    write_klue(root, "klue-ner", columns | {"ner_tags": List(ClassLabel(names=tags))}, rows)


def write_klue_mrc(root: Path) -> None:
    from datasets import List, Value

    rows = {"train": [], "test": []}
    table = json.loads(resources.data_path("reading-passages").read_text("utf-8"))
    for article in table["data"]:
        for passage in article["paragraphs"]:
            for question in passage["qas"]:
                answers = question["answers"]
                row = {"title": article["title"], "context": passage["context"]}
                row |= {"news_category": "", "source": "made here", "guid": question["id"]}
                row |= {"is_impossible": not answers, "question_type": 1}
                row["question"] = question["question"]
                row["answers"] = {
                    "answer_start": [answer["answer_start"] for answer in answers],
                    "text": [answer["text"] for answer in answers],
                }
                if article["split"] in rows:
                    rows[article["split"]].append(row)
    texts = ("title", "context", "news_category", "source", "guid", "question")
    columns = dict.fromkeys(texts, Value("string"))
    columns |= {"is_impossible": Value("bool"), "question_type": Value("int32")}
    columns["answers"] = {"answer_start": List(Value("int32")), "text": List(Value("string"))}
    write_klue(root, "klue-mrc", columns, rows)


def write_wikipedia(root: Path) -> None:
    """wikimedia/wikipedia's folder 20231101.ko: three files of articles with headings, lists."""
    import pandas

    folder = commit_folder(root, "korean-wikipedia") / "20231101.ko"
    folder.mkdir()
    articles = [
        {
            "id": str(number),
            "url": f"https://ko.wikipedia.org/wiki/{number}",
            "title": str(number),
            "text": "\n\n".join([" ".join(sentences), "같이 보기", "* 목록", "각주"]),
        }
        for number, sentences in enumerate(read_documents(resources.data_files("korean-documents")))
    ]
    for part in range(3):
        table = pandas.DataFrame(articles[part::3])
        table.to_parquet(folder / f"train-{part:05d}-of-00003.parquet", index=False)


def plain_file(root: Path, name: str) -> Path:
    """Where Hub looks for a resource that is no repository of the hub."""
    file = root / "files" / urlsplit(CATALOGUE[name].url).path.lstrip("/")
    file.parent.mkdir(parents=True, exist_ok=True)
    return file


def write_chatbot_data(root: Path) -> None:
    """songys/Chatbot_data's table: columns Q, A and label, with commas and quotes."""
    pairs = read_table(resources.data_path("chatbot-pairs"), "question", "answer")
    with plain_file(root, "chatbot-data").open("w", encoding="utf-8", newline="") as stream:
        table = csv.writer(stream, lineterminator="\n")
        table.writerow(["Q", "A", "label"])
        table.writerows([pair["question"], pair["answer"], n % 3] for n, pair in enumerate(pairs))


def write_nsmc(root: Path) -> None:
    """e9t/nsmc's two tables: tabs, a number before each review."""
    reviews = read_table(resources.data_path("sentiment-reviews"), "text", "label")
    for split in ("train", "test"):
        lines = ["id\tdocument\tlabel"]
        for number, review in enumerate(reviews):
            if review["split"] == split:
                lines.append(f"{number}\t{review['text']}\t{review['label']}")
        text = "\n".join(lines) + "\n"
        plain_file(root, f"nsmc-{split}").write_text(text, encoding="utf-8")


def moved(root: Path, address: str) -> dict[str, Resource]:
    """The catalogue's lines outside the hub, as if `address` were the server they are on."""
    lines = {}
    for entry in CATALOGUE.values():
        if entry.url and not entry.url.startswith("hub:"):
            url, digest = address + urlsplit(entry.url).path, sha256(plain_file(root, entry.name))
            lines[entry.name] = dataclasses.replace(entry, url=url, sha256=digest)
    return lines


def write_json(path: Path, value: dict) -> None:
    path.write_text(json.dumps(value, indent=2), encoding="utf-8")


def write_all(root: Path, **shape: int) -> None:
    """Everything that `full` downloads."""
    write_multilingual_bert(root, **shape)
    write_klue_re(root)
    write_klue_sts(root)
    write_klue_ner(root)
    write_klue_mrc(root)
    write_wikipedia(root)
    write_chatbot_data(root)
    write_nsmc(root)
