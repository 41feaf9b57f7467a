// Start the page, and keep the chosen state in its address, so that a link leads to that state.

import { startFrames, step } from "./frames.js";
import { startPanel } from "./panel.js";
import { Room } from "./room.js";
import { byId, data, onChange, set, state } from "./state.js";

const $ = (id) => document.getElementById(id);

function readAddress() {
  const asked = new URLSearchParams(location.hash.slice(1));
  const frame = data.frames.findIndex((one) => String(one.index) === asked.get("frame"));
  const object = asked.has("object") ? Number(asked.get("object")) : null;
  const mode = asked.get("regions");
  set({
    frame: frame < 0 ? null : frame,
    object: byId.has(object) ? object : null,
    ...(mode in data.regions && { mode }),
    ...(["top", "camera"].includes(asked.get("view")) && { view: asked.get("view") }),
  });
}

function writeAddress() {
  const said = new URLSearchParams();
  if (state.view !== "orbit") said.set("view", state.view);
  if (state.frame !== null) said.set("frame", data.frames[state.frame].index);
  if (state.object !== null) said.set("object", state.object);
  if (state.mode && state.mode !== Object.keys(data.regions)[0]) said.set("regions", state.mode);
  history.replaceState(null, "", said.size ? `#${said}` : location.pathname + location.search);
}

startPanel();
let room = null;
try {
  room = new Room($("room"));
} catch (error) {
  $("room").classList.add("flat");
  $("hint").textContent = `This browser shows no 3D (${error.message}). Frames, regions and objects work.`;
}
startFrames();

for (const button of document.querySelectorAll("#views button")) {
  button.addEventListener("click", () => set({ view: button.dataset.view }));
}
$("reset").addEventListener("click", () => room?.reset());
addEventListener("keydown", (event) => {
  if (event.target.matches("input, select") || event.metaKey || event.ctrlKey || event.altKey) return;
  const views = { 1: "orbit", 2: "top", 3: "camera" };
  if (event.key === "ArrowLeft") step(-1);
  else if (event.key === "ArrowRight") step(1);
  else if (event.key in views) set({ view: views[event.key] });
  else if (event.key === "0") room?.reset();
  else if (event.key === "Escape") {
    if (state.view === "camera") set({ view: "orbit" });
    else if (state.object !== null) set({ object: null });
    else set({ frame: null });
  } else return;
  event.preventDefault();
});
onChange(writeAddress);
readAddress();
document.body.dataset.ready = "yes";
