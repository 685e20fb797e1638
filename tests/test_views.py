import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from transformers import TrainerControl, TrainerState, TrainingArguments

from helpers import CourseError
from helpers.views import charts, chat, diagrams, masks, tokens
from helpers.views.moments import MomentExplorer
from helpers.views.relation import LIMIT, RelationExplorer
from helpers.views.tasks import TaskExplorer


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def test_tokens_read_well_without_html():
    view = tokens.show_tokens(
        ["[CLS]", "한국", "##어"], ids=[2, 812, 95], marks=[None, "나라", None]
    )
    assert repr(view) == "[CLS]/2 한국/812<나라> ##어/95"
    assert repr(tokens.show_tokens(["가", "나"])) == "가 나"


def test_tokens_are_escaped():
    view = tokens.show_tokens(["<script>", "&"], marks=["<b>", None])
    html = view._repr_html_()
    assert "<script>" not in html and "<b>" not in html
    assert "&lt;script&gt;" in html and "&amp;" in html and "&lt;b&gt;" in html


def test_same_mark_same_colour():
    html = tokens.show_tokens(list("가나다라"), marks=["A", "B", "A", None])._repr_html_()
    colours = [part.split(";")[0] for part in html.split("background:")[1:]]
    assert colours[0] == colours[2]
    assert len(set(colours)) == 3


@pytest.mark.parametrize("wrong", [{"ids": [1]}, {"marks": ["A"]}])
def test_lengths_must_agree(wrong):
    with pytest.raises(CourseError, match="토큰은 2개인데"):
        tokens.show_tokens(["가", "나"], **wrong)


def test_bars_of_one_and_of_several_series():
    ax = charts.bars(["가", "나"], [1.0, 2.0], ylabel="수")
    assert [bar.get_height() for bar in ax.patches] == [1.0, 2.0]
    assert ax.get_legend() is None
    ax = charts.bars(["가", "나"], {"A": [1, 2], "B": [3, 4]})
    assert [bar.get_height() for bar in ax.patches] == [1, 2, 3, 4]
    lefts = sorted(bar.get_x() for bar in ax.patches)
    assert np.all(np.diff(lefts) >= ax.patches[0].get_width() - 1e-9)  # none hides another
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["A", "B"]
    assert [label.get_text() for label in ax.get_xticklabels()] == ["가", "나"]


def test_legend_hides_no_number():
    heights = {"plain": [72, 75, 38], "lecture": [33, 45, 29], "entity_embedding": [84, 87, 67]}
    ax = charts.bars(["가", "나", "다"], heights)  # matplotlib's own place hid the 67
    ax.figure.canvas.draw()
    legend = ax.get_legend().get_window_extent()
    assert len(ax.texts) == 9
    assert not any(legend.overlaps(number.get_window_extent()) for number in ax.texts)


def test_dots_show_every_number_and_the_mean():
    ax = charts.dots({"가": [1.0, 3.0], "나": [5.0]}, "점수", "제목", {"기준선": 2.5})
    drawn = [[float(x) for x in line.get_xdata()] for line in ax.lines]
    assert drawn == [[1.0, 3.0], [2.0, 2.0], [5.0], [5.0, 5.0], [2.5, 2.5]]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["가", "나"]
    assert [text.get_text() for text in ax.texts] == ["기준선"]
    assert ax.get_ylim()[0] > ax.get_ylim()[1]  # the first name stands on top


def test_number_stands_above_the_error_bar():
    ax = charts.bars(["가", "나"], [1.0, 2.0], errors=[0.5, 0.0])
    assert [label.xy[1] for label in ax.texts] == [1.5, 2.0]


def test_bars_of_a_family_have_one_colour_and_a_name():
    ax = charts.bars(["가", "나", "다"], [1.0, 2.0, 3.0], families=["글자", "벡터", "글자"])
    first, second, third = (bar.get_facecolor() for bar in ax.patches)
    assert first == third != second
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["글자", "벡터"]


def test_lines():
    ax = charts.lines({"손실": ([0, 100], [7.6, 6.2])}, "단계", "손실")
    (line,) = ax.lines
    assert list(line.get_xdata()) == [0, 100] and list(line.get_ydata()) == [7.6, 6.2]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("단계", "손실")


