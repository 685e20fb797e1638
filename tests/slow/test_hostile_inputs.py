"""One table of hostile inputs through every function and view that a reader can give a text to.

The rule: whatever a reader can write into a cell, a box of a widget or on the command line ends in
a CourseError (one Korean sentence) or in a sane result. A function counts as reachable if a
notebook calls it with a text, or a widget or the command line hands one on; there None, numbers,
lists and bytes must not end in a traceback either. Functions that only helpers call (`put`,
`spell`, `window` ...) take what they were given.
"""

import re
import sys
import unicodedata
from html.parser import HTMLParser

import numpy as np
import pytest
import torch
from transformers import BertForMaskedLM, BertForSequenceClassification, BertModel

from helpers import ROOT, CourseError

sys.path.insert(0, str(ROOT / "tests"))
from mask_models import tiny_bert, tokenizer_of

from helpers.entity_bert import spans
from helpers.exercises import Exercise
from helpers.finetuning.evaluate import TASKS
from helpers.finetuning.train import FineTuned
from helpers.hf_basics import tokenization_stages
from helpers.korean_pretraining import corpus
from helpers.mask_attack import attack, bias, classifier, exposure, masks, probe
from helpers.resources import load_model, load_tokenizer
from helpers.similarity_chatbot import SentenceEncoder, SimilarityChatbot
from helpers.views.chat import ChatWindow
from helpers.views.masks import MaskExplorer
from helpers.views.relation import RelationExplorer
from helpers.views.stages import StageExplorer
from helpers.views.tasks import TaskExplorer
from helpers.views.tokens import show_tokens

ATTACK = "<script>alert(1)</script><img src=x onerror=alert(1)>&amp;'\"</textarea>"
TEXTS = {
    "empty": "",
    "blank": " \n\t\u3000",
    "100,000 letters": "가" * 100_000,
    "50,000 words": "가 " * 50_000,
    "control characters": "가\0나\x07\x1b[31m다\x7f\r\n",
    "lone surrogate": "가\ud800나",
    "lone surrogate and mask": "\udfff[MASK]",
    "NFD": unicodedata.normalize("NFD", "이순신은 조선의 무신이다."),
    "right to left": "\u202e이순신\u202c שלום\u200f",
    "emoji sequences": "👨‍👩‍👧‍👦🇰🇷👍🏽❤️",
    "HTML and script": ATTACK,
    "HTML around a mask": "<b>[MASK]</b><img src=x onerror=alert(1)>",
    "[MASK]": "이순신은 [MASK]이다.",
    "[CLS] and others": "[CLS] 나 [SEP] [PAD][UNK]",
    "600 masks": "[MASK]" * 600,
    "digits": "1234567890" * 3,
}
OTHERS = {
    "None": None,
    "NaN": float("nan"),
    "7": 7,
    "1.5": 1.5,
    "a list": ["가"],
    "nested lists": [["가", ["나"]], []],
    "bytes": b"abc",
    "a dictionary": {},
}

torch.manual_seed(0)
TOKENIZER = tokenizer_of("이순신", "##은", "남자", "여자", "의사")
MLM = tiny_bert(TOKENIZER, BertForMaskedLM)
ENCODER = SentenceEncoder(tiny_bert(TOKENIZER, BertModel), TOKENIZER)
CHATBOT = SimilarityChatbot(["이름이 뭐야?", ATTACK], ["버티", ATTACK], ENCODER)
CLASSIFIER = classifier.Classifier(
    tiny_bert(TOKENIZER, classifier.MeanPoolingClassifier, num_labels=2), TOKENIZER, 64
)
SENTIMENT = FineTuned(
    TASKS["sentiment"], tiny_bert(TOKENIZER, BertForSequenceClassification), TOKENIZER, 64
)
PROMPT = "수도는 [MASK]이다."
TEMPLATE = "{attribute} 사람은 [MASK]이다."


def certain(texts):
    """A classifier that is always sure, so that every word is attacked."""
    return np.array([[0.3, 0.7]] * len(texts))


def of_a_relation(text):
    example = spans.make_example(text, (0, 0), (2, 2))
    return spans.encode(TOKENIZER, example, spans.VARIANTS["entity_embedding"])


