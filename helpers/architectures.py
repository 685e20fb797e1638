"""BERT, RoBERTa and ELECTRA: one encoder, whose parts have other names and other limits."""

import sys
from collections.abc import Iterable
from typing import Any

import torch
import transformers
from transformers import AutoConfig, BertModel, BertPreTrainedModel

from helpers import CourseError

FAMILIES = {"bert": "Bert", "roberta": "Roberta", "xlm-roberta": "XLMRoberta", "electra": "Electra"}


class HeadOnEncoder(BertPreTrainedModel):
    """A base for heads of one's own: it makes the encoder of a config, without a pooler.

    The encoder is `self.base_model`, also under the name that its family's checkpoints use
    (`self.bert`, `self.roberta`, `self.electra`), so that `from_pretrained` reads all of them.
    """

    config_class = AutoConfig

    def __init__(self, config: Any):
        super().__init__(config)
        cls = model_class(BertModel, config)
        # ELECTRA has no pooler to leave out.
        options = {} if config.model_type == "electra" else {"add_pooling_layer": False}
        self.base_model_prefix = cls.base_model_prefix
        setattr(self, self.base_model_prefix, cls(config, **options))


def set_fast_attention(model: Any, device: str) -> None:
    """Leave out PyTorch's fused attention on a CPU: slow for short sequences and small heads."""
    if device == "cpu":
        model.set_attn_implementation("eager")


def model_class(cls: type, config: Any) -> type:
    """model_class(BertForTokenClassification, ElectraConfig()) -> ElectraForTokenClassification.

    Loaded into BERT's own class, the weights of another family would be left out without an error.
    Raises CourseError where the family has no such model.
    """
    if cls.__name__.startswith("Auto") or issubclass(cls, HeadOnEncoder):
        return cls
    family, kind = FAMILIES.get(config.model_type), cls.__name__.removeprefix("Bert")
    if family == "Bert":
        return cls
    # ELECTRA's pretraining is another task; our own subclasses of BERT's classes know BERT only.
    translated = cls.__module__.startswith("transformers.") and kind != "ForPreTraining"
    other = getattr(transformers, f"{family}{kind}", None) if family and translated else None
    if other is None:
        raise CourseError(
            f"이것은 {config.model_type} 모델이어서 {cls.__name__}(으)로 쓸 수 없습니다. "
            "BERT 모델을 쓰십시오."
        )
    return other


def check_weights(model: Any, missing: Iterable[str]) -> None:
    """Drop a pooler that was never trained, and refuse such a masked-LM head. Raises CourseError.

    missing: weights that stand in no file and are random. Other heads are there to be trained.
    """
    names = tuple(missing)
    if model.base_model is model and any(name.startswith("pooler.") for name in names):
        model.pooler = None
    heads = ("cls.predictions.", "lm_head.", "generator_")
    if type(model).__name__.endswith("ForMaskedLM") and any(n.startswith(heads) for n in names):
        raise CourseError(
            "이 모델에는 빈칸을 채우는 머리(MLM head)의 가중치가 없습니다. BertForMaskedLM처럼 "
            "머리와 함께 저장한 모델을 쓰십시오(ELECTRA는 generator)."
        )


def mask_scores(model: Any, hidden: torch.Tensor) -> torch.Tensor:
    """A masked language model's logits [..., vocabulary] at hidden states [..., hidden]."""
    if hasattr(model, "lm_head"):  # RoBERTa
        return model.lm_head(hidden)
    if hasattr(model, "generator_lm_head"):  # ELECTRA
        return model.generator_lm_head(model.generator_predictions(hidden))
    return model.cls.predictions(hidden)


def max_tokens(config: Any) -> int:
    """How many tokens a model reads at once: RoBERTa's positions begin after its padding's id."""
    offset = config.pad_token_id + 1 if "roberta" in getattr(config, "model_type", "") else 0
    return config.max_position_embeddings - offset


def fit_length(max_length: int, config: Any, multiple: int = 1) -> int:
    """max_length, or what the model can read at most; then a line on stderr says so.

    multiple: batches are filled up to multiples of it, which must not lead beyond the limit either.
    """
    limit = max_tokens(config) // multiple * multiple
    if max_length <= limit:
        return max_length
    print(
        f"모델이 한 번에 읽는 것은 {limit}토큰입니다. max_length를 {max_length}에서 {limit}(으)로 "
        "줄입니다.",
        file=sys.stderr,
    )
    return limit
