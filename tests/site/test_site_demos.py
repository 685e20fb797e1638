"""WordPiece, masks and the time machine, used with mouse and keyboard, and compared with Python."""

import json
import os

import numpy as np
import pytest
from browsing import ATTACK, HANGUK, compose, expect, never_attacked
from transformers import BertForMaskedLM

from helpers.batches import encode
from helpers.export import round_weights
from helpers.hf_basics import tokenization_stages
from helpers.mask_attack.probe import fill_masks
from helpers.resources import load_model, load_tokenizer

HOSTILE = [
    "한국어를 공부한다.",
    "NFD: \u1112\u1161\u11ab\u1100\u116e\u11a8 과 é",
    "이모지 👩‍👩‍👧 와 漢字, 뷁쀍",
    "[MASK]는 [UNK] [CLS] 라고 쓴다",
    "a\u200bb\tc\u3000d\u00a0e \u202e거꾸로",
    ATTACK,
    "1,234.5원은 50%입니까?",
]


@pytest.fixture(scope="module")
def tokenizer():
    return load_tokenizer("mini-bert-ko")


@pytest.fixture(scope="module")
def bert():
    return round_weights(load_model(BertForMaskedLM, "mini-bert-ko"))


# --- (a) WordPiece -------------------------------------------------------------------------------


def test_wordpiece_shows_what_python_shows(demo, tokenizer):
    page = demo("wordpiece")
    script = """async (texts) => {
        const { stages } = await import(new URL("../_static/demos/wordpiece.js", location));
        const { tokenizer } = await window.demo;
        return texts.map((text) => stages(tokenizer, text));
    }"""
    found = page.evaluate(script, HOSTILE)
    for text, mine in zip(HOSTILE, found, strict=True):
        assert mine == json.loads(json.dumps(tokenization_stages(tokenizer, text))), text


def test_wordpiece_follows_the_typing(demo):
    page = demo("wordpiece", width=360)
    box, shown = page.get_by_label("문장", exact=True), page.locator("[data-demo]")
    box.fill("")
    box.focus()
    compose(page, HANGUK)
    expect(box).to_have_value("한국")
    expect(shown.locator(".demo-token").first).to_have_text("한국")
    page.keyboard.type("어 [MASK]")
    expect(shown).to_contain_text("[SEP]")
    box.fill(ATTACK)
    expect(shown).to_contain_text(ATTACK)
    never_attacked(page)
    box.fill("가" * 1000)
    expect(shown).to_contain_text("앞의 300자만 보여 줍니다")
    box.fill("")
    expect(shown).to_contain_text("[CLS]")


# --- (b) masks -----------------------------------------------------------------------------------


def test_masked_text_is_encoded_as_python_does(demo, tokenizer):
    texts = [
        "이순신은 [MASK] 중기의 무신이다.",
        "수도는 [MASK]이다. 끝",
        "[MASK]",
        "[MASK][MASK]에서 [MASK]뷁는",
        "앞[MASK](뒤) [MASK]1번",
        f"{ATTACK} [MASK]을",
    ]
    page = demo("masks")
    script = """async (texts) => {
        const { encodeMasked } = await import(new URL("../_static/demos/masks.js", location));
        const { tokenizer } = await window.demo;
        return texts.map((text) => encodeMasked(tokenizer, text));
    }"""
    assert page.evaluate(script, texts) == [encode(tokenizer, text) for text in texts]


def test_clicked_words_become_masks_with_the_models_own_answers(demo, tokenizer, bert):
    page = demo("masks")
    words, shown = page.locator(".demo-words button"), page.locator("[data-demo] .demo-columns")
    expect(words).to_have_count(4)
    expect(page.locator(".demo-sentence")).to_have_text("이순신은 [MASK] 중기의 무신이다.")
    for label in ("내장 모델", "법률 글을 더 읽은 모델"):
        expect(shown).to_contain_text(label)
    ((first, *_),) = fill_masks(bert, tokenizer, "이순신은 [MASK] 중기의 무신이다.")
    rows = shown.locator("> div").first.locator(".demo-bar")
    expect(rows).to_have_count(5)
    assert rows.first.inner_text().split() == [first[0], f"{first[1]:.1%}"]
    words.nth(3).click()
    expect(page.locator(".demo-sentence")).to_have_text("이순신은 [MASK] 중기의 [MASK].")
    expect(rows).to_have_count(10)
    words.nth(3).click()
    words.nth(1).click()
    expect(page.locator(".demo-sentence")).to_have_count(0)


