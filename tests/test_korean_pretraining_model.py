import pytest
import torch
import transformers
from korean_text import number_tokenizer
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast, RobertaConfig, RobertaModel

from helpers import CourseError
from helpers.korean_pretraining.model import new_model, spell, transferred_words, warm_start
from helpers.korean_pretraining.wordpiece import SPECIAL_TOKENS, wordpiece_tokenizer

SIZES = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 24,
}


def tokenizer_of(*pieces: str):
    return wordpiece_tokenizer({p: i for i, p in enumerate(SPECIAL_TOKENS + list(pieces))})


@pytest.fixture
def model():
    torch.manual_seed(0)
    return new_model(number_tokenizer(45), **SIZES)


@pytest.fixture
def batch():
    """Six sequences of different lengths, padded; about one token in three has a label."""
    generator = torch.Generator().manual_seed(0)
    lengths = torch.tensor([24, 20, 17, 12, 9, 5])
    attention_mask = (torch.arange(24) < lengths[:, None]).long()
    input_ids = torch.randint(5, 50, (6, 24), generator=generator) * attention_mask
    chosen = (torch.rand(6, 24, generator=generator) < 0.3) & attention_mask.bool()
    return {
        "input_ids": input_ids,
        "attention_mask": attention_mask,
        "token_type_ids": (torch.arange(24) >= lengths[:, None] // 2).long() * attention_mask,
        "labels": torch.where(chosen, input_ids, -100),
        "next_sentence_label": torch.tensor([0, 1, 0, 1, 1, 0]),
    }


def gradients(model, *losses) -> dict[str, torch.Tensor]:
    model.zero_grad()
    for loss in losses:
        loss.backward()
    return {name: weight.grad.clone() for name, weight in model.named_parameters()}


def reference(model):
    theirs = transformers.BertForPreTraining(model.config)
    theirs.load_state_dict(model.state_dict())
    return theirs


def test_loss_and_gradients_are_those_of_hugging_face(model, batch):
    theirs = reference(model)
    ours, expected = model(**batch), theirs(**batch)
    assert ours.loss.item() == pytest.approx(expected.loss.item(), abs=1e-5)
    assert ours.loss.item() == pytest.approx(
        ours.masked_lm_loss.item() + ours.next_sentence_loss.item(), abs=1e-5
    )
    chosen = batch["labels"] != -100
    torch.testing.assert_close(ours.prediction_logits, expected.prediction_logits[chosen])
    torch.testing.assert_close(ours.seq_relationship_logits, expected.seq_relationship_logits)
    ours, expected = gradients(model, ours.loss), gradients(theirs, expected.loss)
    assert ours.keys() == expected.keys()
    for name in ours:
        torch.testing.assert_close(ours[name], expected[name], atol=1e-5, rtol=0, msg=name)


@pytest.mark.parametrize(
    "left_out", [["labels"], ["next_sentence_label"], ["labels", "next_sentence_label"]]
)
def test_without_both_labels_it_is_the_parent_class(model, batch, left_out):
    for name in left_out:
        del batch[name]
    ours, expected = model.eval()(**batch), reference(model).eval()(**batch)
    torch.testing.assert_close(ours.prediction_logits, expected.prediction_logits)
    assert ours.prediction_logits.shape == (6, 24, 50)
    assert ours.loss is None and expected.loss is None


def test_losses_of_the_parts_add_up_to_the_loss_of_the_whole(model, batch):
    whole = model(**batch).loss
    items = (batch["labels"] != -100).sum()
    parts = [
        model(
            **{name: value[rows] for name, value in batch.items()},
            num_items_in_batch=items,
            num_sequences_in_batch=6,
        ).loss
        for rows in (slice(0, 1), slice(1, 3), slice(3, 6))
    ]
    assert sum(parts).item() == pytest.approx(whole.item(), abs=1e-5)
    expected, added = gradients(model, whole), gradients(model, *parts)
    for name in expected:
        torch.testing.assert_close(added[name], expected[name], atol=1e-5, rtol=0, msg=name)


def test_a_plain_trainer_gives_no_number_of_sequences(model, batch):
    output = model(**batch, num_items_in_batch=2 * (batch["labels"] != -100).sum())
    assert output.loss.item() == pytest.approx(
        (output.masked_lm_loss + output.next_sentence_loss).item() / 2, abs=1e-5
    )


def test_the_projection_meets_few_shapes_and_few_positions(model, batch):
    """Every number of masks that fits into 64 is one shape to the kernels behind it."""
    rows, read = [], []
    model.cls.predictions.register_forward_pre_hook(lambda _, args: rows.append(len(args[0])))
    last = model.bert.encoder.layer[-1]
    last.intermediate.register_forward_pre_hook(lambda _, args: read.append(len(args[0])))
    for kept in (1, 7, 20):
        labels = torch.full_like(batch["labels"], -100)
        labels[0, :kept] = batch["input_ids"][0, :kept]
        assert len(model(**batch | {"labels": labels}).prediction_logits) == kept
    assert rows == [64, 64, 64]  # of 6 x 24 positions
    assert read == [70, 70, 70]  # with every [CLS]


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_last_layer_leaves_out_what_nobody_reads(model, batch, attention):
    model.set_attn_implementation(attention)
    inputs = {name: value for name, value in batch.items() if "label" not in name}
    read = torch.tensor([30, 3, 75])
    whole = model.bert(**inputs, output_hidden_states=True)
    some = model.bert(**inputs, read_positions=read).last_hidden_state.flatten(0, 1)
    expected = whole.hidden_states[-2].flatten(0, 1).clone()
    expected[read] = whole.last_hidden_state.flatten(0, 1)[read]
    torch.testing.assert_close(some, expected)


@pytest.mark.parametrize("items", [None, torch.tensor(0), 0])
def test_a_batch_without_a_mask_does_no_harm(model, batch, items):
    batch["labels"] = torch.full_like(batch["labels"], -100)
    output = model(**batch, num_items_in_batch=items, num_sequences_in_batch=6)
    assert output.loss.item() == pytest.approx(output.next_sentence_loss.item())
    output.loss.backward()
    assert all(w.grad.isfinite().all() for w in model.parameters() if w.grad is not None)


@pytest.mark.parametrize("name", ["BertForPreTraining", "BertForMaskedLM", "BertModel"])
def test_checkpoint_loads_in_every_bert_class(model, batch, tmp_path, name):
    model.save_pretrained(tmp_path)
    assert [path.name for path in tmp_path.glob("*.safetensors")] == ["model.safetensors"]
    assert not list(tmp_path.glob("*.bin"))
    loaded, report = getattr(transformers, name).from_pretrained(tmp_path, output_loading_info=True)
    assert not report["missing_keys"] and not report["mismatched_keys"]
    inputs = {key: value for key, value in batch.items() if "label" not in key}
    ours, theirs = model.eval()(**inputs), loaded.eval()(**inputs)
    if name == "BertModel":
        expected = model.bert(**inputs)
        torch.testing.assert_close(theirs.last_hidden_state, expected.last_hidden_state)
        torch.testing.assert_close(theirs.pooler_output, expected.pooler_output)
    else:
        torch.testing.assert_close(theirs[0], ours.prediction_logits)


def test_new_model_has_no_dropout_and_fits_the_tokenizer(model):
    config = new_model(number_tokenizer(45), **SIZES, hidden_dropout_prob=0.2).config
    assert (config.hidden_dropout_prob, config.attention_probs_dropout_prob) == (0.2, 0.0)
    assert model.config.hidden_dropout_prob == 0.0
    assert (model.config.vocab_size, model.config.pad_token_id) == (50, 0)
    assert model.get_input_embeddings().weight is model.get_output_embeddings().weight


# --- warm start ----------------------------------------------------------------------------------

OLD = tokenizer_of("이순신", "이", "##순", "##신", "신", "은", "##은", "조", "##선")
NEW = tokenizer_of("##신은", "이순신", "이순", "조선", "은", "##은", "漢")


@pytest.fixture
def source():
    torch.manual_seed(1)
    config = BertConfig(
        vocab_size=len(OLD), **SIZES | {"num_hidden_layers": 3, "hidden_act": "relu"}
    )
    return BertModel(config)


def test_each_piece_starts_as_the_mean_of_those_that_spell_it(source):
    old = {p: source.embeddings.word_embeddings.weight[i] for p, i in OLD.get_vocab().items()}
    new = transferred_words(source, OLD, NEW)
    spelled = {
        "##신은": ["##신", "##은"],
        "이순신": ["이순신"],
        "이순": ["이", "##순"],
        "조선": ["조", "##선"],
        "은": ["은"],
        "##은": ["##은"],
    }
    for piece, parts in spelled.items():
        expected = torch.stack([old[part] for part in parts]).mean(0)
        torch.testing.assert_close(new[NEW.get_vocab()[piece]], expected)
    torch.testing.assert_close(new[NEW.get_vocab()["漢"]], torch.stack(list(old.values())).mean(0))
    model = warm_start(source, OLD, NEW, 2)
    words = model.get_input_embeddings().weight
    assert model.get_output_embeddings().weight is words
    centred = new - new.mean(0)
    torch.testing.assert_close(words.data, centred * (words.std() / centred.std()))


def test_special_tokens_start_from_their_namesakes(source):
    # The same kinds under other names and numbers, as in SentencePiece vocabularies.
    names = {
        "pad_token": "<pad>",
        "unk_token": "<unk>",
        "cls_token": "<s>",
        "sep_token": "</s>",
        "mask_token": "<mask>",
    }
    pieces = [
        "<s>",
        "<pad>",
        "</s>",
        "<unk>",
        "▁",
        "이",
        "신",
        "은",
        "조",
        "▁조",
        "선",
        "순",
        "▁이순신",
        "<mask>",
    ]
    unigram = Tokenizer(models.Unigram([(piece, -1.0) for piece in pieces], unk_id=3))
    unigram.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=unigram, **names)
    new = transferred_words(source, tokenizer, NEW)
    old = source.embeddings.word_embeddings.weight
    for name in names:
        ours, theirs = (getattr(t, f"{name}_id") for t in (NEW, tokenizer))
        torch.testing.assert_close(new[ours], old[theirs])
    expected = (old[pieces.index("신")] + old[pieces.index("은")]) / 2
    torch.testing.assert_close(new[NEW.get_vocab()["##신은"]], expected)
    torch.testing.assert_close(new[NEW.get_vocab()["조선"]], (old[9] + old[10]) / 2)

    vocab = tokenizer.get_vocab()
    spelled = {
        p: [pieces[i] for i in spell(p, tokenizer, vocab)]
        for p in ("##신은", "이순신", "##조", "漢", "은")
    }
    assert spelled == {
        "##신은": ["신", "은"],
        "이순신": ["▁이순신"],
        "##조": ["조"],
        "漢": [],
        "은": ["은"],
    }


