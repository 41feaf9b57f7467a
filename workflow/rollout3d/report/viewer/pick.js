// Things under the pointer. Positions are CSS pixels from the window's upper left corner.

import { Ray, Vector3 } from "three";
import { data, isShown } from "./state.js";

const PICK_PX = 14;
// Triangles of a box whose corner index has a bit for each axis.
export const SIDES = [0, 1, 3, 0, 3, 2, 4, 6, 7, 4, 7, 5, 0, 4, 5, 0, 5, 1, 2, 3, 7, 2, 7, 6, 0, 2, 6, 0, 6, 4, 1, 5, 7, 1, 7, 3];

// The index of the frame whose lens is nearest to the pointer, null if none is near.
export function cameraAt(at, size, camera) {
  let best = null;
  data.frames.forEach((frame, i) => {
    if (!frame.pose || !frame.K) return;
    const seen = new Vector3(frame.pose[3], frame.pose[7], frame.pose[11]).project(camera);
    const gap = Math.hypot(((seen.x + 1) / 2) * size.x - at.x, ((1 - seen.y) / 2) * size.y - at.y);
    if (Math.abs(seen.z) <= 1 && gap < PICK_PX && gap < (best?.gap ?? Infinity)) best = { gap, i };
  });
  return best?.i ?? null;
}

// The id of the smallest object whose box is under the pointer (boxes may contain one another), null if there is none.
export function boxAt(at, size, camera) {
  // From the near to the far limit of the drawing: right for every projection, asymmetric ones included.
  const [x, y] = [(2 * at.x) / size.x - 1, 1 - (2 * at.y) / size.y];
  const near = new Vector3(x, y, -1).unproject(camera);
  const ray = new Ray(near, new Vector3(x, y, 1).unproject(camera).sub(near).normalize());
  const volume = (object) => object.sides.reduce((product, side) => product * Math.max(side ?? 0, 0.01), 1);
  const hit = data.objects.filter((object) => isShown(object) && meets(ray, object));
  return hit.sort((a, b) => volume(a) - volume(b))[0]?.id ?? null;
}

function meets(ray, object) {
  const corner = object.obb.map((xyz) => new Vector3(...xyz));
  const triangle = (i) => SIDES.slice(i, i + 3).map((k) => corner[k]);
  for (let i = 0; i < SIDES.length; i += 3) if (ray.intersectTriangle(...triangle(i), false, new Vector3())) return true;
  return false;
}