def test_lines_with_error_bars():
    ax = charts.lines({"노출도": (["0번", "1번"], [1.0, 3.0], [0.5, 0.2])})
    (bars,) = ax.containers
    assert [segment[:, 1].tolist() for segment in bars[2][0].get_segments()] == [
        [0.5, 1.5],
        pytest.approx([2.8, 3.2]),
    ]
    assert list(bars[0].get_ydata()) == [1.0, 3.0]


def test_marks_across_lines_are_named_beside_them():
    ax = charts.lines({"손실": ([0, 1], [3, 1])}, marks={"빈도만": 2.0})
    assert [text.get_text() for text in ax.texts] == ["손실", "빈도만"]  # from below
    assert ax.get_legend() is None and list(ax.lines[1].get_ydata()) == [2.0, 2.0]


def test_few_lines_are_named_at_their_ends_and_never_on_top_of_each_other():
    series = {"가": ([0, 1], [3, 1.0]), "나": ([0, 1], [2, 1.01]), "다": ([0, 1], [1, 5.0])}
    series["나"] = tuple(pd.Series(values, index=[7, 8]) for values in series["나"])
    ax = charts.lines(series)
    ax.figure.canvas.draw()
    assert ax.get_legend() is None
    assert [text.get_text() for text in ax.texts] == ["가", "나", "다"]  # from below
    assert [text.get_color() for text in ax.texts] == [line.get_color() for line in ax.lines]
    boxes = [text.get_window_extent() for text in ax.texts]
    assert not any(a.overlaps(b) for a, b in zip(boxes, boxes[1:], strict=False))
    assert all(box.x0 > ax.get_window_extent().x1 for box in boxes)
    ax.axhline(60, label="기준선")  # the lines come closer together, their names must not
    ax.figure.canvas.draw()
    boxes = [text.get_window_extent() for text in ax.texts]
    assert not any(a.overlaps(b) for a, b in zip(boxes, boxes[1:], strict=False))
    assert [text.get_text() for text in ax.legend().get_texts()] == ["기준선"]


@pytest.mark.parametrize("names", ["가나다라마", ["아주 길어서 옆에 둘 수 없는 이름", "나"]])
def test_many_lines_and_long_names_get_a_legend(names):
    ax = charts.lines({name: ([0, 1], [1, 2]) for name in names})
    assert [text.get_text() for text in ax.get_legend().get_texts()] == list(names)
    assert not ax.texts


def words_of(explorer):
    return {button.description: button for button in explorer._words.children}


def test_a_click_hides_a_word_and_shows_what_models_put_there():
    asked = []

    def fill(text):
        asked.append(text)
        return [[("조선", 0.75), ("<b>", 0.25)]] * text.count("[MASK]")

    explorer = masks.MaskExplorer({"가": fill, "나<": fill}, "이순신은 조선 무신이다.")
    shown = explorer._shown
    assert asked == [] and "눌러" in shown.value
    words_of(explorer)["조선"].value = True
    assert explorer.text == "이순신은 [MASK] 무신이다." and set(asked) == {explorer.text}
    assert "75.0%" in shown.value and "나&lt;" in shown.value
    assert "<b>가</b>" in shown.value and "&lt;b&gt;" in shown.value  # ours, and the token's
    assert "width:6.75em" in shown.value
    words_of(explorer)["무신이다."].value = True
    assert explorer.text == "이순신은 [MASK] [MASK]."
    words_of(explorer)["조선"].value = False
    assert explorer.text == "이순신은 조선 [MASK]."


def test_typing_keeps_what_was_hidden_and_masks_may_be_typed():
    explorer = masks.MaskExplorer({"가": lambda text: []}, "서울은 수도이다")
    words_of(explorer)["서울은"].value = True
    explorer._typed.value = "서울은 큰 [MASK]이다"
    assert explorer.text == "[MASK] 큰 [MASK]이다"
    explorer._typed.value = "부산은 큰 [MASK]이다"
    assert explorer.text == "부산은 큰 [MASK]이다"
    assert repr(explorer).endswith("나타납니다.")


def test_what_a_model_says_is_shown_and_escaped():
    def fails(text):
        raise ValueError("<i>너무 깁니다</i>")

    explorer = masks.MaskExplorer({"가": fails}, "<img src=x> [MASK]")
    assert "&lt;i&gt;너무 깁니다" in explorer._shown.value
    assert "<img" not in explorer._shown.value and "&lt;img" in explorer._shown.value


