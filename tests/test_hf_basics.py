import matplotlib.pyplot as plt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import BertTokenizerFast

from helpers.hf_basics import tokenization_stages
from helpers.views import diagrams, stages

PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "한국", "##어", "##이", "!", "[", "]", "M"]
PIECES += ["##AS", "##K", "é", "漢", "a", "##a"]
NORMALISED, WORDS, WORDPIECES, FINAL = range(4)


@pytest.fixture(scope="module")
def tokenizer():
    vocab = {piece: number for number, piece in enumerate(PIECES)}
    tokenizer = BertTokenizerFast(vocab=vocab, do_lower_case=False)
    tokenizer.add_tokens(["꿀잼", "꿀잼각", "漢字"])
    tokenizer.add_special_tokens({"extra_special_tokens": ["[SHKIM]", "특수", "잼통"]})
    return tokenizer


def show(tokenizer, text: str) -> list[dict]:
    return list(tokenization_stages(tokenizer, text).values())


def test_stages_of_the_docstring(tokenizer):
    names = list(tokenization_stages(tokenizer, ""))
    assert [name[0] for name in names] == list("1234")
    assert show(tokenizer, "한국어!") == [
        {"tokens": ["한국어!"]},
        {"tokens": ["한국어", "!"]},
        {"tokens": ["한국", "##어", "!"], "marks": ["1", "1", "2"]},
        {"tokens": ["[CLS]", "한국", "##어", "!", "[SEP]"], "ids": [2, 5, 6, 8, 3]},
    ]


def test_empty_text_has_only_the_special_tokens(tokenizer):
    found = show(tokenizer, "")
    assert [stage["tokens"] for stage in found] == [[], [], [], ["[CLS]", "[SEP]"]]


def test_each_stage_does_its_own_work(tokenizer):
    found = show(tokenizer, "한국\x00어漢\t뷁")
    assert found[NORMALISED]["tokens"] == ["한국어 漢  뷁"]
    assert found[WORDS]["tokens"] == ["한국어", "漢", "뷁"]
    assert found[WORDPIECES]["tokens"] == ["한국", "##어", "漢", "[UNK]"]


@pytest.mark.parametrize(
    "text, words",
    [
        ("한국[MASK]이", ["한국", "[MASK]", "이"]),
        ("[MA\x00SK]", ["[", "MASK", "]"]),  # not special as it was typed
        ("꿀\x00잼", ["꿀잼"]),  # an ordinary added token is found after normalisation
        ("특\x00수", ["특수"]),
        ("꿀잼각", ["꿀잼각"]),
        ("꿀잼통", ["꿀", "잼통"]),  # the special one is found first
        ("가漢字漢", ["가", " 漢  字 ", "漢"]),  # the library keeps its normalised form
    ],
)
def test_added_tokens_are_cut_out_as_in_the_library(tokenizer, text, words):
    found = show(tokenizer, text)
    assert found[WORDS]["tokens"] == words
    assert found[WORDPIECES]["tokens"] == tokenizer.tokenize(text)


scraps = st.sampled_from(
    [
        "한국",
        "어",
        "이",
        " ",
        "!",
        "[MASK]",
        "[SHKIM]",
        "[",
        "MASK",
        "]",
        "꿀잼",
        "각",
        "특수",
        "\x00",
    ]
    + ["漢", "字", "통", "e\u0301", "é", "😀", "\u3000", "<b>", "aa", "뷁"]
)


@given(st.lists(scraps | st.characters(codec="utf-8"), max_size=12).map("".join))
def test_stages_end_where_the_library_ends(tokenizer, text):
    _, words, pieces, final = show(tokenizer, text)
    assert ["[CLS]", *pieces["tokens"], "[SEP]"] == final["tokens"]
    assert final["ids"] == tokenizer(text)["input_ids"]
    assert len(set(pieces["marks"])) == len(words["tokens"])


# --- views ---------------------------------------------------------------------------------------


def test_explorer_follows_what_is_typed_and_escapes_it():
    explorer = stages.StageExplorer(lambda text: {"<낱말>": {"tokens": text.split()}}, "가 나")
    typed, shown, _ = explorer.children
    assert ">가<" in shown.value and "&lt;낱말&gt;" in shown.value
    typed.value = "<script>alert(1)</script>"
    assert ">가<" not in shown.value and "<script>" not in shown.value
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in shown.value
    assert "JupyterLab" in repr(explorer) and len(repr(explorer)) < 110  # ipywidgets cuts there


def test_explorer_says_when_a_text_is_cut():
    explorer = stages.StageExplorer(lambda text: {"길이": {"tokens": [str(len(text))]}})
    typed, shown, _ = explorer.children
    typed.value = "가" * stages.LIMIT
    assert f">{stages.LIMIT}<" in shown.value and "줄이십시오" not in shown.value
    typed.value += "가"
    assert f">{stages.LIMIT}<" in shown.value and "줄이십시오" in shown.value


@pytest.fixture
def texts_of():
    yield lambda ax: [text.get_text() for text in ax.texts]
    plt.close("all")


def test_shapes_name_every_size(texts_of):
    ax = diagrams.draw_shapes({"hidden": {"문장": 2, "토큰": 8, "차원": 384}, "bias": {"차원": 5}})
    texts = texts_of(ax)
    for text in ("hidden\n[2, 8, 384]", "문장 2", "토큰 8", "차원 384", "bias\n[5]", "차원 5"):
        assert text in texts
    assert len(ax.patches) == 2 + 1  # two sheets and one row


def test_head_shows_an_answer_above_its_token(texts_of):
    ax = diagrams.draw_head(["[CLS]", "좋다", "[SEP]"], {0: "긍정"}, "문장 분류")
    at = {text.get_text(): text.get_position() for text in ax.texts if text.get_text()}
    assert at["긍정"][0] == at["[CLS]"][0] == 0 and at["긍정"][1] > at["BERT"][1] > at["[CLS]"][1]
    assert at["[SEP]"][0] == 2 and ax.get_title(loc="left") == "문장 분류"


def test_head_colours_the_parts():
    ax = diagrams.draw_head(["가", "나", "다"], {}, "", parts=[0, 1, 0])
    first, second, third = (patch.get_facecolor() for patch in ax.patches[1:])
    assert first == third != second
    plt.close("all")
