"""A model and the tokenizer that belongs to it."""

from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from helpers import CourseError
from helpers.course import profile_name, set_offline
from helpers.resources.catalogue import CATALOGUE
from helpers.resources.download import MODEL_FILES, data_path
from helpers.resources.hub import hub_errors, hub_folder
from helpers.text import check_path

ORDINARY_KOREAN = (
    "오늘은 날씨가 좋아서 친구와 함께 공원에서 점심을 먹었다.",
    "서울은 한강을 끼고 있는 대한민국의 수도이다.",
    "이 책을 읽으면 언어 모델이 무엇을 배우는지 알 수 있습니다.",
)


def load_tokenizer(name: str | Path) -> Any:
    """The tokenizer of a catalogue name, of a folder, or in the full profile of a hub id.

    Raises CourseError if there is none, or if it turns ordinary Korean into [UNK].
    """
    folder = model_folder(name)
    tokenizer = read_tokenizer(folder, name)
    check_tokenizer(tokenizer)
    # A model that is no BERT may count no token types.
    types = (folder / "config.json").exists() and getattr(load_config(folder), "type_vocab_size", 0)
    if types == 1:
        give_one_type(tokenizer)
    return tokenizer


def give_one_type(tokenizer: Any) -> None:
    """Let a pair's second text have type 0: KLUE's RoBERTa has BERT's tokenizer, but no row 1."""
    from tokenizers.processors import TemplateProcessing

    cls, sep = tokenizer.cls_token, tokenizer.sep_token
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single=f"{cls} $A {sep}",
        pair=f"{cls} $A {sep} $B {sep}",
        special_tokens=[(cls, tokenizer.cls_token_id), (sep, tokenizer.sep_token_id)],
    )


def load_model(cls: type, name: str | Path, **kwargs: Any) -> Any:
    """load_model(BertForMaskedLM, "mini-bert-ko") -> the model in evaluation mode, float32.

    name: as for `load_tokenizer`; kwargs go to `from_pretrained`. Only safetensors are read.
    Raises CourseError if the weights are missing or pickled, or if the tokenizer beside the model
    does not belong to it.
    """
    import torch

    from helpers.architectures import check_weights, model_class

    folder = model_folder(name)
    check_safetensors(folder, name)
    tokenizer = read_tokenizer(folder, name)
    cls = model_class(cls, load_config(folder))
    options = {"dtype": torch.float32, "use_safetensors": True, **kwargs}
    try:
        model, loaded = cls.from_pretrained(folder, output_loading_info=True, **options)
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise CourseError(
            f"{name}의 모델을 읽을 수 없습니다. 파일이 온전한지 확인하십시오 "
            f"({type(error).__name__}: {str(error).splitlines()[0]})."
        ) from error
    check_weights(model, loaded["missing_keys"])
    check_pair(model, tokenizer)
    return model


def check_safetensors(folder: Path, name: str | Path) -> None:
    """Refuse a model whose weights are only there as a pickle, which can run code when read."""
    if not list(folder.glob("*.safetensors")):
        raise CourseError(
            f"{name}에 safetensors 가중치가 없습니다. 피클(.bin, .pt)은 읽지 않으므로 "
            "model.save_pretrained(...)로 다시 저장하십시오."
        )


def load_config(name: str | Path, **changes: Any) -> Any:
    """The config of a model, named as for `load_model`; changes: other values for its keys.

    Raises CourseError if there is none, or if it does not say what kind of model it describes.
    """
    from transformers import AutoConfig

    try:
        return AutoConfig.from_pretrained(model_folder(name), trust_remote_code=False, **changes)
    except (OSError, ValueError) as error:
        raise CourseError(
            f"{name}의 config.json을 읽을 수 없습니다. transformers에 있는 모델인지, "
            '"model_type": "bert"처럼 모델의 종류가 적혀 있는지 확인하십시오.'
        ) from error


def check_pair(model: Any, tokenizer: Any) -> None:
    """Refuse a tokenizer that does not belong to the model: it would give silent nonsense."""
    rows = model.get_input_embeddings().num_embeddings
    if len(tokenizer) != rows:
        raise CourseError(
            f"토크나이저의 어휘는 {len(tokenizer)}개인데 모델의 임베딩은 {rows}행입니다. "
            "모델과 함께 저장한 토크나이저를 쓰십시오."
        )
    if model.config.pad_token_id != tokenizer.pad_token_id:
        raise CourseError(
            f"[PAD]의 번호가 토크나이저에서는 {tokenizer.pad_token_id}, 모델에서는 "
            f"{model.config.pad_token_id}입니다. 모델과 함께 저장한 토크나이저를 쓰십시오."
        )
    check_tokenizer(tokenizer)


