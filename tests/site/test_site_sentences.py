"""The chatbot and the two sentences, used with mouse and keyboard, and compared with Python."""

import re

import numpy as np
import pytest
from browsing import ATTACK, HANGUK, compose, expect, never_attacked
from transformers import AutoModel

from helpers.export import round_weights
from helpers.resources import data_path, load_model, load_tokenizer
from helpers.similarity_chatbot import SentenceEncoder, course_chatbot, read_table, unit


@pytest.fixture(scope="module")
def encoder():
    model = round_weights(load_model(AutoModel, "mini-sentence-ko"))
    return SentenceEncoder(model, load_tokenizer("mini-sentence-ko"), bf16=False)


# --- (c) chatbot ---------------------------------------------------------------------------------


def test_the_chatbot_answers_as_pythons(demo, encoder):
    chatbot = course_chatbot(encoder)
    page = demo("chat")
    queries = [
        "이름 좀 알려 줄래?",
        "화성에는 언제 갈 수 있어?",
        "우정이란 뭘까?",
        "x" * 5000,
        "👍",
    ]
    script = """async (queries) => {
        const { search } = await import(new URL("../_static/demos/chat.js", location));
        const { encode, chat, vectors } = await window.demo;
        const found = [];
        for (const query of queries) found.push(search(chat, vectors, await encode(query)));
        return found;
    }"""
    for query, mine in zip(queries, page.evaluate(script, queries), strict=True):
        theirs = chatbot.search([query])[0] if encoder.readable([query])[0] else []
        assert len(mine) == len(theirs), query
        assert np.allclose([m["score"] for m in mine], [m.score for m in theirs], atol=1e-3)
        for found, expected in zip(mine, theirs, strict=True):
            if found["question"] != expected.question:  # two of one score may change places
                assert abs(found["score"] - expected.score) < 1e-3
    threshold = float(page.locator("input[type=range]").input_value())
    assert threshold == pytest.approx(chatbot.threshold, abs=0.006)  # the slider's steps
    lower = page.evaluate("async () => (await window.demo).chat.ask_from")
    assert lower == pytest.approx(chatbot.ask_from, abs=1e-3)


def test_chat_asks_back_and_takes_an_offer_with_the_keyboard(demo):
    page = demo("chat")
    box, shown = page.get_by_label("질문", exact=True), page.get_by_role("log")
    box.press_sequentially("어디가 아파?")
    box.press("Enter")
    expect(shown).to_contain_text("혹시 이 질문인가요?")
    offers = page.locator(".demo-row button", has_text=re.compile("아파"))
    expect(offers).to_have_count(3)
    second = offers.nth(1).inner_text()
    offers.nth(1).focus()
    page.keyboard.press("Enter")
    expect(shown).to_contain_text(f" · {second}")
    expect(shown).not_to_contain_text("혹시 이 질문인가요?")
    expect(offers).to_have_count(0)
    expect(box).to_be_focused()


def test_chat_with_the_keyboard(demo):
    page = demo("chat", width=360)
    box, shown = page.get_by_label("질문", exact=True), page.get_by_role("log")
    box.press_sequentially("이름이 뭐야?")
    box.press("Enter")
    expect(shown).to_contain_text("1.000 · 이름이 뭐야?")
    expect(box).to_have_value("")
    box.press_sequentially("화성에는 언제 갈 수 있어?")
    box.press("Enter")
    expect(shown.locator(".demo-query")).to_have_count(2)
    slider = page.locator("input[type=range]")
    slider.focus()
    page.keyboard.press("End")  # a threshold of 1: it knows nothing
    expect(shown.locator(".demo-reply").last).to_contain_text("잘 모르겠어요")
    expect(shown.locator(".demo-reply").last).to_contain_text("가장 가까운 질문")
    page.keyboard.press("Home")
    expect(shown.locator(".demo-reply").last).not_to_contain_text("잘 모르겠어요")
    page.get_by_text("마지막 질문의 후보").click()
    expect(page.locator(".demo-table tr")).to_have_count(6)
    before = shown.locator(".demo-reply").last.inner_text()
    page.get_by_role("button", name="다른 답").click()
    assert shown.locator(".demo-reply").last.inner_text() != before
    box.fill("   ")
    box.press("Enter")
    expect(shown.locator(".demo-query")).to_have_count(2)