def test_the_five_best_are_pythons(demo, tokenizer, bert):
    texts = ["서울은 대한민국의 [MASK]이다.", "[MASK]은 조선의 제4대 [MASK]이다.", "밥을 [MASK]."]
    page = demo("masks")
    script = """async (texts) => {
        const { fillMasks } = await import(new URL("../_static/demos/masks.js", location));
        const { tokenizer, models } = await window.demo;
        const found = [];
        const model = models["mini-bert-ko"];
        for (const text of texts) found.push(await fillMasks(tokenizer, model, text));
        return found;
    }"""
    for text, mine in zip(texts, page.evaluate(script, texts), strict=True):
        for found, expected in zip(mine, fill_masks(bert, tokenizer, text), strict=True):
            assert [piece for piece, _ in found] == [piece for piece, _ in expected]
            assert np.allclose([p for _, p in found], [p for _, p in expected], atol=1e-4)


def test_the_two_models_are_two(demo):
    page = demo("masks")
    script = """async (text) => {
        const { fillMasks } = await import(new URL("../_static/demos/masks.js", location));
        const { tokenizer, models } = await window.demo;
        const all = [];
        for (const run of Object.values(models)) all.push(await fillMasks(tokenizer, run, text));
        return all;
    }"""
    first, second = page.evaluate(script, "이 법은 [MASK]부터 시행한다.")
    assert first != second


def test_masks_with_the_keyboard_and_korean_composition(demo):
    page = demo("masks", width=360, dark=True)
    box, words = page.get_by_label("문장", exact=True), page.locator(".demo-words button")
    box.fill("")
    expect(words).to_have_count(0)
    box.focus()
    compose(page, HANGUK)
    page.keyboard.type(" 사람")
    expect(words).to_have_count(2)
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    expect(words.nth(1)).to_have_attribute("aria-pressed", "true")
    expect(page.locator(".demo-sentence")).to_have_text("한국 [MASK]")
    expect(page.locator(".demo-bar").first).to_be_visible()
    box.fill("서울은 <img src=x onerror=\"document.title='attacked'\"> 수도이다")
    expect(words).to_have_count(5)
    words.first.click()
    expect(page.locator(".demo-sentence")).to_contain_text("[MASK] <img src=x")
    never_attacked(page)
    box.fill("[MASK]을 직접 쓴다")
    expect(page.locator(".demo-sentence")).to_have_text("[MASK]을 직접 쓴다")


# --- (e) time machine ----------------------------------------------------------------------------


@pytest.mark.skipif("COURSE_SITE_HTML" in os.environ, reason="a built site shows the real record")
def test_the_time_machine_with_keyboard_and_mouse(demo):
    page = demo("time_machine", width=360)
    shown = page.locator("[data-demo]")
    expect(shown.locator(".demo-bar").first).to_contain_text("수도")
    expect(shown).to_contain_text("4,000스텝, 60.0분")
    page.get_by_label("학습의 순간").focus()
    page.keyboard.press("ArrowLeft")
    expect(shown.locator(".demo-bar").first).to_contain_text("도시")
    expect(shown).to_contain_text("400스텝, 3.5분, 읽은 토큰 1,200,000개")
    page.keyboard.press("Home")
    expect(shown.locator(".demo-bar").first).to_contain_text(")")
    page.get_by_label("문장", exact=True).select_option(label="축구 선수는 발로 [MASK] 찬다.")
    expect(shown.locator(".demo-bar").last).to_contain_text("<b>")
    page.get_by_role("button", name="처음부터 재생").click()
    expect(shown.locator(".demo-bar").first).to_contain_text("공을")
    expect(shown).to_contain_text("4,000스텝, 60.0분")
    expect(page.get_by_role("button", name="처음부터 재생")).to_be_visible()
    expect(shown.locator("li[aria-current]")).to_contain_text("4,000스텝")


# --- where it cannot work ------------------------------------------------------------------------


def test_a_model_that_does_not_come_is_one_sentence(open_page, browser):
    page = open_page("index.html")
    page.route("**/*.onnx", lambda route: route.abort())
    page.goto(page.url.replace("index.html", "demos/chat.html"))
    expect(page.get_by_role("alert")).to_contain_text("십시오.")
    assert page.locator("progress").count() == 0
    open_page.complaints.clear()  # the browser reports the request that was cut off


def test_a_browser_without_webassembly_is_told_so(open_page):
    page = open_page("index.html")
    page.add_init_script("delete window.WebAssembly")
    page.goto(page.url.replace("index.html", "demos/masks.html"))
    expect(page.get_by_role("alert").first).to_contain_text(
        "이 브라우저에서는 모델을 실행할 수 없습니다"
    )