def test_heat_map_has_rows_down_and_columns_across():
    ax = charts.heat_map([[1, 2, 3], [4, 5, 6]], ["위", "아래"], ["가", "나", "다"])
    assert ax.images[0].get_array().tolist() == [[1, 2, 3], [4, 5, 6]]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["위", "아래"]
    assert [label.get_text() for label in ax.get_xticklabels()] == ["가", "나", "다"]


def test_live_loss_follows_a_trainers_log(tmp_path):
    live = charts.LiveLoss()
    state = TrainerState(global_step=10, is_world_process_zero=True)
    arguments = TrainingArguments(tmp_path, report_to=[], use_cpu=True), state, TrainerControl()
    live.on_log(*arguments, logs={"loss": 5.0, "learning_rate": 0.1})
    live.on_log(*arguments, logs={"train_runtime": 1.0})
    state.global_step = 20
    live.on_log(*arguments, logs={"eval_loss": 4.0})
    assert live.points == {"loss": ([10], [5.0]), "eval_loss": ([20], [4.0])}
    state.is_world_process_zero = False
    live.on_log(*arguments, logs={"loss": 1.0})
    assert live.points["loss"] == ([10], [5.0])


def test_a_live_loss_says_its_last_value(monkeypatch):
    shown = []
    monkeypatch.setattr(charts, "display", lambda figure, **_: shown.append(figure))
    live = charts.LiveLoss()
    live.update(10, loss=0.5)
    live._handle = None  # shown anew instead of in the same place
    live.update(20, eval_loss=0.25)
    titles = [figure.axes[0].get_title(loc="left") for figure in shown]
    assert titles == ["마지막 손실: 0.5", "마지막 손실: loss 0.5, eval_loss 0.25"]
    charts.LiveLoss(title="손실 {first:.1f} → {last:.1f}").update(1, loss=2.0)
    assert shown[-1].axes[0].get_title(loc="left") == "손실 2.0 → 2.0"


def test_sum_of_embeddings_has_a_row_each_and_a_plus_between():
    ax = diagrams.draw_sum({"토큰": ["이", "##순신은"], "개체": ["E1", "E1"]}, "입력")
    texts = [text.get_text() for text in ax.texts]
    assert texts == ["토큰", "이", "##순신은", "개체", "E1", "+", "E1", "+"]


def test_layer_is_drawn_in_its_order():
    ax = diagrams.draw_layer()
    texts = [text.get_text() for text in ax.texts if text.get_text()]
    parts = ["어텐션", "+", "LayerNorm", "피드포워드", "+", "LayerNorm"]
    assert [text for text in texts if text in parts] == parts


def explorer(text="이순신은 무신이다."):
    asked = []

    def relations(sentence, subject, object):
        asked.append((sentence, subject, object))
        if sentence[subject[0]] == "!":
            raise CourseError("<b>안 됩니다.</b>")
        return {"<i>관계</i>": 0.25, "no_relation": 0.75}

    return RelationExplorer(relations, text), asked


def test_relations_are_asked_once_both_entities_are_marked():
    view, asked = explorer()
    view.mark("주어(subject)", 0, 2)
    assert asked == [] and "목적어(object)의 첫 글자" in view._shown.value
    view.mark("목적어(object)", 6, 5)
    assert asked == [("이순신은 무신이다.", (0, 2), (5, 6))]
    shown = view._shown.value
    assert shown.index("no_relation") < shown.index("&lt;i&gt;관계")  # the most probable first
    assert "<i>" not in shown and "75.0%" in shown
    assert [button.description for button in view._sentence.children][:5] == [*"이순신은", "\xa0"]


def test_marked_letters_are_coloured_until_the_sentence_changes():
    view, _ = explorer()
    view.mark("주어(subject)", 0, 1)
    colours = [button.style.button_color for button in view._sentence.children]
    assert colours[0] == colours[1] != colours[2]
    view._typed.value = "세종은 왕이다."
    assert {button.style.button_color for button in view._sentence.children} == {"transparent"}
    assert "주어(subject)의 첫 글자" in view._shown.value


