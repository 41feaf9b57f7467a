// Cameras as the tables have them: K of the stored pixels with integer pixel centres, pose from camera (+x right, +y down,
// +z forward) to world.

import { BufferAttribute, BufferGeometry, DoubleSide, Matrix4, Mesh, MeshBasicMaterial, Vector3 } from "three";

const poseOf = (frame) => new Matrix4().set(...frame.pose);

// World positions of the picture's corners at a depth: top left, top right, bottom right, bottom left.
function corners(frame, depth) {
  const [fx, , cx, , fy, cy] = frame.K;
  const [right, bottom] = [frame.width - 0.5, frame.height - 0.5];
  const pose = poseOf(frame);
  return [[-0.5, -0.5], [right, -0.5], [right, bottom], [-0.5, bottom]].map(([u, v]) =>
    new Vector3(((u - cx) / fx) * depth, ((v - cy) / fy) * depth, depth).applyMatrix4(pose).toArray(),
  );
}

// Segments of a camera's pyramid, with a tick on the picture's upper side.
export function frustum(frame, depth) {
  const lens = [frame.pose[3], frame.pose[7], frame.pose[11]];
  const edge = corners(frame, depth);
  const middle = (a, b, share) => a.map((value, i) => value + share * (b[i] - value));
  const up = (a, b) => a.map((value, i) => value + 0.3 * (value - b[i]));
  const roof = up(middle(edge[0], edge[1], 0.5), middle(edge[3], edge[2], 0.5));
  return [
    ...edge.map((corner) => [lens, corner]),
    ...edge.map((corner, i) => [corner, edge[(i + 1) % 4]]),
    [middle(edge[0], edge[1], 0.3), roof],
    [roof, middle(edge[0], edge[1], 0.7)],
  ];
}

// The picture itself, placed at a depth before the lens; the caller gives its texture.
export function imagePlane(frame, depth) {
  const geometry = new BufferGeometry();
  geometry.setAttribute("position", new BufferAttribute(new Float32Array(corners(frame, depth).flat()), 3));
  geometry.setAttribute("uv", new BufferAttribute(new Float32Array([0, 1, 1, 1, 1, 0, 0, 0]), 2));
  geometry.setIndex([0, 1, 2, 0, 2, 3]);
  return new Mesh(geometry, new MeshBasicMaterial({ side: DoubleSide }));
}

// Rectangle of the picture in a window of that size: as large as fits, in the middle. CSS pixels.
export function placeInside(frame, size) {
  const scale = Math.min(size.x / frame.width, size.y / frame.height);
  const [width, height] = [scale * frame.width, scale * frame.height];
  return { scale, width, height, left: (size.x - width) / 2, top: (size.y - height) / 2 };
}

// Give `camera` the view of the frame's camera over the whole window, so that points fall on the picture's pixels.
export function pixelProjection(camera, frame, size, near = 0.05, far = 200) {
  const [fx, , cx, , fy, cy] = frame.K;
  const { scale, left, top } = placeInside(frame, size);
  // Pixel coordinates of the window's borders; the picture's own border lies at -0.5.
  const u = (x) => (x - left) / scale - 0.5;
  const v = (y) => (y - top) / scale - 0.5;
  const side = (pixel, centre, focal) => ((pixel - centre) / focal) * near;
  const [l, r] = [side(u(0), cx, fx), side(u(size.x), cx, fx)];
  const [t, b] = [-side(v(0), cy, fy), -side(v(size.y), cy, fy)];
  camera.projectionMatrix.makePerspective(l, r, t, b, near, far);
  camera.projectionMatrixInverse.copy(camera.projectionMatrix).invert();
  // three.js looks along -z with +y up.
  camera.matrix.copy(poseOf(frame)).multiply(new Matrix4().makeScale(1, -1, -1));
  camera.matrixWorldNeedsUpdate = true;
  camera.updateMatrixWorld(true);
}
