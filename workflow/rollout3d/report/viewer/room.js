// The room in three dimensions. World: metres, aligned frame, +z up. Drawn on demand only.

import {
  BufferAttribute, BufferGeometry, CanvasTexture, Color, ColorManagement, DoubleSide, LinearSRGBColorSpace, Mesh,
  MeshBasicMaterial, NearestFilter, OrthographicCamera, PerspectiveCamera, Plane, PlaneGeometry, Points, PointsMaterial, Scene,
  TextureLoader, Vector2, Vector3, WebGLRenderer,
} from "three";
import { LineMaterial } from "./LineMaterial.js";
import { LineSegments2 } from "./LineSegments2.js";
import { LineSegmentsGeometry } from "./LineSegmentsGeometry.js";
import { OrbitControls } from "./OrbitControls.js";
import { Labels } from "./labels.js";
import { SIDES, boxAt, cameraAt } from "./pick.js";
import { frustum, imagePlane, pixelProjection, placeInside } from "./pinhole.js";
import { byId, bytes, colorOf, data, isShown, onChange, set, state } from "./state.js";

const BACKGROUND = "#12161b";
const FRUSTUM_M = 0.13;
const CHOSEN_FRUSTUM_M = 0.55;
const FIELD_DEG = 42;
const POINT_M = 0.05;
// Corner pairs of a box whose corner index has a bit for each axis.
const EDGES = [0, 1, 2, 3, 4, 5, 6, 7].flatMap((i) => [1, 2, 4].filter((bit) => !(i & bit)).map((bit) => [i, i | bit]));

export class Room {
  constructor(holder) {
    // Colours are shown as the tables have them: no conversion between colour spaces.
    ColorManagement.enabled = false;
    this.holder = holder;
    this.canvas = holder.querySelector("#canvas");
    this.renderer = new WebGLRenderer({ canvas: this.canvas, antialias: true, alpha: true, preserveDrawingBuffer: true });
    this.renderer.outputColorSpace = LinearSRGBColorSpace;
    this.renderer.localClippingEnabled = true;
    this.ceiling = new Plane(new Vector3(0, 0, -1), 0);
    this.scene = new Scene();
    this.low = new Vector3(...data.bounds[0]);
    this.high = new Vector3(...data.bounds[1]);
    this.centre = this.low.clone().add(this.high).multiplyScalar(0.5);
    // The lower part is nearer to the camera and takes more of the window.
    this.aim = this.centre.clone().setZ(data.floor + 0.2 * (this.high.z - data.floor));
    this.layers = {};
    this.addPoints();
    this.addMaps();
    this.addAxes();
    this.addCameras();
    this.pinhole = new PerspectiveCamera();
    this.pinhole.matrixAutoUpdate = false;
    this.labels = new Labels(holder.querySelector("#labels"));
    this.reset(true);
    this.boxes();
    this.listen();
  }

  // --- drawing ---------------------------------------------------------------------------------------------------

  lines(pairs, colors, width, options = {}) {
    const geometry = new LineSegmentsGeometry();
    geometry.setPositions(pairs.flat(2));
    if (Array.isArray(colors)) geometry.setColors(colors.flatMap((c) => [c.r, c.g, c.b, c.r, c.g, c.b]));
    const flat = Array.isArray(colors) ? { vertexColors: true } : { color: colors };
    const lines = new LineSegments2(geometry, new LineMaterial({ linewidth: width, ...flat, ...options }));
    if (options.dashed) lines.computeLineDistances();
    lines.frustumCulled = false;
    return lines;
  }

  replace(name, made) {
    const old = this.layers[name];
    if (old) {
      this.scene.remove(old);
      old.geometry.dispose();
      old.material.dispose();
    }
    this.layers[name] = made;
    if (made) this.scene.add(made);
  }

  addPoints() {
    document.body.dataset.points = data.points?.n ?? 0;
    if (!data.points) return;
    const geometry = new BufferGeometry();
    geometry.setAttribute("position", new BufferAttribute(new Float32Array(bytes(data.points.xyz).buffer), 3));
    geometry.setAttribute("color", new BufferAttribute(bytes(data.points.rgb), 3, true));
    const disc = document.createElement("canvas");
    disc.width = disc.height = 32;
    const pen = disc.getContext("2d");
    pen.fillStyle = "#fff";
    pen.arc(16, 16, 15, 0, 2 * Math.PI);
    pen.fill();
    const look = { vertexColors: true, map: new CanvasTexture(disc), alphaTest: 0.5, clippingPlanes: [this.ceiling] };
    this.replace("points", new Points(geometry, new PointsMaterial(look)));
  }

