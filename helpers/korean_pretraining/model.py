"""BERT with its two pretraining heads; what only a loss needs is computed only where it looks."""

from dataclasses import dataclass

import torch
import transformers
from torch.nn.functional import cross_entropy, pad
from transformers import AutoModelForPreTraining
from transformers.models.bert.modeling_bert import BertForPreTrainingOutput, BertLayer

from helpers import CourseError
from helpers.architectures import model_class
from helpers.korean_pretraining.stages import TrainingText
from helpers.resources import check_safetensors, load_config, model_folder, read_tokenizer


@dataclass
class PreTrainingOutput(BertForPreTrainingOutput):
    """Hugging Face's output, two losses apart; `prediction_logits` [masked places, vocabulary]."""

    masked_lm_loss: torch.Tensor | None = None
    next_sentence_loss: torch.Tensor | None = None


NO_DROPOUT = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}


class LastLayer(BertLayer):
    """A BERT layer that can leave out positions that nobody reads: they only give key and value."""

    def forward(
        self,
        hidden_states: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        *of_decoders,
        read_positions: torch.Tensor | None = None,
        **kwargs,
    ) -> torch.Tensor:
        """Compute all, or `read_positions` of the flattened batch: [batch, length, hidden]."""
        if read_positions is None:
            return super().forward(hidden_states, attention_mask, *of_decoders, **kwargs)
        context, _ = self.attention.self(hidden_states, attention_mask=attention_mask, **kwargs)
        hidden = hidden_states.flatten(0, 1)
        context = context.flatten(0, 1).index_select(0, read_positions)
        attended = self.attention.output(context, hidden.index_select(0, read_positions))
        read = self.feed_forward_chunk(attended)
        return hidden.index_copy(0, read_positions, read).view_as(hidden_states)


class BertForPreTraining(transformers.BertForPreTraining):
    """`transformers.BertForPreTraining` with the same loss and gradients at a fraction of the work.

    15 % of the positions carry a label; the last layer and the projection to the vocabulary, which
    costs most in a small BERT, are computed there alone. Weights, configuration and checkpoints are
    those of the parent class, so a checkpoint loads in any BERT class.
    """

    def __init__(self, config):
        super().__init__(config)
        self.bert.encoder.layer[-1].__class__ = LastLayer  # the same weights

    def forward(
        self,
        input_ids: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        token_type_ids: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        next_sentence_label: torch.Tensor | None = None,
        num_items_in_batch: torch.Tensor | int | None = None,
        num_sequences_in_batch: int | None = None,
        max_masked: int | None = None,
        **kwargs,
    ) -> BertForPreTrainingOutput:
        """Compute both losses where both kinds of labels are given, else do as the parent class.

        Shapes: `input_ids`, `attention_mask`, `token_type_ids`, `labels` [batch, length], -100
        where `labels` does not count; `next_sentence_label` [batch], -100 as well where it does not
        count. `num_items_in_batch` and `num_sequences_in_batch` count the masked tokens and the
        sequences of the whole step when it is spread over processes or accumulated: the parts'
        losses then add up to the loss of the undivided batch. `max_masked` is a number of labels
        that this batch cannot exceed: with it shapes depend on no value, so nothing waits for the
        device and `torch.compile` has one graph.
        """
        inputs = kwargs | {"attention_mask": attention_mask, "token_type_ids": token_type_ids}
        if labels is None or next_sentence_label is None:
            asked = {"labels": labels, "next_sentence_label": next_sentence_label}
            return super().forward(input_ids, **inputs, **asked)
        positions, targets, read = places_read(labels, max_masked)
        count = (labels != -100).sum()
        outputs = self.bert(input_ids, **inputs, read_positions=read)
        prediction_logits = self.cls.predictions(outputs.last_hidden_state.flatten(0, 1)[positions])
        seq_relationship_logits = self.cls.seq_relationship(outputs.pooler_output)
        masked_lm_loss = mean_loss(prediction_logits, targets)
        next_sentence_loss = mean_loss(seq_relationship_logits, next_sentence_label)
        loss = masked_lm_loss + next_sentence_loss
        if num_items_in_batch is not None:
            share = count / torch.as_tensor(num_items_in_batch).clamp(min=1)
            sequences = len(labels) / num_sequences_in_batch if num_sequences_in_batch else share
            loss = masked_lm_loss * share + next_sentence_loss * sequences
        return PreTrainingOutput(
            loss=loss,
            prediction_logits=prediction_logits if max_masked else prediction_logits[:count],
            seq_relationship_logits=seq_relationship_logits,
            masked_lm_loss=masked_lm_loss.detach(),
            next_sentence_loss=next_sentence_loss.detach(),
        )