def test_chat_in_korean_composition_is_sent_once_and_whole(demo):
    page = demo("chat")
    box, shown = page.get_by_label("질문", exact=True), page.get_by_role("log")
    box.focus()
    compose(page, [*HANGUK, ["ㅇ", "어"]])
    page.keyboard.press("Enter")
    expect(shown.locator(".demo-query")).to_have_text("한국어")
    expect(box).to_have_value("")


def test_chat_shows_markup_as_text(demo):
    page = demo("chat", dark=True)
    page.get_by_label("질문", exact=True).fill(ATTACK)
    page.get_by_role("button", name="보내기").click()
    expect(page.locator(".demo-query")).to_have_text(ATTACK)
    never_attacked(page)
    page.get_by_label("질문", exact=True).fill("👍")
    page.get_by_role("button", name="보내기").click()
    expect(page.locator(".demo-reply").last).to_contain_text("후보가 없습니다")


def test_once_loaded_it_works_offline(demo):
    page = demo("chat")
    page.context.set_offline(True)
    page.get_by_label("질문", exact=True).fill("이름이 뭐야?")
    page.get_by_role("button", name="보내기").click()
    expect(page.get_by_role("log")).to_contain_text("1.000 · 이름이 뭐야?")


# --- (d) similarity ------------------------------------------------------------------------------


def test_similarity_is_pythons_cosine_and_is_drawn(demo, encoder):
    page = demo("similarity")
    pairs = [("이름이 뭐야?", "널 뭐라고 부르면 돼?"), ("밥 먹었어?", "주식이 떨어졌다.")]
    for first, second in pairs:
        page.get_by_label("첫째 문장", exact=True).fill(first)
        page.get_by_label("둘째 문장", exact=True).fill(second)
        one, two = unit(encoder.encode([first, second]))
        expect(page.locator(".demo-cosine b")).to_have_text(re.compile(r"^-?\d\.\d{3}$"))
        page.wait_for_function(
            "value => Math.abs(document.querySelector('.demo-cosine b').textContent - value) < "
            "2e-3",
            arg=float(one @ two),
        )
    assert page.locator(".demo-map circle.demo-map-other").count() == len(course_questions())
    assert page.locator(".demo-map circle.demo-map-own").count() == 2
    nearest = page.locator(".demo-columns li").first.inner_text()
    assert nearest.split(" · ")[1] in course_questions()


def course_questions() -> list[str]:
    return [row["question"] for row in read_table(data_path("chatbot-pairs"), "question")]


def test_equal_sentences_lie_on_one_spot(demo):
    page = demo("similarity", width=360, dark=True)
    first, second = (
        page.get_by_label("첫째 문장", exact=True),
        page.get_by_label("둘째 문장", exact=True),
    )
    first.fill("")
    expect(page.locator(".demo-cosine")).to_contain_text("두 문장을 모두 쓰십시오")
    first.focus()
    compose(page, HANGUK)
    page.keyboard.press("Tab")
    page.keyboard.press("Control+A")
    page.keyboard.type("한국")
    expect(second).to_have_value("한국")
    expect(page.locator(".demo-cosine b")).to_have_text("1.000")
    spots = page.locator(".demo-map-own")
    assert spots.nth(0).get_attribute("cx") == spots.nth(1).get_attribute("cx")
    second.fill("👍")
    expect(page.locator(".demo-cosine")).to_contain_text("모델이 아는 글자가 없는 문장")
    second.fill(ATTACK)
    expect(page.locator(".demo-cosine b")).to_have_count(1)
    never_attacked(page)
