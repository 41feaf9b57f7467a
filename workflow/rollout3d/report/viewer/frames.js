// The film strip, and the chosen frame with the regions of its objects.

import { byId, colorOf, data, decodeMask, element, isShown, onChange, regionsOf, set, state } from "./state.js";

const $ = (id) => document.getElementById(id);
const film = $("film");
const jpeg = $("jpeg");
const canvas = $("masks");

const source = (frame) => (frame.jpeg ? `data:image/jpeg;base64,${frame.jpeg}` : "");
let drawn = []; // masks of the chosen frame, largest first: {object, pixels, mask, border}

function buildFilm() {
  data.frames.forEach((frame, i) => {
    const title = `frame ${frame.index}, ${seconds(frame)}${frame.pose ? "" : ", tracking lost"}`;
    const cell = element("button", { title, className: frame.pose ? "" : "lost" });
    cell.dataset.frame = i;
    if (frame.jpeg) cell.append(element("img", { src: source(frame), alt: "", loading: "lazy" }));
    cell.append(element("span", { textContent: frame.index }));
    cell.addEventListener("click", () => set({ frame: state.frame === i ? null : i }));
    film.append(cell);
  });
  film.hidden = !data.frames.length;
}

const seconds = (frame) => (frame.time === null ? "" : `${frame.time.toFixed(2)} s`);

function outline(mask, width, height) {
  const border = [];
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const i = y * width + x;
      if (!mask[i]) continue;
      const inside = x > 0 && y > 0 && x < width - 1 && y < height - 1;
      if (!inside || !mask[i - 1] || !mask[i + 1] || !mask[i - width] || !mask[i + width]) border.push(i);
    }
  }
  return border;
}

function loadMasks(frame) {
  drawn = regionsOf(frame).map(([id, pixels, runs]) => {
    const mask = decodeMask(runs, frame.width * frame.height);
    return { object: byId.get(id), pixels, mask, border: outline(mask, frame.width, frame.height) };
  });
}

const rgb = new Map();
function rgbOf(color) {
  if (!rgb.has(color)) {
    const pen = new OffscreenCanvas(1, 1).getContext("2d");
    pen.fillStyle = color;
    pen.fillRect(0, 0, 1, 1);
    rgb.set(color, pen.getImageData(0, 0, 1, 1).data);
  }
  return rgb.get(color);
}

function paint(frame) {
  canvas.width = frame.width;
  canvas.height = frame.height;
  const pen = canvas.getContext("2d");
  const image = pen.createImageData(frame.width, frame.height);
  const fill = Number($("fill").value);
  const put = (i, [r, g, b], alpha) => image.data.set([r, g, b, alpha], 4 * i);
  let count = 0;
  const shown = drawn.filter(({ object }) => isShown(object));
  const order = [...shown].sort((a, b) => (a.object.id === state.object) - (b.object.id === state.object));
  for (const { object, mask, border } of order) {
    const chosen = object.id === state.object;
    const color = rgbOf(colorOf(object));
    const quiet = state.object !== null && !chosen;
    const alpha = 255 * (quiet ? fill * 0.25 : chosen ? Math.max(fill, 0.45) : fill);
    for (let i = 0; i < mask.length; i++) if (mask[i]) put(i, color, alpha);
    for (const i of border) put(i, chosen ? [255, 255, 255] : color, quiet ? 90 : 255);
    count++;
  }
  pen.putImageData(image, 0, 0);
  document.body.dataset.masks = count;
}

// The smallest region under a pixel: of a lamp on a table it is the lamp.
function under(event, frame) {
  const box = canvas.getBoundingClientRect();
  const x = Math.floor(((event.clientX - box.left) / box.width) * frame.width);
  const y = Math.floor(((event.clientY - box.top) / box.height) * frame.height);
  return drawn.findLast(({ object, mask }) => isShown(object) && mask[y * frame.width + x])?.object ?? null;
}

function note(frame) {
  const said = [];
  if (!frame.pose) said.push("No pose: tracking was lost here. The frame stays in the video and is never perturbed.");
  if (!frame.jpeg) said.push("The picture was left out to keep the page small (--max-mb).");
  else if (state.mode && frame.pose && !drawn.length) said.push(absent(frame));
  return said.join(" ");
}

function absent(frame) {
  const trained = frame.sets.some((name) => name.startsWith("train"));
  return trained ? "No object covers a pixel of this frame." : "No regions: they are made for the training frames.";
}

function showFrame() {
  const frame = state.frame === null ? null : data.frames[state.frame];
  $("frame").hidden = !frame;
  for (const cell of film.children) cell.classList.toggle("chosen", Number(cell.dataset.frame) === state.frame);
  if (!frame) {
    drawn = [];
    document.body.dataset.masks = 0;
    return;
  }
  film.children[state.frame].scrollIntoView({ block: "nearest", inline: "nearest" });
  loadMasks(frame);
  jpeg.src = source(frame);
  $("picture").style.aspectRatio = `${frame.width} / ${frame.height}`;
  $("picture").style.setProperty("--aspect", frame.width / frame.height);
  $("picture").classList.toggle("empty", !frame.jpeg);
  $("frame-title").textContent = `Frame ${frame.index} · ${seconds(frame)}`;
  $("frame-tags").replaceChildren(...frame.sets.map((name) => element("span", { textContent: name })));
  $("frame-note").textContent = note(frame);
  showMasks();
}

function showMasks() {
  if (state.frame === null) return;
  paint(data.frames[state.frame]);
  const chips = drawn.map(({ object, pixels }) => {
    const chip = element("button", { className: object.id === state.object ? "chip chosen" : "chip" });
    chip.append(element("i"), object.category ?? object.label, element("small", { textContent: `${pixels} px` }));
    chip.firstChild.style.background = colorOf(object);
    chip.classList.toggle("off", !isShown(object));
    chip.addEventListener("click", () => set({ object: state.object === object.id ? null : object.id }));
    return chip;
  });
  $("present").replaceChildren(...chips);
}

export function step(by) {
  const n = data.frames.length;
  if (n) set({ frame: state.frame === null ? (by > 0 ? 0 : n - 1) : (state.frame + by + n) % n });
}

export function startFrames() {
  buildFilm();
  for (const mode of Object.keys(data.regions)) $("mode").append(element("option", { value: mode, textContent: mode }));
  $("mode").parentElement.hidden = !state.mode;
  $("mode").addEventListener("change", () => set({ mode: $("mode").value }));
  $("fill").parentElement.hidden = !state.mode;
  $("fill").addEventListener("input", showMasks);
  $("previous").addEventListener("click", () => step(-1));
  $("next").addEventListener("click", () => step(1));
  $("close").addEventListener("click", () => set({ frame: null, ...(state.view === "camera" && { view: "orbit" }) }));
  const tip = $("under");
  canvas.addEventListener("pointermove", (event) => {
    const object = under(event, data.frames[state.frame]);
    tip.textContent = object ? `${object.label} · ${object.id}` : "";
    const box = canvas.getBoundingClientRect();
    tip.style.left = `${event.clientX - box.left}px`;
    tip.style.top = `${event.clientY - box.top}px`;
    canvas.style.cursor = object ? "pointer" : "";
  });
  canvas.addEventListener("pointerleave", () => (tip.textContent = ""));
  canvas.addEventListener("click", (event) => {
    const object = under(event, data.frames[state.frame]);
    set({ object: object && object.id !== state.object ? object.id : null });
  });
  onChange((changes) => {
    if ("frame" in changes || "mode" in changes) showFrame();
    else if ("object" in changes || "hidden" in changes) showMasks();
  });
  showFrame();
}
