"""A BERT with a fourth embedding that says what is an entity, and a classifier that reads them."""

from typing import Any

import torch
from torch import nn
from transformers.modeling_outputs import SequenceClassifierOutput

from helpers.architectures import HeadOnEncoder
from helpers.entity_bert.spans import ROWS, SPECIAL_TOKENS, find_variant, meaning


class EntityBert(HeadOnEncoder):
    """EntityBert.from_pretrained(folder, entity_variant="entity_embedding", num_labels=30).

    Starts from any BERT, RoBERTa or ELECTRA; `save_pretrained` and `from_pretrained` keep the
    variant and all weights.
    The entity embedding begins at zero, so that at first the model computes what the pretrained
    BERT computes; it is added, so its gradient is that of the token's input vector. Row 0 (no
    entity) stays zero.
    Raises CourseError for an unknown variant.
    Sources: Wu & He 2019, "R-BERT", https://arxiv.org/abs/1905.08284 (pooling 'cls+means'); Baldini
    Soares et al. 2019, "Matching the Blanks", https://arxiv.org/abs/1906.03158 ('starts').
    """

    def __init__(self, config: Any, entity_variant: str | None = None):
        super().__init__(config)
        kept = getattr(config, "entity_variant", "entity_embedding")
        config.entity_variant = entity_variant or kept
        self.variant = find_variant(config.entity_variant)
        parts = {"cls": 1, "mean": 1, "starts": 2}.get(self.variant.pooling, 3)
        if rows := ROWS[self.variant.ids]:
            size = self.base_model.embeddings.word_embeddings.embedding_dim
            self.entity_embeddings = nn.Embedding(rows, size, padding_idx=0)
        # New for every variant: the pretrained pooler would learn at the small rate of the encoder
        # and make [CLS] look worse than it is.
        self.dense = nn.Linear(parts * config.hidden_size, config.hidden_size)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)
        self.classifier = nn.Linear(config.hidden_size, config.num_labels)
        self.post_init()

    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if module is getattr(self, "entity_embeddings", None):
            nn.init.zeros_(module.weight)

    def forward(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        entity_ids: torch.Tensor | None = None,
        starts: torch.Tensor | None = None,
        spans: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        **kwargs: Any,
    ) -> SequenceClassifierOutput:
        """Logits [batch, labels], and the cross-entropy where `labels` [batch] are given.

        input_ids, attention_mask, entity_ids [batch, length]; starts [batch, 2]; spans [batch, 2,
        2], as `encode` gives them.
        """
        embedded = self.base_model.embeddings.word_embeddings(input_ids)
        if hasattr(self, "entity_embeddings") and entity_ids is not None:
            embedded = embedded + self.entity_embeddings(entity_ids)
        # BERT adds position and segment to `inputs_embeds`, and normalises the sum.
        outputs = self.base_model(inputs_embeds=embedded, attention_mask=attention_mask, **kwargs)
        pooled = self.pool(outputs.last_hidden_state, attention_mask, starts, spans)
        logits = self.classifier(self.dropout(pooled))
        loss = None if labels is None else nn.functional.cross_entropy(logits.float(), labels)
        return SequenceClassifierOutput(loss, logits, outputs.hidden_states, outputs.attentions)

    def pool(self, hidden: torch.Tensor, attention_mask, starts, spans) -> torch.Tensor:
        """The vector [batch, hidden] that the classifier reads: see `Variant.pooling`."""
        pooling = self.variant.pooling
        vectors = [hidden[:, :1]] if pooling.startswith("cls") else []
        if pooling == "mean":
            inside = torch.ones_like(hidden[..., 0]) if attention_mask is None else attention_mask
            weights = inside / inside.sum(-1, keepdim=True)
            vectors.append(weights.to(hidden.dtype)[:, None] @ hidden)
        elif pooling.endswith("starts"):
            rows = torch.arange(len(hidden), device=hidden.device)[:, None]
            vectors.append(hidden[rows, starts])
        elif pooling.endswith("means"):
            places = torch.arange(hidden.shape[1], device=hidden.device)
            inside = (places >= spans[..., :1]) & (places < spans[..., 1:])  # [batch, 2, length]
            weights = inside / inside.sum(-1, keepdim=True)
            vectors.append(weights.to(hidden.dtype) @ hidden)
        return torch.tanh(self.dense(torch.cat(vectors, dim=1).flatten(1)))


def add_tag_rows(net: EntityBert, tokenizer: Any) -> None:
    """Give the model a row for each tag that `add_special_tokens` has given its tokenizer.

    A tag starts as the mean of the vectors of words that mean it: drawn at random, subject's and
    object's tag would be two noises between which a short fine-tuning must first learn to tell.
    """
    net.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    rows = net.get_input_embeddings().weight.data
    for tag in SPECIAL_TOKENS[net.variant.markers]:
        words = tokenizer(meaning(tag), add_special_tokens=False)["input_ids"]
        rows[tokenizer.convert_tokens_to_ids(tag)] = rows[words].mean(0)
