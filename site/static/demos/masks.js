// (b) A sentence whose words are buttons: helpers.views.masks.MaskExplorer and mask_attack.masks.encode.
import { bars, best, COLOURS, element, latest, loadModel, loadTokenizer, place, withProgress } from "./common.js";

const LIMIT = 200;
const MASK = "[MASK]";
export const MODELS = { "mini-bert-ko": "내장 모델", "mini-bert-ko-law": "법률 글을 더 읽은 모델" };

/** ids of a text with masks; what is glued to a mask is written as the continuation of a word. */
export function encodeMasked(tokenizer, text) {
  const idsOf = (part) => tokenizer.encode(part, { add_special_tokens: false }).ids;
  const [first, ...rest] = text.split(MASK);
  const ids = [tokenizer.token_to_id("[CLS]"), ...idsOf(first)];
  for (const part of rest) {
    const [ending, remaining] = cutEnding(tokenizer, part);
    ids.push(tokenizer.token_to_id(MASK), ...ending, ...idsOf(remaining));
  }
  return [...ids, tokenizer.token_to_id("[SEP]")];
}

/** "이다. 끝" -> [[id of "##이다"], ". 끝"]; [[], text] if nothing is glued or cannot be spelled. */
export function cutEnding(tokenizer, text) {
  const glued = /^[\p{L}\p{N}]/u.test(text);
  const [first] = glued ? tokenizer.pre_tokenizer.pre_tokenize(text) : [];
  if (!first || !/^[\p{L}\p{N}]+$/u.test(first)) return [[], text];
  const unknown = tokenizer.token_to_id("[UNK]");
  const letters = [...first];
  const ids = [];
  for (let start = 0; start < letters.length; ) {
    let end = letters.length;
    let id;
    for (; end > start; end--) {
      id = tokenizer.token_to_id(`##${letters.slice(start, end).join("")}`);
      if (id !== undefined && id !== unknown) break;
    }
    if (end === start) return [[], text];
    ids.push(id);
    start = end;
  }
  return [ids, text.slice(first.length)];
}

/** text with masks -> for every mask its five best [piece, probability]. */
export async function fillMasks(tokenizer, run, text) {
  const ids = encodeMasked(tokenizer, text);
  const { data, dims } = await run(ids);
  const mask = tokenizer.token_to_id(MASK);
  return ids.flatMap((id, i) =>
    id === mask
      ? [best(data.subarray(i * dims[2], (i + 1) * dims[2])).map(([n, p]) => [tokenizer.id_to_token(n), p])]
      : [],
  );
}

export async function start() {
  const root = place("masks");
  const typed = element("input", {
    type: "text",
    id: "masks-text",
    placeholder: "문장을 입력하십시오",
    autocomplete: "off",
    maxlength: LIMIT,
    oninput: split,
  });
  typed.value = "이순신은 조선 중기의 무신이다.";
  const words = element("div", { class: "demo-words", role: "group", "aria-label": "문장의 낱말" });
  const shown = element("div", { "aria-live": "polite" });
  root.append(
    element("label", { for: typed.id }, "문장"),
    typed,
    element("p", { class: "demo-hint" }, "낱말을 눌러 가리십시오. 다시 누르면 보입니다."),
    words,
    shown,
  );
  const models = {};
  let tokenizer;

  const buttons = () => [...words.children];
  const hidden = (button) => button.getAttribute("aria-pressed") === "true";

  /** The sentence with its hidden words as masks; signs at a word's end stay visible. */
  function masked() {
    return buttons()
      .map((button) => {
        const word = button.textContent;
        const tail = word.slice(word.replace(/[.,!?~…]+$/, "").length);
        return hidden(button) && !word.includes(MASK) ? MASK + tail : word;
      })
      .join(" ");
  }

  /** One button a word; a word that stays where it was stays hidden or shown. */
  function split() {
    const before = buttons().map((button) => [button.textContent, hidden(button)]);
    const made = (typed.value.slice(0, LIMIT).match(/\S+/g) ?? []).map((word, i) => {
      const pressed = word.includes(MASK) || (before[i]?.[0] === word && before[i][1]);
      return element("button", { type: "button", "aria-pressed": String(pressed), onclick: press }, word);
    });
    words.replaceChildren(...made);
    draw();
  }

  function press(event) {
    event.currentTarget.setAttribute("aria-pressed", String(!hidden(event.currentTarget)));
    draw();
  }

  const draw = latest(async () => {
    const text = masked();
    if (!text.includes(MASK)) {
      shown.replaceChildren();
      return;
    }
    const columns = [];
    for (const [number, [name, label]] of Object.entries(MODELS).entries()) {
      const column = element("div", {}, element("b", {}, label));
      if (models[name]) {
        const filled = await fillMasks(tokenizer, models[name], text);
        for (const [i, pairs] of filled.entries()) {
          column.append(element("p", {}, `${i + 1}. ${MASK}`), bars(pairs, COLOURS[number]));
        }
      } else {
        column.append(element("p", {}, "아직 불러오는 중입니다."));
      }
      columns.push(column);
    }
    const sentence = element("div", { class: "demo-sentence" }, text);
    shown.replaceChildren(sentence, element("div", { class: "demo-columns" }, ...columns));
  });

  split();
  buttons()[1].setAttribute("aria-pressed", "true"); // something to see at once
  draw();
  tokenizer = await withProgress(root, "토크나이저", () => loadTokenizer("mini-bert-ko"));
  for (const [name, label] of Object.entries(MODELS)) {
    models[name] = await withProgress(root, label, (report) =>
      loadModel(name, "AutoModelForMaskedLM", report),
    );
    await draw();
  }
  return { tokenizer, models };
}
