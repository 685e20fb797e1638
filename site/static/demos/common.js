// What all demos share: the models, the tokenizer, progress, and how things are drawn.
// Text is only ever set as text, never as HTML.

const here = new URL("../", import.meta.url); // _static/
export const COLOURS = ["#dbeafe", "#fee2e2", "#dcfce7", "#fef9c3", "#f3e8ff", "#ffedd5"];
const CANNOT =
  "이 브라우저에서는 모델을 실행할 수 없습니다. 새 판의 Chrome, Edge, Firefox, Safari에서 열어 주십시오.";

/** element("p", {class: "a"}, "text", child) -> an element; strings become text. */
export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (value !== undefined && value !== false) made.setAttribute(key, value);
  }
  made.append(...children);
  return made;
}

/** The place of a demo on its page, emptied of the sentence that asks for JavaScript. */
export function place(name) {
  const root = document.querySelector(`[data-demo="${name}"]`);
  root.replaceChildren();
  return root;
}

export async function fetchJson(path) {
  const answer = await fetch(new URL(path, here));
  if (!answer.ok) throw new Error(`${answer.status} ${path}`);
  return answer.json();
}

export async function fetchFloats(path) {
  const answer = await fetch(new URL(path, here));
  if (!answer.ok) throw new Error(`${answer.status} ${path}`);
  return new Float32Array(await answer.arrayBuffer());
}

/** The tokenizer of a model, the same file that Python reads. */
export async function loadTokenizer(model) {
  const { Tokenizer } = await import(new URL("vendor/tokenizers.min.mjs", here));
  const files = ["tokenizer.json", "tokenizer_config.json"];
  const [json, config] = await Promise.all(files.map((f) => fetchJson(`models/${model}/${f}`)));
  return new Tokenizer(json, config);
}

let library;
async function transformers() {
  library ??= import(new URL("vendor/transformers.min.js", here)).then((module) => {
    const { env } = module;
    env.allowLocalModels = true; // "local" is this site
    env.allowRemoteModels = false;
    env.localModelPath = new URL("models/", here).href;
    env.useBrowserCache = false; // the browser's own cache asks whether a file has changed
    env.useWasmCache = false;
    const wasm = env.backends.onnx.wasm;
    wasm.numThreads = 1; // more would need headers that a static host does not send
    wasm.wasmPaths = Object.fromEntries(
      ["mjs", "wasm"].map((kind) => [
        kind,
        new URL(`vendor/ort-wasm-simd-threaded.${kind}`, here).href,
      ]),
    );
    return module;
  });
  return library;
}

/** Load a model; kind: "AutoModelForMaskedLM" or "AutoModel". report(bytes, of how many). */
export async function loadModel(model, kind, report = () => {}) {
  const module = await transformers();
  const network = await module[kind].from_pretrained(model, {
    dtype: "q8",
    device: "wasm",
    // int8 weights are unpacked once, when the model is opened, and not at every sentence
    session_options: { extra: { session: { disable_quant_qdq: "1" } } },
    progress_callback: ({ status, file, loaded, total }) => {
      if (status === "progress" && file?.endsWith(".onnx")) report(loaded, total);
    },
  });
  /** ids -> {data: Float32Array, dims: [1, length, width]} */
  return async (ids) => {
    const tensor = (values) =>
      new module.Tensor("int64", BigInt64Array.from(values, BigInt), [1, values.length]);
    const output = await network({
      input_ids: tensor(ids),
      attention_mask: tensor(ids.map(() => 1)),
      token_type_ids: tensor(ids.map(() => 0)),
    });
    return output.logits ?? output.last_hidden_state;
  };
}

/**
 * Show a progress bar in `root` while `load(report)` runs; then remove it and return the result.
 * Where that fails, a sentence says so and the promise is rejected.
 */