def places_read(
    labels: torch.Tensor, max_masked: int | None
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Of the flattened `labels` [batch, length]: the positions of the labels, what is asked there
    (-100 where the positions are filled up), and all that the losses read, every [CLS] too.
    """
    is_masked = labels.flatten() != -100
    if max_masked is None:
        # Filled up to a multiple of 64: oneDNN keeps compiled kernels for every shape it has
        # met, and a different number of masks each step would cost gigabytes.
        positions = is_masked.nonzero().squeeze(1)
        positions = pad(positions, (0, -len(positions) % 64))
        is_filling = torch.arange(len(positions), device=labels.device) >= is_masked.sum()
        targets = labels.flatten()[positions].masked_fill(is_filling, -100)
    else:
        positions = is_masked.int().topk(min(max_masked, labels.numel())).indices
        targets = labels.flatten()[positions]
    is_read = (labels != -100).int()
    is_read[:, 0] = 1
    most = min(len(labels) + len(positions), labels.numel())  # never fewer: few shapes
    return positions, targets, is_read.flatten().topk(most).indices


def mean_loss(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Average the cross-entropy over targets that are not -100; zero where there is none."""
    total = cross_entropy(logits.float(), targets, reduction="sum")
    return total / (targets != -100).sum().clamp(min=1)


def new_model(tokenizer, **config) -> BertForPreTraining:
    """Build an untrained BERT for a tokenizer, without dropout: text is seen about once.

    `config` goes to `transformers.BertConfig`. Source for the dropout: Geiping & Goldstein 2022,
    "Cramming", section 4.3.
    """
    sizes = {"vocab_size": len(tokenizer), "pad_token_id": tokenizer.pad_token_id}
    return BertForPreTraining(transformers.BertConfig(**sizes | NO_DROPOUT | config))


def warm_start(source, source_tokenizer, tokenizer, num_hidden_layers: int) -> BertForPreTraining:
    """Start a BERT for a new vocabulary from the first layers of another encoder.

    Each of our pieces starts as the mean of the old pieces that spell it; positions, segments and
    the chosen layers are copied, and of a masked-LM head its transform. What all word vectors share
    moves to the segments, and all embeddings are scaled to BERT's 0.02: the LayerNorm behind them
    sees no difference, while the tied projection to the vocabulary starts with small scores instead
    of confident nonsense. `source` is a `BertModel` or a BERT with a masked-LM head.
    Raises `CourseError` where the source is no BERT or shallower than asked.
    Source: Tran 2020, "From English to foreign languages", for the idea of initialising from old
    embeddings.
    """
    if source.config.model_type != "bert":  # RoBERTa has the same names but counts positions from 2
        raise CourseError(
            f"출발 모델이 BERT가 아니라 {source.config.model_type}입니다. BERT 모델을 주십시오."
        )
    if not 1 <= num_hidden_layers <= source.config.num_hidden_layers:
        raise CourseError(
            f"출발 모델의 층은 {source.config.num_hidden_layers}개입니다. "
            f"num_hidden_layers를 1부터 {source.config.num_hidden_layers} 사이로 주십시오."
        )
    kept = ("hidden_size", "num_attention_heads", "intermediate_size", "max_position_embeddings")
    kept += ("type_vocab_size", "hidden_act", "layer_norm_eps")
    config = {name: getattr(source.config, name) for name in kept}
    model = new_model(tokenizer, num_hidden_layers=num_hidden_layers, **config)
    # The layers beyond those chosen are not asked for, the old words not wanted.
    ours = {name for name in model.bert.state_dict() if "word_embedd" not in name}
    state = {k: v for k, v in source.base_model.state_dict().items() if k in ours}
    model.bert.load_state_dict(state, strict=False)
    if predictions := getattr(getattr(source, "cls", None), "predictions", None):
        model.cls.predictions.transform.load_state_dict(predictions.transform.state_dict())
    words = transferred_words(source, source_tokenizer, tokenizer)
    embeddings = model.bert.embeddings
    centre = words.mean(0)
    scale = model.config.initializer_range / (words - centre).std()
    with torch.no_grad():
        embeddings.word_embeddings.weight.copy_((words - centre) * scale)
        embeddings.token_type_embeddings.weight.add_(centre).mul_(scale)
        embeddings.position_embeddings.weight.mul_(scale)
    return model


def transferred_words(source, source_tokenizer, tokenizer) -> torch.Tensor:
    """Give each of our pieces the mean of the old vectors that spell it: [vocabulary, hidden]."""
    old = source.get_input_embeddings().weight.detach()
    special = {}
    for kind in ("pad_token_id", "unk_token_id", "cls_token_id", "sep_token_id", "mask_token_id"):
        theirs = getattr(source_tokenizer, kind)
        special[getattr(tokenizer, kind)] = [] if theirs is None else [theirs]
    source_vocab = source_tokenizer.get_vocab()
    rows = []
    for number, piece in enumerate(tokenizer.convert_ids_to_tokens(range(len(tokenizer)))):
        ours = number in special
        ids = special[number] if ours else spell(piece, source_tokenizer, source_vocab)
        # A piece the source cannot spell gets the mean of all: the right region to learn from.
        rows.append(old[ids].mean(0) if ids else old.mean(0))
    return torch.stack(rows)


@torch.no_grad()
def start_at_frequencies(model: BertForPreTraining, counts: torch.Tensor) -> None:
    """Let an untrained head begin with how often each piece occurs: `counts` [vocabulary]."""
    # Each piece is counted once more, so that none is impossible.
    frequencies = (counts + 1) / (counts + 1).sum()
    model.cls.predictions.decoder.bias.copy_(frequencies.log())


def spell(piece: str, tokenizer, vocab: dict[str, int]) -> list[int]:
    """Give the known ids with which another tokenizer, of vocabulary `vocab`, writes our piece.

    Example: "##신은" -> the ids of "신", "은" as they look inside a word ("신" in SentencePiece,
    "##신" in WordPiece).
    """
    tokens = tokenizer.tokenize(piece.removeprefix("##"))
    if piece.startswith("##") and tokens:
        bare = tokens[0].removeprefix("▁")
        tokens[0] = next((form for form in (f"##{bare}", bare) if form in vocab), tokens[0])
    ids = tokenizer.convert_tokens_to_ids([token for token in tokens if token != "▁"])
    return [i for i in ids if i != tokenizer.unk_token_id]


def initial_model(
    tokenizer,
    init_from: str | None,
    num_hidden_layers: int,
    text: TrainingText | None = None,
    **sizes,
) -> BertForPreTraining:
    """Build a new model, continue one that has our vocabulary, or start warm from one that has not.

    A new head begins with how often each piece occurs in `text`.
    """
    if init_from is None:
        model = new_model(tokenizer, num_hidden_layers=num_hidden_layers, **sizes)
    else:
        folder = model_folder(init_from)
        check_safetensors(folder, init_from)
        source_tokenizer = read_tokenizer(folder, init_from)
        options = {"dtype": torch.float32, "use_safetensors": True}
        if source_tokenizer.get_vocab() == tokenizer.get_vocab():
            cls = model_class(BertForPreTraining, load_config(folder))
            return cls.from_pretrained(folder, **options, **NO_DROPOUT)
        source = AutoModelForPreTraining.from_pretrained(folder, **options)
        model = warm_start(source, source_tokenizer, tokenizer, num_hidden_layers)
    if text is not None:
        start_at_frequencies(model, text.piece_counts())
    return model