def test_spell_for_another_wordpiece():
    vocab = OLD.get_vocab()
    examples = {"##신은": ["##신", "##은"], "신은": ["신", "##은"], "##조": ["조"], "뷁": []}
    for piece, parts in examples.items():
        assert OLD.convert_ids_to_tokens(spell(piece, OLD, vocab)) == parts


def test_layers_positions_and_sizes_are_the_sources(source):
    model = warm_start(source, OLD, NEW, 2)
    assert model.config.num_hidden_layers == len(model.bert.encoder.layer) == 2
    for name in ("hidden_size", "num_attention_heads", "intermediate_size", "hidden_act"):
        assert getattr(model.config, name) == getattr(source.config, name)
    assert model.config.hidden_dropout_prob == 0.0
    ours, theirs = model.bert.state_dict(), source.state_dict()
    copied = [name for name in ours if name in theirs and "word_embeddings" not in name]
    assert sum(name.startswith("encoder.layer.1.") for name in copied) == 16
    assert "embeddings.position_embeddings.weight" in copied
    for name in copied:
        if name.startswith("embeddings.") and "LayerNorm" not in name:
            continue  # scaled together, see below
        torch.testing.assert_close(ours[name], theirs[name], msg=name)
    words = ours["embeddings.word_embeddings.weight"]
    assert words.mean(0).abs().max() < 1e-6 and words.std().item() == pytest.approx(0.02)
    # Old and new hidden states agree where both vocabularies have the same pieces.
    source.encoder.layer = source.encoder.layer[:2]
    inputs = [t("이순신 은", return_tensors="pt") for t in (NEW, OLD)]
    ours, theirs = model.bert.eval()(**inputs[0]), source.eval()(**inputs[1])
    torch.testing.assert_close(ours.last_hidden_state, theirs.last_hidden_state)


@pytest.mark.parametrize("layers", [0, 4])
def test_a_source_has_only_so_many_layers(source, layers):
    with pytest.raises(CourseError, match="층은 3개입니다.*1부터 3 사이"):
        warm_start(source, OLD, NEW, layers)


def test_a_source_must_be_a_bert():
    source = RobertaModel(RobertaConfig(vocab_size=len(OLD), **SIZES))
    with pytest.raises(CourseError, match="BERT가 아니라 roberta입니다"):
        warm_start(source, OLD, NEW, 1)