  addMaps() {
    if (!data.map) return;
    new TextureLoader().load(`data:image/png;base64,${data.map.png}`, (loaded) => {
      const { width, height } = loaded.image;
      const picture = Object.assign(document.createElement("canvas"), { width, height });
      const pen = picture.getContext("2d");
      pen.drawImage(loaded.image, 0, 0);
      const pixels = pen.getImageData(0, 0, width, height);
      // The map is black where it has no data.
      for (let i = 0; i < pixels.data.length; i += 4) {
        if (!(pixels.data[i] | pixels.data[i + 1] | pixels.data[i + 2])) pixels.data[i + 3] = 0;
      }
      pen.putImageData(pixels, 0, 0);
      const { m_per_px: m, x0, y0 } = data.map;
      this.addSheet("floor", picture, x0 - m / 2, y0 + m / 2 - height * m, width * m, height * m, -0.015, 1);
      document.body.dataset.map = `${width}x${height}`;
    });
    const [columns, rows] = data.map.grid_size;
    if (!columns || !rows) return;
    const picture = Object.assign(document.createElement("canvas"), { width: columns, height: rows });
    const pen = picture.getContext("2d");
    const pixels = pen.createImageData(columns, rows);
    const bits = bytes(data.map.walkable);
    for (let i = 0; i < columns * rows; i++) {
      if (!((bits[i >> 3] >> (7 - (i & 7))) & 1)) continue;
      // Row 0 of the grid is the lowest y, row 0 of a picture the highest.
      const at = (rows - 1 - Math.floor(i / columns)) * columns + (i % columns);
      pixels.data.set([80, 220, 150, 255], 4 * at);
    }
    pen.putImageData(pixels, 0, 0);
    const [x, y] = data.map.grid_origin;
    this.addSheet("walkable", picture, x, y, columns * data.map.cell_m, rows * data.map.cell_m, 0.02, 0.45);
  }

  addSheet(name, picture, x, y, width, depth, above, opacity) {
    const texture = new CanvasTexture(picture);
    // A cell is walkable or not: nothing in between.
    if (name === "walkable") texture.magFilter = NearestFilter;
    const look = { map: texture, transparent: true, opacity, side: DoubleSide, depthWrite: false };
    const sheet = new Mesh(new PlaneGeometry(width, depth), new MeshBasicMaterial(look));
    sheet.position.set(x + width / 2, y + depth / 2, data.floor + above);
    this.replace(name, sheet);
    this.toggle();
  }

  addAxes() {
    const corner = [this.low.x - 0.3, this.low.y - 0.3, data.floor];
    const along = (axis, length) => corner.map((value, i) => value + (i === axis ? length : 0));
    const colors = ["#e5484d", "#46a758", "#3e8bff"].map((color) => new Color(color));
    this.scene.add(this.lines([0, 1, 2].map((axis) => [corner, along(axis, 0.5)]), colors, 2.5));
    this.axes = ["x", "y", "z"].map((text, axis) => ({ text, at: new Vector3(...along(axis, 0.58)) }));
  }

  boxes() {
    const objects = data.objects.filter(isShown);
    for (const kind of ["obb", "aabb"]) {
      const pairs = [];
      const colors = [];
      for (const object of objects) {
        const quiet = object.category === null || (state.object !== null && object.id !== state.object);
        const color = new Color(colorOf(object)).lerp(new Color(BACKGROUND), quiet ? 0.5 : 0);
        for (const [a, b] of EDGES) {
          pairs.push([object[kind][a], object[kind][b]]);
          colors.push(color);
        }
      }
      const look = kind === "aabb" ? { dashed: true, dashSize: 0.06, gapSize: 0.04, dashScale: 1 } : {};
      this.replace(kind, pairs.length ? this.lines(pairs, colors, kind === "aabb" ? 1.5 : 2.2, look) : null);
    }
    const object = state.object === null ? null : byId.get(state.object);
    this.replace("chosen", object ? this.lines(EDGES.map(([a, b]) => [object.obb[a], object.obb[b]]), "#ffffff", 3.2) : null);
    this.replace("filled", object ? this.solid(object) : null);
    document.body.dataset.boxes = objects.length;
    this.toggle();
  }

  solid(object) {
    const geometry = new BufferGeometry();
    geometry.setAttribute("position", new BufferAttribute(new Float32Array(object.obb.flat()), 3));
    geometry.setIndex(SIDES);
    const look = { color: colorOf(object), transparent: true, opacity: 0.22, side: DoubleSide, depthWrite: false };
    return new Mesh(geometry, new MeshBasicMaterial(look));
  }