FUNCTIONS = {
    "tokenization_stages": lambda x: tokenization_stages(TOKENIZER, x),
    "SentenceEncoder.encode": lambda x: ENCODER.encode([x]),
    "SentenceEncoder.encode, no list": ENCODER.encode,
    "SimilarityChatbot": lambda x: SimilarityChatbot([x], [x], ENCODER),
    "SimilarityChatbot.search": lambda x: CHATBOT.search([x]),
    "SimilarityChatbot.answer": CHATBOT.answer,
    "masks.encode": lambda x: masks.encode(TOKENIZER, x),
    "probe": lambda x: probe.probe(MLM, TOKENIZER, [x]),
    "probe, answer": lambda x: probe.probe(MLM, TOKENIZER, [PROMPT], [[x]]),
    "fill_masks": lambda x: probe.fill_masks(MLM, TOKENIZER, x),
    "candidate_scores": lambda x: probe.candidate_scores(MLM, TOKENIZER, [PROMPT], [[x]]),
    "fill_left_to_right": lambda x: probe.fill_left_to_right(MLM, TOKENIZER, [x], [2]),
    "categorical_bias, group": lambda x: bias.categorical_bias(
        MLM, TOKENIZER, ["남자", x], ["의사"], [TEMPLATE]
    ),
    "categorical_bias, attribute": lambda x: bias.categorical_bias(
        MLM, TOKENIZER, ["남자", "여자"], [x], [TEMPLATE]
    ),
    "categorical_bias, template": lambda x: bias.categorical_bias(
        MLM, TOKENIZER, ["남자", "여자"], ["의사"], [x]
    ),
    **{
        f"attack, {method}": lambda x, method=method: attack.attack(
            certain, MLM, TOKENIZER, x, 1, method=method, vocabulary=["가", "나"]
        )
        for method in attack.METHODS
    },
    "Classifier": lambda x: CLASSIFIER([x]),
    "redact": exposure.redact,
    "exposure, secret": lambda x: exposure.exposure(MLM, TOKENIZER, [PROMPT], [x], ["가", "나"]),
    "exposure, prompt": lambda x: exposure.exposure(MLM, TOKENIZER, [x], ["가"], ["가", "나"]),
    "make_example, sentence": lambda x: spans.make_example(x, "가", "나"),
    "make_example, entity": lambda x: spans.make_example("이순신은 무신이다.", x, "무신"),
    "entity_bert.encode": of_a_relation,
    "FineTuned": SENTIMENT,
    "load_model": lambda x: load_model(BertForMaskedLM, x),
    "load_tokenizer": load_tokenizer,
    "read_examples": lambda x: spans.read_examples(x),
    "read_documents": lambda x: list(corpus.read_documents(x)),
    "Exercise.check": Exercise("?", "!", lambda: 5, lambda answer: []).check,
}


class Tags(HTMLParser):
    """The tags and handlers that a browser would find."""

    def __init__(self, html: str):
        super().__init__()
        self.found: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.found += [tag, *(name for name, _ in attrs)]


def shown(view) -> str:
    """All HTML of a view and of what lies in it."""
    if hasattr(view, "_repr_html_"):
        return view._repr_html_()
    html = view.value if type(view).__name__ == "HTML" else ""
    return html + "".join(map(shown, getattr(view, "children", ())))


def chat(text):
    window = ChatWindow(lambda query: CHATBOT.search([query])[0], threshold=0)
    window.send(text)
    window.retry()
    return window


def mask(text):
    view = MaskExplorer({text[:50] or "m": lambda t: probe.fill_masks(MLM, TOKENIZER, t)}, text)
    if view._words.children:
        view._words.children[0].value = True
    return view


def relation(text):
    view = RelationExplorer(lambda *_: {text[:50]: 0.5}, text)
    if view._text:
        for role in ("주어(subject)", "목적어(object)"):
            view.mark(role, 0, len(view._text) - 1)
    return view


def four_tasks(text):
    return TaskExplorer(
        lambda t: SENTIMENT(t)["probabilities"],
        lambda t: [(0, 1, "PS")],
        lambda q, t: (0, 1),
        lambda one, other: 2.5,
        *[text] * 3,
    )


VIEWS = {
    "show_tokens": lambda x: show_tokens([x], [1], [x]),
    "StageExplorer": lambda x: StageExplorer(lambda t: tokenization_stages(TOKENIZER, t), x),
    "MaskExplorer": mask,
    "ChatWindow": chat,
    "RelationExplorer": relation,
    "TaskExplorer": four_tasks,
    "Attack": lambda x: attack.attack(certain, MLM, TOKENIZER, x, 1),
}


@pytest.mark.parametrize("name", TEXTS | OTHERS)
@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_function_answers_or_says_in_a_sentence_what_is_wrong(function, name, capsys):
    try:
        FUNCTIONS[function]((TEXTS | OTHERS)[name])
    except CourseError as error:
        sentence = str(error)
        assert re.search("[가-힣]", sentence) and len(sentence) < 1000
        sentence.encode()  # it can be shown


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("view", VIEWS)
def test_a_view_shows_text_as_text(view, name):
    try:
        html = shown(VIEWS[view](TEXTS[name]))
    except CourseError:
        return
    html.encode()  # the kernel can send it
    assert len(html) < 1_000_000
    assert not {"script", "img", "onerror", "textarea"} & set(Tags(html).found)


EXPLORERS = {
    "StageExplorer": lambda x: StageExplorer(lambda t: {}, x),
    "RelationExplorer": lambda x: RelationExplorer(lambda *_: {}, x),
    "TaskExplorer": lambda x: TaskExplorer(*[lambda *_: None] * 4, x),
}


@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize("view", EXPLORERS)
def test_a_view_refuses_what_is_no_text(view, name):
    with pytest.raises(CourseError):
        EXPLORERS[view](OTHERS[name])