export async function withProgress(root, what, load) {
  const bar = element("progress", { max: 1, "aria-label": `${what} 불러오기` });
  const note = element("span", {}, `${what}을(를) 불러오는 중입니다.`);
  const box = element("div", { class: "demo-progress", role: "status" }, note, bar);
  root.append(box);
  try {
    if (typeof WebAssembly !== "object" || typeof BigInt64Array !== "function") {
      throw new Error("no WebAssembly");
    }
    return await load((loaded, total) => {
      const whole = total || 19e6;
      bar.value = Math.min(1, loaded / whole);
      note.textContent = `${what}을(를) 불러오는 중입니다. ${(loaded / 1e6).toFixed(1)} / ${(whole / 1e6).toFixed(1)}MB`;
    });
  } catch (error) {
    const lost = error instanceof TypeError || !/wasm|WebAssembly|backend|memory/i.test(error.message);
    const text = lost ? "파일을 받지 못했습니다. 연결을 확인하고 쪽을 새로 여십시오." : CANNOT;
    root.append(element("p", { class: "demo-error", role: "alert" }, text));
    console.warn(error);
    throw error;
  } finally {
    box.remove();
  }
}

/** One row a token, as long as its probability. */
export function bars(pairs, colour) {
  const rows = pairs.map(([token, probability]) =>
    element(
      "div",
      { class: "demo-bar" },
      element("span", { class: "demo-bar-name" }, token),
      element(
        "span",
        { class: "demo-bar-track" },
        element("span", {
          style: `background:${colour};width:${Math.max(1, Math.round(100 * probability))}%`,
        }),
      ),
      element("span", {}, percent(probability)),
    ),
  );
  return element("div", {}, ...rows);
}

export const percent = (share) => `${(100 * share).toFixed(1)}%`;

/** Coloured boxes, one a token; marks give tokens of one word one colour. */
export function tokenBoxes(tokens, { ids, marks } = {}) {
  const labels = [...new Set(marks ?? [])];
  const boxes = tokens.map((token, i) => {
    const number = marks ? labels.indexOf(marks[i]) : i;
    const box = element("span", { class: "demo-token" }, token);
    box.style.background = COLOURS[number % COLOURS.length];
    for (const note of [ids?.[i], marks?.[i]]) {
      if (note !== undefined) box.append(element("small", {}, String(note)));
    }
    return box;
  });
  return element("div", { class: "demo-tokens" }, ...boxes);
}

/** The five best (piece, probability) of a row of logits. */
export function best(logits, count = 5) {
  const found = [];
  let highest = -Infinity;
  for (let i = 0; i < logits.length; i++) {
    const value = logits[i];
    if (value > highest) highest = value;
    if (found.length < count || value > found[found.length - 1][1]) {
      let at = found.length;
      while (at > 0 && found[at - 1][1] < value) at--;
      found.splice(at, 0, [i, value]);
      found.length = Math.min(found.length, count);
    }
  }
  let sum = 0;
  for (const value of logits) sum += Math.exp(value - highest);
  return found.map(([i, value]) => [i, Math.exp(value - highest) / sum]);
}

/** The sentence encoder, the course's questions and answers, and the questions' vectors. */
export const loadChat = (root) =>
  withProgress(root, "문장 인코더", async (report) => {
    const [chat, vectors, tokenizer, run] = await Promise.all([
      fetchJson("data/chat.json"),
      fetchFloats("data/vectors.bin"),
      loadTokenizer("mini-sentence-ko"),
      loadModel("mini-sentence-ko", "AutoModel", report),
    ]);
    return [sentenceEncoder(tokenizer, run), chat, vectors];
  });

/** The mean of the token vectors, of length 1; zeros for text without a token the model knows. */
export function sentenceEncoder(tokenizer, run, limit = 128) {
  const special = new Set(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]);
  const encode = async (text) => {
    let { ids, tokens } = tokenizer.encode(text.slice(0, 50 * limit));
    if (ids.length > limit) ids = [...ids.slice(0, limit - 1), ids[ids.length - 1]];
    const { data, dims } = await run(ids);
    const vector = new Float32Array(dims[2]);
    if (tokens.every((token) => special.has(token))) return vector;
    for (let i = 0; i < data.length; i++) vector[i % dims[2]] += data[i];
    const length = Math.hypot(...vector);
    return vector.map((value) => value / length);
  };
  return encode;
}

export function dot(a, b, offset = 0) {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i] * b[offset + i];
  return sum;
}

/** Call `work` with the newest value only: one call at a time, no call for what was typed over. */
export function latest(work) {
  let running = false;
  let waiting;
  return async function call(...values) {
    waiting = values;
    if (running) return;
    running = true;
    try {
      while (waiting) {
        const next = waiting;
        waiting = undefined;
        await work(...next);
      }
    } finally {
      running = false;
    }
  };
}
