// (e) What the model answered at moments of its training: data/models/mini-bert-ko/time_machine.json.
import { bars, COLOURS, element, fetchJson, place, withProgress } from "./common.js";

const STEP = 700; // milliseconds a moment while it plays

export async function start() {
  const root = place("time_machine");
  const { prompts, moments } = await withProgress(root, "기록", () => fetchJson("data/time_machine.json"));
  const prompt = element("select", { id: "time-prompt", onchange: draw });
  prompts.forEach((text, i) => prompt.append(element("option", { value: i }, text)));
  const moment = element("input", {
    type: "range",
    id: "time-moment",
    min: 0,
    max: moments.length - 1,
    step: 1,
    oninput: () => {
      stop();
      draw();
    },
  });
  moment.value = moments.length - 1;
  const play = element("button", { type: "button", onclick: toggle }, "처음부터 재생");
  const clock = element("div", { "aria-live": "polite", class: "demo-hint" });
  const shown = element("div");
  const history = element("ol", { class: "demo-history" });
  root.append(
    element("label", { for: prompt.id }, "문장"),
    prompt,
    element("label", { for: moment.id }, "학습의 순간"),
    element("div", { class: "demo-row" }, moment, play),
    clock,
    shown,
    element("p", {}, "순간마다 첫째 답"),
    history,
  );
  let timer;

  function stop() {
    clearInterval(timer);
    timer = undefined;
    play.textContent = "처음부터 재생";
  }

  function toggle() {
    if (timer) return stop();
    moment.value = 0;
    play.textContent = "멈춤";
    draw();
    timer = setInterval(() => {
      moment.value = Number(moment.value) + 1;
      draw();
      if (Number(moment.value) >= moments.length - 1) stop();
    }, STEP);
  }

  function draw() {
    const at = Number(moment.value);
    const which = Number(prompt.value);
    const { step, minutes, tokens, answers } = moments[at];
    const read = tokens === undefined ? "" : `, 읽은 토큰 ${tokens.toLocaleString("ko")}개`;
    const when = `${step.toLocaleString("ko")}스텝, ${minutes.toFixed(1)}분${read}`;
    clock.textContent = when;
    moment.setAttribute("aria-valuetext", when);
    shown.replaceChildren(
      element("div", { class: "demo-sentence" }, prompts[which]),
      bars(answers[which], COLOURS[0]),
    );
    history.replaceChildren(
      ...moments.map((m, i) =>
        element(
          "li",
          i === at ? { "aria-current": "step" } : {},
          element("span", {}, `${m.step.toLocaleString("ko")}스텝`),
          element("b", {}, m.answers[which][0]?.[0] ?? ""),
        ),
      ),
    );
  }
  draw();
  return { prompts, moments };
}