def test_error_is_a_sentence_and_a_long_text_is_cut():
    view, _ = explorer("! 가" + "나" * LIMIT)
    assert len(view._sentence.children) == LIMIT and f"앞의 {LIMIT}자만" in view._shown.value
    view.mark("주어(subject)", 0, 0)
    view.mark("목적어(object)", 2, 2)
    assert "&lt;b&gt;안 됩니다." in view._shown.value and "<b>안" not in view._shown.value
    assert "JupyterLab이나 Colab" in repr(view)


def chat_window(threshold=0.5, **options):
    table = {"이름?": [("이름이 뭐야?", "버티예요.", 0.9), ("몇 살이야?", "없어요.", 0.3)], "?": []}
    return chat.ChatWindow(table.__getitem__, threshold, **options)


def offered(window):
    return [b.description for b in window._offers if b.layout.display != "none"]


def test_chat_shows_answers_and_their_source():
    window = chat_window()
    window.send("  이름? ")
    for part in ("이름?", "버티예요.", "0.900 · 이름이 뭐야?"):
        assert part in window._shown.value
    assert "없어요." not in window._shown.value and "없어요." in window._table.value
    assert window._typed.value == ""
    assert "JupyterLab" in repr(window)


def test_chat_threshold_judges_the_whole_conversation():
    window = chat_window()
    window.send("이름?")
    window.send("?")
    assert window._shown.value.count("잘 모르겠어요.") == 1  # nothing was found for the second
    window._thresholds.value = (0.95, 0.95)
    assert not offered(window)
    assert window._shown.value.count("잘 모르겠어요.") == 2
    assert (
        "가장 가까운 질문: 0.900" in window._shown.value and "버티예요." not in window._shown.value
    )


def test_chat_retry_goes_through_the_candidates():
    window = chat_window()
    window.retry()  # nothing was asked yet
    assert window._retry.disabled
    window.send("이름?")
    assert not window._retry.disabled
    window.retry()
    assert "없어요." in window._shown.value and "버티예요." not in window._shown.value
    window.retry()
    assert "버티예요." in window._shown.value and len(window.turns) == 1


def test_chat_retry_after_not_knowing_begins_with_the_best_candidate():
    window = chat_window(threshold=0.95)
    window.send("이름?")
    shown = []
    for _ in range(4):
        shown.append(
            [a for a in ("잘 모르겠어요.", "버티예요.", "없어요.") if a in window._shown.value]
        )
        window.retry()
    assert shown == [["잘 모르겠어요."], ["버티예요."], ["없어요."], ["버티예요."]]


def test_chat_asks_back_between_the_thresholds_and_answers_what_is_chosen():
    window = chat_window(threshold=0.95, ask_from=0.5)
    assert not offered(window)
    window.send("이름?")
    assert "혹시 이 질문인가요?" in window._shown.value
    assert "버티예요." not in window._shown.value and "잘 모르겠어요." not in window._shown.value
    assert offered(window) == ["이름이 뭐야?", "몇 살이야?"]  # two candidates, no third button
    window._offers[1].click()
    assert "없어요." in window._shown.value and "0.300 · 몇 살이야?" in window._shown.value
    assert not offered(window) and len(window.turns) == 1
    window.send("?")  # nothing was found: nothing to ask
    assert "잘 모르겠어요." in window._shown.value and not offered(window)


def test_chat_zones_meet_at_the_thresholds_and_follow_the_slider():
    for score, expected in ((0.7, "answer"), (0.69, "ask"), (0.4, "ask"), (0.39, "unknown")):
        window = chat.ChatWindow(lambda _query, s=score: [("가", "나", s)], 0.7, ask_from=0.4)
        assert window.zone([chat.Candidate("가", "나", score)]) == expected
    window.send("가")
    window._thresholds.value = (0.2, 0.6)
    assert offered(window) == ["가"]
    window._thresholds.value = (0.2, 0.3)
    assert "0.390 · 가" in window._shown.value and not offered(window)
    for odd in ({"threshold": 1.005}, {"threshold": -0.4}, {"threshold": 0.4, "ask_from": 0.6}):
        lower, upper = chat.ChatWindow(lambda _query: [], **odd)._thresholds.value
        assert 0 <= lower <= upper <= 1


