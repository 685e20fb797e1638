// (d) Two sentences, one similarity, and where they lie among the course's questions.
import { dot, element, latest, loadChat, place } from "./common.js";
import { search } from "./chat.js";

const NAMES = ["첫째 문장", "둘째 문장"];
const SVG = "http://www.w3.org/2000/svg";
const SIZE = { width: 600, height: 400, margin: 24 };

function svg(name, attributes, ...children) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

/** A vector on the map's two axes. */
export function project(map, vector) {
  const centred = vector.map((value, i) => value - map.mean[i]);
  return map.axes.map((axis) => dot(axis, centred));
}

export async function start() {
  const root = place("similarity");
  const [encode, chat, vectors] = await loadChat(root);
  const boxes = NAMES.map((name, i) =>
    element("input", { type: "text", id: `similarity-${i}`, autocomplete: "off", maxlength: 300, oninput: () => draw() }),
  );
  boxes[0].value = "이름이 뭐야?";
  boxes[1].value = "널 뭐라고 부르면 돼?";
  const number = element("div", { "aria-live": "polite", class: "demo-cosine" });
  const nearest = element("div", { class: "demo-columns" });
  const picture = element("div", { class: "demo-map" });
  boxes.forEach((box, i) => root.append(element("label", { for: box.id }, NAMES[i]), box));
  root.append(number, picture, nearest);

  const scale = ((points) => {
    const range = (axis) => {
      const values = points.map((point) => point[axis]);
      return [Math.min(...values), Math.max(...values)];
    };
    const [[left, right], [low, high]] = [range(0), range(1)];
    const { width, height, margin } = SIZE;
    const inside = (value, most) => Math.min(most - 8, Math.max(8, value));
    return ([x, y]) => [
      inside(margin + ((x - left) / (right - left)) * (width - 2 * margin), width),
      inside(height - margin - ((y - low) / (high - low)) * (height - 2 * margin), height),
    ];
  })(chat.map.points);

  const draw = latest(async () => {
    const texts = boxes.map((box) => box.value.trim());
    if (!texts.every(Boolean)) {
      number.textContent = "두 문장을 모두 쓰십시오.";
      picture.replaceChildren();
      nearest.replaceChildren();
      return;
    }
    const pair = [await encode(texts[0]), await encode(texts[1])];
    if (pair.some((vector) => vector.every((value) => value === 0))) {
      number.textContent = "모델이 아는 글자가 없는 문장이 있습니다. 한국어로 쓰십시오.";
      picture.replaceChildren();
      nearest.replaceChildren();
      return;
    }
    const cosine = dot(pair[0], pair[1]);
    number.replaceChildren(
      element("b", {}, cosine.toFixed(3)),
      element("meter", { min: 0, max: 1, value: Math.max(0, cosine), "aria-label": "코사인 유사도" }),
      element("span", {}, "코사인 유사도(cosine similarity). 같은 방향이면 1, 관계가 없으면 0에 가깝습니다."),
    );
    drawMap(pair);
    const columns = pair.map((vector, i) =>
      element(
        "div",
        {},
        element("b", {}, `${NAMES[i]}에 가까운 강의의 질문`),
        element(
          "ol",
          {},
          ...search(chat, vectors, vector, 3).map(({ question, score }) =>
            element("li", {}, `${score.toFixed(3)} · ${question}`),
          ),
        ),
      ),
    );
    nearest.replaceChildren(...columns);
  });

  function drawMap(pair) {
    const dots = chat.map.points.map((point, i) => {
      const [cx, cy] = scale(point);
      return svg("circle", { cx, cy, r: 3, class: "demo-map-other" }, svg("title", {}, chat.questions[i]));
    });
    const ends = pair.map((vector) => scale(project(chat.map, vector)));
    const line = svg("line", { x1: ends[0][0], y1: ends[0][1], x2: ends[1][0], y2: ends[1][1], class: "demo-map-line" });
    const own = ends.flatMap(([x, y], i) => [
      svg("circle", { cx: x, cy: y, r: 9, class: `demo-map-own demo-map-own-${i}` }),
      svg("text", { x, y: y + 4, "text-anchor": "middle", class: "demo-map-number" }, String(i + 1)),
    ]);
    const label = "두 문장의 자리. 회색 점은 강의의 질문입니다.";
    const share = `회색 점은 강의의 질문 ${chat.questions.length}개입니다. 384차원을 주성분(PCA) 둘로 눌렀으므로 차이의 ${(100 * chat.map.share).toFixed(0)}%만 보입니다.`;
    picture.replaceChildren(
      svg("svg", { viewBox: `0 0 ${SIZE.width} ${SIZE.height}`, role: "img", "aria-label": label }, ...dots, line, ...own),
      element("p", { class: "demo-hint" }, share),
    );
  }
  await draw();
  return { encode, chat, vectors };
}
