// (c) The chatbot over the course's pairs: helpers.views.chat.ChatWindow and SimilarityChatbot.search.
import { dot, element, loadChat, place } from "./common.js";

const LIMIT = 300; // characters of a message that are shown
const TURNS = 50; // messages that are kept
const UNKNOWN = "잘 모르겠어요. 다르게 물어봐 주시겠어요?";
const ASK = "혹시 이 질문인가요?";
const OFFERED = 3; // questions that are offered where it asks back
const clip = (text) => (text.length <= LIMIT ? text : `${text.slice(0, LIMIT - 1)}…`);

/** The best questions of a query: [{question, answer, score}], best first; [] if nothing can be read. */
export function search(chat, vectors, query, top = 5) {
  if (query.every((value) => value === 0)) return [];
  return chat.questions
    .map((question, i) => ({
      question,
      answer: chat.answers[i],
      score: dot(query, vectors, i * query.length),
      row: i,
    }))
    .sort((a, b) => b.score - a.score || a.row - b.row)
    .slice(0, top);
}

/** Whether the thresholds let a query be answered ("answer"), asked back ("ask") or neither ("unknown"). */
export function zone(candidates, lower, upper) {
  const score = candidates.length ? candidates[0].score : -1;
  return score >= upper ? "answer" : score >= lower ? "ask" : "unknown";
}

/** The answer of a turn, and in one line where it comes from; chosen: the reader's candidate or null. */
export function reply(candidates, chosen, lower, upper) {
  if (!candidates.length) return [UNKNOWN, "후보가 없습니다"];
  const where = zone(candidates, lower, upper);
  const { answer, question, score } = candidates[chosen ?? 0];
  const source = `${score.toFixed(3)} · ${question}`;
  if (chosen !== null || where === "answer") return [answer, source];
  return [where === "ask" ? ASK : UNKNOWN, `가장 가까운 질문: ${source}`];
}

export async function start() {
  const root = place("chat");
  const [encode, chat, vectors] = await loadChat(root);
  let turns = []; // {query, candidates, chosen}

  const shown = element("div", { class: "demo-chat", tabindex: 0, role: "log", "aria-label": "대화" });
  const typed = element("input", {
    type: "text",
    "aria-label": "질문",
    placeholder: "질문을 쓰고 Enter를 누르십시오",
    autocomplete: "off",
  });
  const again = element("button", { type: "button", onclick: retry, disabled: "" }, "다른 답(retry)");
  const form = element(
    "form",
    { class: "demo-row", onsubmit: send },
    typed,
    element("button", { type: "submit", class: "demo-primary" }, "보내기"),
    again,
  );
  const threshold = element("input", {
    type: "range",
    id: "chat-threshold",
    min: 0,
    max: 1,
    step: 0.01,
    oninput: draw,
  });
  threshold.value = chat.threshold;
  const value = element("output", { for: threshold.id });
  const table = element("table");
  const candidates = element(
    "details",
    { class: "demo-details" },
    element("summary", {}, "마지막 질문의 후보"),
    element("div", { class: "demo-table" }, table),
  );
  const slider = element(
    "div",
    { class: "demo-row" },
    element("label", { for: threshold.id }, "문턱값(threshold)"),
    threshold,
    value,
  );
  const offers = element("div", { class: "demo-row" });
  root.append(shown, offers, form, slider, candidates);

  function take(number) {
    choose(number);
    typed.focus(); // the button with the focus is gone
  }

  async function send(event) {
    event.preventDefault();
    const query = typed.value.trim();
    if (!query) return;
    typed.value = "";
    const found = search(chat, vectors, await encode(query));
    turns = [...turns, { query, candidates: found, chosen: null }].slice(-TURNS);
    draw();
  }

  function retry() {
    const { candidates, chosen } = turns.at(-1);
    const answered = chosen === null && zone(candidates, lower(), upper()) === "answer" ? 0 : chosen;
    choose(answered === null ? 0 : (answered + 1) % candidates.length);
  }

  function choose(number) {
    turns.at(-1).chosen = number;
    draw();
  }

  // The slider moves the upper threshold; the lower one never lies above it.
  function upper() {
    return Number(threshold.value);
  }

  function lower() {
    return Math.min(chat.ask_from, upper());
  }

  function draw() {
    value.textContent = Number(threshold.value).toFixed(2);
    const messages = turns.flatMap(({ query, candidates, chosen }) => {
      const [answer, source] = reply(candidates, chosen, lower(), upper());
      return [
        element("div", { class: "demo-query" }, clip(query)),
        element("div", { class: "demo-reply" }, clip(answer), element("small", {}, clip(source))),
      ];
    });
    shown.replaceChildren(...messages);
    shown.scrollTop = shown.scrollHeight;
    const last = turns.at(-1)?.candidates ?? [];
    const asks = turns.at(-1)?.chosen === null && zone(last, lower(), upper()) === "ask";
    offers.replaceChildren(
      ...(asks ? last.slice(0, OFFERED) : []).map(({ question }, i) =>
        element("button", { type: "button", onclick: () => take(i) }, clip(question)),
      ),
    );
    again.disabled = !last.length;
    const cells = (name, row) => element("tr", {}, ...row.map((text) => element(name, {}, text)));
    const rows = last.map(({ question, answer, score }, i) =>
      cells("td", [String(i + 1), score.toFixed(3), clip(question), clip(answer)]),
    );
    table.replaceChildren(
      ...(rows.length
        ? [cells("th", ["", "점수", "질문", "답"]), ...rows]
        : [element("tr", {}, element("td", {}, "아직 질문이 없습니다."))]),
    );
  }
  draw();
  typed.focus({ preventScroll: true });
  return { encode, chat, vectors };
}
