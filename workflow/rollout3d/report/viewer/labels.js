// Names over the boxes: those nearest to the camera come first, and none covers another.

import { Vector3 } from "three";
import { colorOf, data, element, isShown, set, state } from "./state.js";

const MARGIN_PX = 3;

export class Labels {
  constructor(holder) {
    this.holder = holder;
    this.tags = data.objects.map((object) => {
      const tag = element("button", { className: "label", textContent: object.category ?? object.label });
      tag.style.setProperty("--color", colorOf(object));
      tag.addEventListener("click", () => set({ object: state.object === object.id ? null : object.id }));
      holder.append(tag);
      // Over the middle of the box's top.
      const mean = object.obb.reduce((sum, xyz) => sum.add(new Vector3(...xyz)), new Vector3()).multiplyScalar(1 / 8);
      mean.z = Math.max(...object.obb.map((xyz) => xyz[2]));
      return { object, tag, at: mean };
    });
    this.axes = ["x", "y", "z"].map((text) => element("span", { className: `axis ${text}`, textContent: text }));
    holder.append(...this.axes);
    for (const tag of this.tags) tag.size = [tag.tag.offsetWidth, tag.tag.offsetHeight];
  }

  place(camera, size, on, axes) {
    const taken = [];
    const free = (box) => taken.every((t) => box[0] > t[2] || box[2] < t[0] || box[1] > t[3] || box[3] < t[1]);
    const seen = this.tags.map((tag) => ({ tag, on: tag.at.clone().project(camera) }));
    const rank = ({ tag, on }) => (tag.object.id === state.object ? -2 : on.z) + (tag.object.category === null ? 1 : 0);
    seen.sort((a, b) => rank(a) - rank(b));
    let count = 0;
    for (const { tag, on: at } of seen) {
      const [x, y] = [((at.x + 1) / 2) * size.x, ((1 - at.y) / 2) * size.y];
      const [w, h] = tag.size;
      const box = [x - w / 2 - MARGIN_PX, y - h - MARGIN_PX, x + w / 2 + MARGIN_PX, y + MARGIN_PX];
      const inside = Math.abs(at.z) <= 1 && x > 0 && y > h && x < size.x && y < size.y;
      const chosen = tag.object.id === state.object;
      // The middle of a wall's or floor's box is far from its surface: such names show only when chosen.
      const show = on && inside && isShown(tag.object) && (chosen || (tag.object.perturbable && free(box)));
      tag.tag.style.visibility = show ? "visible" : "hidden";
      tag.tag.classList.toggle("chosen", chosen);
      if (!show) continue;
      taken.push(box);
      tag.tag.style.transform = `translate(${Math.round(x - w / 2)}px, ${Math.round(y - h)}px)`;
      count++;
    }
    this.axes.forEach((mark, i) => {
      const at = axes[i]?.at.clone().project(camera);
      mark.style.visibility = at && Math.abs(at.z) <= 1 ? "visible" : "hidden";
      if (at) mark.style.transform = `translate(${((at.x + 1) / 2) * size.x - 4}px, ${((1 - at.y) / 2) * size.y - 8}px)`;
    });
    document.body.dataset.labels = count;
  }
}
