"""Models for the tests of lesson 03: one whose answers are written down, and a tiny real BERT."""

from types import SimpleNamespace

import torch
from transformers import BertConfig, BertForMaskedLM, BertTokenizerFast

from helpers.resources import ORDINARY_KOREAN

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def tokenizer_of(*pieces):
    """Give a WordPiece tokenizer of these pieces, signs, digits
    and the letters of ordinary Korean.
    """
    letters = sorted({letter for text in ORDINARY_KOREAN for letter in text if letter.isalpha()})
    known = [*SPECIAL, *pieces, *".,!?-", *letters, *(f"##{letter}" for letter in letters)]
    vocab = {piece: number for number, piece in enumerate(dict.fromkeys(known))}
    return BertTokenizerFast(vocab=vocab, do_lower_case=False, strip_accents=False)


def tiny_bert(tokenizer, cls=BertForMaskedLM, **config):
    """Give an untrained BERT of two small layers for this tokenizer."""
    torch.manual_seed(0)
    sizes = dict(hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32)
    sizes |= dict(max_position_embeddings=64, pad_token_id=tokenizer.pad_token_id)
    return cls(BertConfig(vocab_size=len(tokenizer), **(sizes | config))).eval()


class Scripted:
    """A masked language model by rule: rule(pieces of the row, place
    of the mask) -> {piece: logit}.

    What the rule does not name has logit 0. `shown` keeps the rows it was asked about.
    """

    def __init__(self, tokenizer, rule, max_position_embeddings=64):
        self.tokenizer, self.rule = tokenizer, rule
        self.config = SimpleNamespace(
            pad_token_id=tokenizer.pad_token_id, max_position_embeddings=max_position_embeddings
        )
        self.cls = SimpleNamespace(predictions=self.predictions)
        self.device, self.training, self.shown = torch.device("cpu"), False, []

    def get_input_embeddings(self):
        return SimpleNamespace(num_embeddings=len(self.tokenizer))

    def train(self, mode=True):
        return self

    def eval(self):
        return self

    def base_model(self, input_ids, attention_mask, **_):
        """Hide each row and a place in the hidden state, so that `predictions` finds them again."""
        batch, length = input_ids.shape
        ids = (
            input_ids * attention_mask + self.tokenizer.pad_token_id * (1 - attention_mask)
        ).float()
        places = torch.arange(length).expand(batch, length).float()[..., None]
        hidden = torch.cat([ids[:, None].expand(batch, length, length), places], dim=2)
        self.shown += [self.words(row) for row in input_ids]
        return SimpleNamespace(last_hidden_state=hidden)

    def words(self, ids):
        pieces = self.tokenizer.convert_ids_to_tokens([int(i) for i in ids])
        return [piece for piece in pieces if piece != "[PAD]"]

    def predictions(self, hidden):
        logits = torch.zeros(len(hidden), len(self.tokenizer))
        for row, state in enumerate(hidden):
            for piece, value in self.rule(self.words(state[:-1]), int(state[-1])).items():
                logits[row, self.tokenizer.convert_tokens_to_ids(piece)] = value
        return logits