  addCameras() {
    const posed = data.frames.filter((frame) => frame.pose && frame.K);
    const small = posed.flatMap((frame) => frustum(frame, FRUSTUM_M));
    if (small.length) this.replace("cameras", this.lines(small, "#f2c14e", 1.2, { transparent: true, opacity: 0.6 }));
    const path = [];
    const gaps = [];
    let last = -1;
    data.frames.forEach((frame, i) => {
      if (!frame.pose) return;
      const at = (f) => [f.pose[3], f.pose[7], f.pose[11]];
      if (last >= 0) (i === last + 1 ? path : gaps).push([at(data.frames[last]), at(frame)]);
      last = i;
    });
    if (path.length) this.replace("path", this.lines(path, "#f2c14e", 2.2));
    const dotted = { dashed: true, dashSize: 0.05, gapSize: 0.08, dashScale: 1 };
    if (gaps.length) this.replace("gaps", this.lines(gaps, "#ff5d5d", 1.6, dotted));
    document.body.dataset.cameras = posed.length;
    document.body.dataset.gaps = gaps.length;
  }

  chosenCamera() {
    const frame = state.frame === null ? null : data.frames[state.frame];
    const there = frame?.pose && frame.K;
    this.replace("camera", there ? this.lines(frustum(frame, CHOSEN_FRUSTUM_M), "#ffffff", 2.4) : null);
    const sheet = there && frame.jpeg ? imagePlane(frame, CHOSEN_FRUSTUM_M) : null;
    if (sheet) {
      sheet.material.map = new TextureLoader().load(`data:image/jpeg;base64,${frame.jpeg}`, () => this.draw());
    }
    this.replace("shot", sheet);
    this.toggle();
  }

  toggle() {
    const through = state.view === "camera";
    const on = { ...state.layers, filled: !through, shot: !through, camera: !through, chosen: true };
    on.gaps = state.layers.path;
    // The lens itself and pictures from above would cover the photo.
    for (const name of ["cameras", "path", "gaps", "floor"]) on[name] &&= !through;
    for (const [name, layer] of Object.entries(this.layers)) if (layer) layer.visible = Boolean(on[name]);
    this.draw();
  }

  // --- views ---------------------------------------------------------------------------------------------------

  reset(first = false) {
    const reach = this.reach();
    this.controls?.forEach((control) => control.dispose());
    this.orbit = new PerspectiveCamera(FIELD_DEG, 1, 0.05, 60 * reach);
    this.orbit.up.set(0, 0, 1);
    const from = new Vector3(-0.62, -1, 1.05).normalize();
    this.orbit.position.copy(this.aim).addScaledVector(from, 2.75 * reach);
    this.top = new OrthographicCamera(-1, 1, 1, -1, 0.1, 40 * reach);
    this.top.up.set(0, 1, 0);
    this.top.position.set(this.centre.x, this.centre.y, this.high.z + 10 * reach);
    this.controls = [this.orbit, this.top].map((camera) => {
      const controls = new OrbitControls(camera, this.canvas);
      controls.target.copy(camera === this.top ? new Vector3(this.centre.x, this.centre.y, data.floor) : this.aim);
      controls.enableRotate = camera === this.orbit;
      if (camera === this.top) controls.mouseButtons.LEFT = controls.mouseButtons.RIGHT;
      controls.update();
      controls.addEventListener("change", () => this.draw());
      return controls;
    });
    if (!first) this.resize();
  }

  // Largest distance of the room from its middle: a rotated room does not reach its rectangle's corners.
  reach() {
    const half = this.high.clone().sub(this.low).length() / 2;
    const xyz = this.layers.points?.geometry.attributes.position;
    const at = new Vector3();
    const away = xyz ? Array.from({ length: xyz.count }, (_, i) => at.fromBufferAttribute(xyz, i).distanceTo(this.centre)) : [];
    away.sort((a, b) => a - b);
    return Math.max(Math.min(away[Math.floor(0.99 * away.length)] ?? half, half), 1);
  }

  camera() {
    return state.view === "top" ? this.top : state.view === "camera" && this.posed() ? this.pinhole : this.orbit;
  }

  posed() {
    const frame = state.frame === null ? null : data.frames[state.frame];
    return frame?.pose && frame.K ? frame : null;
  }

  resize() {
    const width = Math.max(this.holder.clientWidth, 1);
    const height = Math.max(this.holder.clientHeight, 1);
    this.renderer.setPixelRatio(Math.min(devicePixelRatio, 2));
    this.renderer.setSize(width, height, false);
    this.size = new Vector2(width, height);
    this.orbit.aspect = width / height;
    // Beside a chosen frame the window is narrow: the room still fits.
    const half = Math.tan((FIELD_DEG * Math.PI) / 360) * Math.max(1, 1.15 / this.orbit.aspect);
    this.orbit.fov = (2 * Math.atan(half) * 180) / Math.PI;
    this.orbit.updateProjectionMatrix();
    const room = this.high.clone().sub(this.low);
    const reach = 0.6 * Math.max(room.y, (room.x * height) / width, 0.5);
    Object.assign(this.top, { left: (-reach * width) / height, right: (reach * width) / height, top: reach, bottom: -reach });
    this.top.updateProjectionMatrix();
    this.look();
  }

