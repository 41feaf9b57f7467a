// Contents of the tables, the chosen state, and the functions that are called when it changes.

export const data = JSON.parse(document.getElementById("data").textContent);

export const state = {
  view: "orbit", // orbit | top | camera
  frame: null, // index into data.frames
  object: null, // object id
  mode: Object.keys(data.regions)[0] ?? null,
  layers: {},
  hidden: new Set(), // categories not shown
  cut: null, // metres above the floor; null = nothing is cut
  pointSize: 1,
  photo: 0.75, // share of the photo when looking through a camera
};

const listeners = [];
export const onChange = (listener) => listeners.push(listener);

export function set(changes) {
  Object.assign(state, changes);
  for (const listener of listeners) listener(changes);
}

export const byId = new Map(data.objects.map((object) => [object.id, object]));

export const categoryOf = (object) => object.category ?? "not asked about";

const categories = [...new Set(data.objects.map((o) => o.category).filter((c) => c !== null))].sort();

// three.js reads colours with commas only. Neighbours in the list get hues far apart; lightness alternates so that close hues still differ.
const palette = new Map(
  categories.map((category, i) => [category, `hsl(${((i * 137.508 + 20) % 360).toFixed(0)}, ${i % 2 ? 85 : 70}%, ${i % 3 ? 66 : 58}%)`]),
);
export const colorOf = (object) => palette.get(object.category) ?? "hsl(214, 12%, 55%)";
export const allCategories = [...categories, ...(data.objects.some((o) => o.category === null) ? ["not asked about"] : [])];

export const isShown = (object) => !state.hidden.has(categoryOf(object));

export function bytes(base64) {
  const text = atob(base64);
  const array = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) array[i] = text.charCodeAt(i);
  return array;
}

// Run lengths, uint32 little-endian, row-major, zeros first (the regions table) -> one byte per pixel.
export function decodeMask(base64, size) {
  const raw = bytes(base64);
  const runs = new DataView(raw.buffer);
  const mask = new Uint8Array(size);
  let at = 0;
  for (let i = 0; i < raw.length / 4; i++) {
    const end = at + runs.getUint32(4 * i, true);
    if (i % 2) mask.fill(1, at, end);
    at = end;
  }
  return mask;
}

export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name in made && name !== "list") made[name] = value;
    else made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

export const regionsOf = (frame) => (state.mode && data.regions[state.mode][String(frame.index)]) || [];
