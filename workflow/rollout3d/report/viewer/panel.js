// The facts above, the layers, the list of objects and the chosen one.

import { allCategories, byId, categoryOf, colorOf, data, element, onChange, set, state } from "./state.js";

const $ = (id) => document.getElementById(id);

function facts() {
  const scene = data.scene;
  const lost = data.frames.filter((frame) => !frame.pose).length;
  const size = scene.width ? `${scene.width}×${scene.height}` : null;
  const list = [
    ["dataset", scene.dataset],
    ["split", scene.split],
    ["room", scene.scene_type],
    ["floor area", scene.room_size_m2 === null ? null : `${scene.room_size_m2.toFixed(1)} m²`],
    ["objects", String(data.objects.length)],
    ["video", scene.n_frames ? `${scene.n_frames} frames${scene.fps ? `, ${Number(scene.fps.toFixed(2))}/s` : ""}` : null],
    ["pixels", size && scene.rotation_deg ? `${size}, turned ${scene.rotation_deg}°` : size],
    ["sampled", data.frames.length ? `${data.frames.length}${lost ? `, ${lost} without pose` : ""}` : null],
    ["flags", scene.flags.join(", ") || null],
  ];
  for (const [name, value] of list) {
    if (value) $("facts").append(element("div", {}, element("dt", { textContent: name }), element("dd", { textContent: value })));
  }
}

export const LAYERS = [
  ["points", "Points", () => data.points, true],
  ["floor", "Map from above (BEV)", () => data.map, true],
  ["walkable", "Walkable floor", () => data.map && data.map.grid_size[0], false],
  ["obb", "Oriented boxes", () => data.objects.length, true],
  ["aabb", "Axis-aligned boxes", () => data.objects.length, false],
  ["labels", "Labels", () => data.objects.length, true],
  ["cameras", "Cameras", () => data.frames.some((frame) => frame.pose && frame.K), true],
  ["path", "Camera path, gaps where lost", () => data.frames.some((frame) => frame.pose), true],
];

function layers() {
  for (const [name, text, there, on] of LAYERS) {
    const possible = Boolean(there());
    state.layers[name] = possible && on;
    const box = element("input", { type: "checkbox", checked: possible && on, disabled: !possible });
    box.dataset.layer = name;
    box.addEventListener("change", () => set({ layers: { ...state.layers, [name]: box.checked } }));
    $("layers").append(element("label", { className: possible ? "" : "off" }, box, text));
  }
  const top = Math.max(data.bounds[1][2] - data.floor, 1);
  // Below the ceiling, where the map from above is cut too: the room is visible from outside.
  state.cut = Math.min(2.2, top);
  slider("Cut above", 0.2, Math.ceil(10 * top) / 10 + 0.1, 0.05, state.cut, (value) => `${value.toFixed(2)} m`, (cut) => set({ cut }));
  slider("Point size", 0.3, 3, 0.1, state.pointSize, (value) => `×${value.toFixed(1)}`, (pointSize) => set({ pointSize }));
  const photo = slider("Photo", 0, 1, 0.05, state.photo, (value) => `${Math.round(100 * value)} %`, (value) => set({ photo: value }));
  const only = () => (photo.hidden = state.view !== "camera");
  onChange(only);
  only();
}

function slider(text, min, max, step, value, say, change) {
  const said = element("output", { textContent: say(value) });
  const input = element("input", { type: "range", min, max, step });
  input.value = value;
  input.addEventListener("input", () => {
    said.textContent = say(Number(input.value));
    change(Number(input.value));
  });
  const row = element("label", { className: "slider" }, text, input, said);
  $("layers").append(row);
  return row;
}

function list() {
  $("count").textContent = data.objects.length;
  for (const category of allCategories) {
    const members = data.objects.filter((object) => categoryOf(object) === category);
    const box = element("input", { type: "checkbox", checked: true, title: `Show ${category}` });
    box.addEventListener("change", () => {
      const hidden = new Set(state.hidden);
      if (box.checked) hidden.delete(category);
      else hidden.add(category);
      set({ hidden });
    });
    const swatch = element("i");
    swatch.style.background = colorOf(members[0]);
    const head = element("div", { className: "head" }, box, swatch, element("b", { textContent: category }));
    const chips = members.map((object, i) => {
      const chip = element("button", { className: "member", title: `object ${object.id}: ${object.label}` });
      chip.textContent = object.category === null ? object.label : members.length > 1 ? i + 1 : "1";
      chip.dataset.object = object.id;
      chip.addEventListener("click", () => set({ object: state.object === object.id ? null : object.id }));
      return chip;
    });
    $("objects").append(element("div", { className: "category" }, head, element("div", { className: "members" }, ...chips)));
  }
}

function chosen() {
  for (const chip of document.querySelectorAll("[data-object]")) {
    chip.classList.toggle("chosen", Number(chip.dataset.object) === state.object);
  }
  const object = state.object === null ? null : byId.get(state.object);
  $("chosen").hidden = !object;
  if (!object) return;
  const swatch = element("i");
  swatch.style.background = colorOf(object);
  const close = element("button", { textContent: "×", title: "Choose nothing", ariaLabel: "Choose nothing" });
  close.addEventListener("click", () => set({ object: null }));
  const rows = [
    ["category", object.category ?? "none: never asked about"],
    ["object id", object.id],
    ["sides", object.sides.map((side) => (side === null ? "?" : side.toFixed(2))).join(" × ") + " m"],
    ["mesh points", object.n_points ?? "not stated"],
    ["category first seen", object.first_seen_s === null ? "not in the maps table" : `${object.first_seen_s.toFixed(2)} s`],
    ["perturbable", object.perturbable ? "yes" : "no"],
  ];
  const seen = [];
  for (const [i, frame] of data.frames.entries()) {
    const region = state.mode && (data.regions[state.mode][String(frame.index)] ?? []).find(([id]) => id === object.id);
    if (region) seen.push([i, frame, region[1]]);
  }
  const frames = seen.map(([i, frame, pixels]) => {
    const cell = element("button", { title: `frame ${frame.index}: ${pixels} px` });
    cell.append(element("img", { src: `data:image/jpeg;base64,${frame.jpeg}`, alt: `frame ${frame.index}` }));
    cell.classList.toggle("chosen", i === state.frame);
    cell.addEventListener("click", () => set({ frame: i }));
    return cell;
  });
  const table = element("dl");
  for (const [name, value] of rows) table.append(element("dt", { textContent: name }), element("dd", { textContent: value }));
  $("chosen").replaceChildren(element("h2", {}, swatch, object.label, close), table);
  if (frames.length) {
    const told = `in ${frames.length} frame${frames.length > 1 ? "s" : ""} (${state.mode})`;
    $("chosen").append(element("small", { textContent: told }), element("div", { className: "thumbs" }, ...frames));
  }
}

export function startPanel() {
  facts();
  layers();
  list();
  $("notes").hidden = !data.notes.length;
  $("notes").querySelector("ul").append(...data.notes.map((note) => element("li", { textContent: note })));
  onChange((changes) => {
    if ("object" in changes || "mode" in changes || ("frame" in changes && state.object !== null)) chosen();
  });
  chosen();
}
