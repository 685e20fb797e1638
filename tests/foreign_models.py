"""Tiny random copies of the Korean models that learners bring: their files, config keys, ratios.

Only the numbers are small. Which files a folder holds, what its config says and how its weights are
named is as on the models' public pages, because that is what loading them depends on.
"""

import json
from pathlib import Path

import torch
import transformers

from helpers.resources import ORDINARY_KOREAN

TEXTS = (  # what the tests write; their letters are the vocabulary
    *ORDINARY_KOREAN,
    "배우의 연기가 정말 좋았다. 재미있고 따뜻한 영화이다.",
    "이야기가 지루하고 연기도 나빴다. 시간이 아까운 영화이다.",
    "이순신은 1545년에 한성에서 태어난 조선의 무신이다.",
    "주말에 부산의 시장에서 떡볶이를 사 먹었다. 비가 내려 집에 있다.",
    "어디가 수도인가? 언제 태어났는가? 누구입니까? 무엇을 먹었나요?",
)
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
KLUE_SPECIAL = ["[CLS]", "[PAD]", "[SEP]", "[UNK]", "[MASK]"]
SIZES = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_attention_heads": 2,
    "num_hidden_layers": 2,
    "hidden_act": "gelu",
    "hidden_dropout_prob": 0.1,
    "attention_probs_dropout_prob": 0.1,
    "initializer_range": 0.02,
}
BERT = {"architectures": ["BertForMaskedLM"], "layer_norm_eps": 1e-12, "pad_token_id": 0}
BERT |= {"model_type": "bert", "max_position_embeddings": 512, "type_vocab_size": 2}
ELECTRA = {**BERT, "model_type": "electra", "embedding_size": 16}
CASED = {"do_lower_case": False, "model_max_length": 512}


def vocabulary(special: list[str]) -> list[str]:
    letters = sorted({letter for text in TEXTS for letter in text if not letter.isspace()} | {"A"})
    endings = [f"##{letter}" for letter in letters if letter.isalnum()]
    return [*special, *letters, *"@#*+", *endings, "한국", "영화", "##이다", "##에서"]


def write(folder: Path, special: list[str], config: dict, **files: dict) -> Path:
    """Write vocab.txt, config.json, random weights as safetensors, and `files` as JSON."""
    folder.mkdir()
    pieces = list(dict.fromkeys(vocabulary(special)))
    (folder / "vocab.txt").write_text("\n".join(pieces) + "\n", encoding="utf-8")
    config = {**SIZES, **config, "vocab_size": len(pieces)}
    torch.manual_seed(0)
    cls = getattr(transformers, config["architectures"][0])
    cls(cls.config_class(**config)).save_pretrained(folder)  # its config.json is replaced
    (folder / "generation_config.json").unlink(missing_ok=True)
    for name, content in {"config": config, **files}.items():
        (folder / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")
    return folder


def klue_roberta(folder: Path) -> Path:
    """RoBERTa's encoder with BERT's tokenizer: one token type, positions from 2 on."""
    special = dict(
        zip(("cls_token", "pad_token", "sep_token", "unk_token"), KLUE_SPECIAL, strict=False)
    )
    special |= {"mask_token": "[MASK]", "bos_token": "[CLS]", "eos_token": "[SEP]"}
    config = {
        "architectures": ["RobertaForMaskedLM"],
        "model_type": "roberta",
        "layer_norm_eps": 1e-5,
    }
    config |= {"bos_token_id": 0, "pad_token_id": 1, "eos_token_id": 2, "type_vocab_size": 1}
    config |= {"max_position_embeddings": 514, "tokenizer_class": "BertTokenizer"}
    settings = {**CASED, **special, "tokenizer_class": "BertTokenizer", "strip_accents": None}
    return write(
        folder, KLUE_SPECIAL, config, tokenizer_config=settings, special_tokens_map=special
    )


def koelectra(folder: Path) -> Path:
    """The small discriminator: embeddings narrower than the layers, no head that fills masks."""
    config = {**ELECTRA, "architectures": ["ElectraForPreTraining"], "summary_type": "first"}
    return write(folder, SPECIAL, config, tokenizer_config=CASED)


def koelectra_generator(folder: Path) -> Path:
    config = {**ELECTRA, "architectures": ["ElectraForMaskedLM"]}
    return write(folder, SPECIAL, config, tokenizer_config=CASED)


def kcbert(folder: Path) -> Path:
    """Only vocab.txt, and 300 positions, which is no multiple of eight."""
    config = {**BERT, "max_position_embeddings": 300, "directionality": "bidi"}
    return write(folder, SPECIAL, {**config, "pooler_type": "first_token_transform"})


def kr_bert(folder: Path) -> Path:
    """Only vocab.txt."""
    return write(folder, SPECIAL, BERT)


def kobert(folder: Path) -> Path:
    """A SentencePiece vocabulary for a tokenizer class that is Python beside the model."""
    settings = {"tokenizer_class": "KoBertTokenizer", "do_lower_case": False}
    settings["auto_map"] = {"AutoTokenizer": ["tokenization_kobert.KoBertTokenizer", None]}
    write(folder, ["[UNK]", "[PAD]", "[CLS]", "[SEP]", "[MASK]"], {**BERT, "pad_token_id": 1})
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
    pieces = [*(f"▁{letter}" for letter in "한국어"), *"한국어"]
    (folder / "vocab.txt").write_text("\n".join(pieces) + "\n", encoding="utf-8")
    (folder / "tokenizer_78b3253a26.model").write_bytes(
        b"\n\x0e\n\x05<unk>\x15\x00\x00\x00\x00\x18\x02"
    )
    code = "from pathlib import Path\n\nPath(__file__).with_name('executed').touch()\n"
    (folder / "tokenization_kobert.py").write_text(code, encoding="utf-8")
    return folder


LAYOUTS = {
    make.__name__.replace("_", "-"): make
    for make in (klue_roberta, koelectra, koelectra_generator, kcbert, kr_bert)
}