def test_chat_escapes_everything_and_ignores_blanks():
    attack = "<img src=x onerror=alert(1)>"
    window = chat.ChatWindow(lambda query: [(attack, attack, 0.9)])
    for query in ("", "   ", attack):
        window.send(query)
    assert len(window.turns) == 1
    for html in (window._shown.value, window._table.value):
        assert "<img" not in html and "&lt;img" in html
    window.send("가" * 5000)
    assert len(window._shown.value) < 3000


def task_explorer(text="", question="", other="", **changes):
    answers = {
        "sentiment": lambda text: {"긍정": 0.75, "<b>": 0.25},
        "entities": lambda text: [(3, 5, "LC"), (0, 2, "PS")],
        "reading": lambda question, text: None,
        "similarity": lambda one, other: 2.5,
    }
    return TaskExplorer(*(answers | changes).values(), text, question, other)


def test_task_explorer_escapes_and_orders_what_it_shows():
    view = task_explorer("세종 한양 <i>")
    sentiment, entities, *_ = (html.value for html in view.children[3:])
    assert "75.0%" in sentiment and "&lt;b&gt;" in sentiment and "<b>감성" in sentiment
    assert entities.index("세종") < entities.index("한양") and "&lt;i&gt;" in entities


def test_task_explorer_asks_only_what_a_changed_box_concerns():
    asked = []
    view = task_explorer("글", sentiment=lambda text: asked.append(text) or {"긍정": 1.0})
    view.children[2].value = "다른 글"
    assert asked == ["글"] and "2.5" in view.children[6].value
    view.children[0].value = "새 글"
    assert asked == ["글", "새 글"]


def test_task_explorer_shows_an_error_and_refuses_a_long_text():
    def fail(text):
        raise CourseError("<글>을 줄이십시오.")

    view = task_explorer("글", sentiment=fail)
    assert "&lt;글&gt;을 줄이십시오." in view.children[3].value
    view.children[0].value = "가" * 1001
    assert "1,000자" in view.children[3].value
    view.children[0].value = " "
    assert "빈 칸" in view.children[3].value


@pytest.mark.parametrize(
    "values, written",
    [
        ([0.0521, -0.000331, 0.0], ["0.0521", "-0.0003", "0.0000"]),
        ([45.3, 41.0], ["45.3", "41.0"]),
        ([30, 7], ["30", "7"]),
        ([0.0, 0.0], ["0", "0"]),
        ([0.5, float("nan")], ["0.500", ""]),
    ],
)
def test_the_tallest_bar_sets_the_decimals_of_all(values, written):
    ax = charts.bars(list("가나다")[: len(values)], values)
    assert [text.get_text() for text in ax.texts] == written


def test_the_slider_shows_the_answers_of_its_moment():
    record = {
        "prompts": ["봄, [MASK]", "<b>[MASK]"],
        "moments": [
            {"step": 0, "minutes": 0.0, "answers": [[["##는", 0.2]], [["가", 0.1]]]},
            {"step": 1500, "minutes": 9.5, "answers": [[["여름", 0.9]], [["나", 0.1]]]},
        ],
    }
    view = MomentExplorer(record)
    assert [name for name, _ in view._moment.options] == ["0스텝", "1,500스텝"]
    assert "##는" in view._shown.value and "여름" not in view._shown.value
    view._moment.value = 1
    assert "여름" in view._shown.value and "90.0%" in view._shown.value
    assert "&lt;b&gt;" in view._shown.value and "<b>[MASK]" not in view._shown.value


def test_steps_angles_and_exposure_are_drawn_where_they_belong():
    ax = diagrams.draw_steps({"질의": "이름이 뭐야?", "답": "버티예요."})
    assert [text.get_text() for text in ax.texts if text.get_text()] == [
        "질의", "이름이 뭐야?", "답", "버티예요.",
    ]  # fmt: skip
    ax = diagrams.draw_angles({"질의": 1.0, "직각": 0.0, "반대": -1.0})
    tips = [text.xy for text in ax.texts if hasattr(text, "xy")]
    assert np.allclose(tips, [(1, 0), (0, 1), (-1, 0)], atol=1e-12)
    ax = diagrams.draw_exposure(1024, {"첫째": 1, "가운데": 512, "꼴찌": 1024})
    assert [float(line.get_xdata()[0]) for line in ax.lines] == [10, 1, 0]
    assert "512등: 1.0비트" in ax.texts[1].get_text()
