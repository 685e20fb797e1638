// (a) WordPiece as you type: the stages of helpers.hf_basics.tokenization_stages.
import { element, loadTokenizer, place, tokenBoxes, withProgress } from "./common.js";

const LIMIT = 300;

/** What each stage makes of a text; added tokens such as [MASK] are cut out first and stay whole. */
export function stages(tokenizer, text) {
  const added = [...tokenizer.get_added_tokens_decoder().values()].map((token) => token.content);
  const pattern = new RegExp(`(${added.map((t) => t.replace(/[[\]\\^$.*+?(){}|]/g, "\\$&")).join("|")})`);
  const parts = text
    .split(pattern)
    .map((part, i) => [part, i % 2 === 1])
    .filter(([part]) => part);
  const clean = parts.map(([part, whole]) => [
    whole ? part : tokenizer.normalizer.normalize(part),
    whole,
  ]);
  const words = clean.flatMap(([part, whole]) =>
    whole ? [[part, true]] : tokenizer.pre_tokenizer.pre_tokenize(part).map((word) => [word, false]),
  );
  const pieces = words.map(([word, whole]) => (whole ? [word] : tokenizer.model.encode([word])));
  const { tokens, ids } = tokenizer.encode(text);
  return {
    "1. 정규화(normalizer)": { tokens: clean.map(([part]) => part) },
    "2. 사전 토큰화(pre-tokenizer)": { tokens: words.map(([word]) => word) },
    "3. WordPiece": {
      tokens: pieces.flat(),
      marks: pieces.flatMap((word, i) => word.map(() => String(i + 1))),
    },
    "4. 후처리(post-processor)": { tokens, ids },
  };
}

export async function start() {
  const root = place("wordpiece");
  const tokenizer = await withProgress(root, "토크나이저", () => loadTokenizer("mini-bert-ko"));
  const typed = element("input", {
    type: "text",
    id: "wordpiece-text",
    placeholder: "문장을 입력하십시오",
    autocomplete: "off",
    oninput: draw,
  });
  typed.value = "한국어를 공부하는 사람들이 늘어났다.";
  const shown = element("div", { "aria-live": "polite" });
  root.append(element("label", { for: typed.id }, "문장"), typed, shown);

  function draw() {
    const text = typed.value;
    const rows = Object.entries(stages(tokenizer, text.slice(0, LIMIT))).map(([name, stage]) =>
      element("div", {}, element("b", {}, name), tokenBoxes(stage.tokens, stage)),
    );
    if (text.length > LIMIT) {
      rows.unshift(element("p", {}, `앞의 ${LIMIT}자만 보여 줍니다. 문장을 줄이십시오.`));
    }
    shown.replaceChildren(...rows);
  }
  draw();
  return { tokenizer };
}
