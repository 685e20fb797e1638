"""What the tests of the demos share: typing Korean, hostile text, and waiting for the page."""

ATTACK = "<b>가</b><img src=x onerror=\"document.title='attacked'\">"


def expect(locator):
    from playwright.sync_api import expect as expected

    return expected(locator)


def compose(page, syllables: list[list[str]]) -> None:
    """Type Korean as an input method does: compose([["ㅎ", "하", "한"],
    ["ㄱ", "구", "국"]]) -> 한국
    """
    session = page.context.new_cdp_session(page)
    for steps in syllables:
        for shown in steps:
            session.send(
                "Input.imeSetComposition",
                {"text": shown, "selectionStart": len(shown), "selectionEnd": len(shown)},
            )
        session.send("Input.insertText", {"text": steps[-1]})


HANGUK = [["ㅎ", "하", "한"], ["ㄱ", "구", "국"]]


def never_attacked(page) -> None:
    assert page.locator("[data-demo] img").count() == 0
    assert page.title() != "attacked"