def check_tokenizer(tokenizer: Any) -> None:
    """Refuse a tokenizer without BERT's special tokens or one that reads Korean as [UNK]."""
    specials = ("pad_token", "unk_token", "cls_token", "sep_token", "mask_token")
    ids = [getattr(tokenizer, f"{special}_id") for special in specials]
    missing = [special for special, number in zip(specials, ids, strict=True) if number is None]
    if missing or len(set(ids)) < len(ids):
        raise CourseError(
            f"토크나이저의 특수 토큰이 없거나 겹칩니다({', '.join(missing) or ids}). "
            "[PAD], [UNK], [CLS], [SEP], [MASK]를 넣어 다시 만드십시오."
        )
    pieces = tokenizer(" ".join(ORDINARY_KOREAN), add_special_tokens=False)["input_ids"]
    normalizer = tokenizer.backend_tokenizer.normalizer
    unknown = pieces.count(tokenizer.unk_token_id) / max(1, len(pieces))
    if unknown > 0.5 and normalizer and normalizer.normalize_str("한") != "한":
        raise CourseError(
            "토크나이저의 소문자 변환이 한글을 자모로 나누어 어휘에서 찾지 못합니다. "
            'tokenizer_config.json에 "do_lower_case": false를 쓰십시오.'
        )
    if unknown > 0.5 or not pieces:
        raise CourseError(
            f"토크나이저가 보통 한국어 문장의 {unknown:.0%}를 [UNK]로 바꿉니다. "
            "어휘 파일을 제대로 읽었는지 확인하십시오(vocab_file=이 아니라 vocab=을 씁니다)."
        )


def read_tokenizer(folder: Path, name: str | Path) -> Any:
    """The tokenizer of a folder, unchecked; a vocabulary of whole Hangul without settings is cased.

    name: for the message. Raises CourseError for none, for SentencePiece and for one made by code.
    """
    from transformers import AutoTokenizer, BertTokenizer

    if not (folder / "tokenizer.json").exists():
        vocabulary = folder / "vocab.txt"
        pieces = vocabulary.read_text(encoding="utf-8").split("\n") if vocabulary.exists() else []
        models = [*folder.glob("*.model"), *folder.glob("*.spm")]
        if models or any(piece.startswith("▁") for piece in pieces):
            raise CourseError(
                f"{name}의 토크나이저는 SentencePiece입니다(KoBERT 등). 이 강의는 "
                "tokenizer.json이나 BERT의 vocab.txt만 읽으므로 다른 모델을 쓰십시오."
            )
        if not pieces:
            raise CourseError(
                f"{name}에 토크나이저가 없습니다. tokenizer.save_pretrained(...)로 모델과 같은 "
                "폴더에 저장하십시오."
            )
        if not (folder / "tokenizer_config.json").exists():
            # BERT's default, lower-casing, breaks Hangul to jamo: wrong where syllables are known.
            cased = any("가" <= piece.removeprefix("##") <= "힣" for piece in pieces)
            return BertTokenizer.from_pretrained(folder, do_lower_case=not cased)
    try:
        return AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    except (OSError, ValueError, ImportError) as error:
        raise CourseError(
            f"{name}의 토크나이저를 transformers가 모릅니다. 폴더에 든 코드는 실행하지 않으므로 "
            "tokenizer.json이나 BERT의 vocab.txt가 있는 모델을 쓰십시오."
        ) from error


def model_folder(name: str | Path) -> Path:
    """The folder of a catalogue name, of a folder, or in the full profile of a hub id.

    Raises CourseError if there is none.
    """
    folder = check_path(name)
    if str(name) in CATALOGUE:
        return data_path(str(name))
    if folder.is_dir():
        return folder
    if profile_name() == "full":
        set_offline(False)
        with hub_errors(str(name)):
            return hub_folder(str(name), **MODEL_FILES)
    models = ", ".join(entry.name for entry in CATALOGUE.values() if entry.kind == "model")
    raise CourseError(
        f"{str(name)!r}(이)라는 모델이나 폴더가 없습니다. 목록의 이름({models})이나 "
        "모델을 저장한 폴더를 쓰십시오."
    )