  look() {
    const through = state.view === "camera";
    const frame = through ? this.posed() : null;
    const photo = this.holder.querySelector("#photo");
    photo.hidden = !(through && state.frame !== null && data.frames[state.frame].jpeg);
    this.canvas.hidden = through && !frame;
    if (!photo.hidden) {
      const chosen = data.frames[state.frame];
      photo.src = `data:image/jpeg;base64,${chosen.jpeg}`;
      photo.style.opacity = state.photo;
      const place = placeInside(chosen, this.size);
      for (const side of ["left", "top", "width", "height"]) photo.style[side] = `${place[side]}px`;
    }
    if (frame) pixelProjection(this.pinhole, frame, this.size);
    this.controls.forEach((controls, i) => (controls.enabled = state.view === ["orbit", "top"][i]));
    for (const button of document.querySelectorAll("#views button")) {
      button.classList.toggle("chosen", button.dataset.view === state.view);
    }
    this.hint(through, frame);
    this.toggle();
  }

  hint(through, frame) {
    const lost = "Tracking was lost in this frame: there is no camera to look through.";
    const none = "Choose a frame below to look through its camera.";
    const text = !through || frame ? "" : state.frame === null ? none : lost;
    this.holder.querySelector("#hint").textContent = text;
  }

  draw() {
    this.pending ??= requestAnimationFrame(() => {
      this.pending = null;
      this.render();
    });
  }

  render() {
    const camera = this.camera();
    const through = camera === this.pinhole;
    if (this.layers.points) {
      const { material } = this.layers.points;
      const scale = state.pointSize * POINT_M;
      const pixels = this.top.zoom * (this.size.y / (this.top.top - this.top.bottom)) * this.renderer.getPixelRatio();
      const perspective = camera !== this.top;
      const opacity = through ? 1 - state.photo : 1;
      // three.js leaves the field of view out of a point's size.
      if (material.sizeAttenuation !== perspective || material.transparent !== through) material.needsUpdate = true;
      const look = { size: perspective ? scale * camera.projectionMatrix.elements[5] : Math.max(scale * pixels, 1), sizeAttenuation: perspective };
      Object.assign(material, look, { opacity, transparent: through, alphaTest: Math.min(0.5, opacity / 2) });
    }
    this.ceiling.constant = through ? 1e4 : data.floor + state.cut;
    this.renderer.setClearColor(BACKGROUND, through ? 0 : 1);
    this.renderer.render(this.scene, camera);
    // A frame without a pose has a photo, but no overlay.
    const blind = this.canvas.hidden;
    this.labels.place(camera, this.size, state.layers.labels && !blind, through || blind ? [] : this.axes);
    const scale = this.holder.querySelector("#scale");
    scale.hidden = camera !== this.top;
    scale.style.width = `${(this.top.zoom * this.size.y) / (this.top.top - this.top.bottom)}px`;
    document.body.dataset.drawn = state.view;
  }

  // --- selection ----------------------------------------------------------------------------------------------------

  listen() {
    let down = null;
    const choose = (event) => {
      const box = this.canvas.getBoundingClientRect();
      const at = new Vector2(event.clientX - box.left, event.clientY - box.top);
      const camera = this.camera();
      const frame = state.layers.cameras && camera !== this.pinhole ? cameraAt(at, this.size, camera) : null;
      const object = frame === null ? boxAt(at, this.size, camera) : null;
      set(frame !== null ? { frame } : { object: object === state.object ? null : object });
    };
    this.canvas.addEventListener("pointerdown", (event) => (down = [event.clientX, event.clientY]));
    this.canvas.addEventListener("pointerup", (event) => {
      if (down && Math.hypot(event.clientX - down[0], event.clientY - down[1]) < 4) choose(event);
      down = null;
    });
    new ResizeObserver(() => this.resize()).observe(this.holder);
    onChange((changes) => {
      if ("object" in changes || "hidden" in changes) this.boxes();
      if ("frame" in changes) this.chosenCamera();
      if (changes.view === "camera" && state.frame === null) {
        const first = data.frames.findIndex((frame) => frame.pose && frame.K && frame.jpeg);
        if (first >= 0) return set({ frame: first });
      }
      if ("view" in changes || "frame" in changes || "photo" in changes) this.look();
      else this.toggle();
    });
    this.resize();
  }
}
