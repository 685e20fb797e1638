// (c) The chatbot over the course's pairs: helpers.views.chat.ChatWindow and SimilarityChatbot.search.
import { dot, element, loadChat, place } from "./common.js";

const LIMIT = 300; // characters of a message that are shown
const TURNS = 50; // messages that are kept
const UNKNOWN = "잘 모르겠습니다. 다른 말로 다시 물어봐 주십시오.";
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

/** The answer of a turn, and in one line where it comes from. */
export function reply(candidates, retries, threshold) {
  if (!candidates.length) return [UNKNOWN, "후보가 없습니다"];
  const known = candidates[0].score >= threshold;
  const { answer, question, score } =
    candidates[Math.max(0, retries - (known ? 0 : 1)) % candidates.length];
  const source = `${score.toFixed(3)} · ${question}`;
  return known || retries ? [answer, source] : [UNKNOWN, `가장 가까운 질문: ${source}`];
}

export async function start() {
  const root = place("chat");
  const [encode, chat, vectors] = await loadChat(root);
  let turns = []; // {query, candidates, retries}

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
  root.append(shown, form, slider, candidates);

  async function send(event) {
    event.preventDefault();
    const query = typed.value.trim();
    if (!query) return;
    typed.value = "";
    const found = search(chat, vectors, await encode(query));
    turns = [...turns, { query, candidates: found, retries: 0 }].slice(-TURNS);
    draw();
  }

  function retry() {
    turns.at(-1).retries += 1;
    draw();
  }

  function draw() {
    value.textContent = Number(threshold.value).toFixed(2);
    const messages = turns.flatMap(({ query, candidates, retries }) => {
      const [answer, source] = reply(candidates, retries, Number(threshold.value));
      return [
        element("div", { class: "demo-query" }, clip(query)),
        element("div", { class: "demo-reply" }, clip(answer), element("small", {}, clip(source))),
      ];
    });
    shown.replaceChildren(...messages);
    shown.scrollTop = shown.scrollHeight;
    const last = turns.at(-1)?.candidates ?? [];
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
