// The viewer itself: its state, how it changes, and what other parts of the page may ask of it.

const LARGEST_ZOOM = 8;
const TOO_OLD =
  "This browser is too old for the viewer, which needs Chrome or Edge 98, Firefox 113, Safari 16.4 or later. " +
  "The pictures below show the same images.";

class Viewer {
  constructor(root, content) {
    this.root = root;
    this.parts = {};
    for (const element of root.querySelectorAll("[data-part]")) this.parts[element.dataset.part] = element;
    const layers = Object.fromEntries(content.layers.map((layer) => [layer.name, { ...layer }]));
    const maps = {};
    for (const [name, map] of Object.entries(content.maps)) maps[name] = { ...map, table: fromBase64(map.colours) };
    this.first = { ...content, layers: structuredClone(content.layers), volumes: null };
    this.state = {
      layers, maps, order: content.layers.map((layer) => layer.name), frame: content.frame, foci: content.foci,
      template: content.template, toTemplate: content.toTemplate, stamp: content.stamp,
      rasters: {}, rendering: null, width: 0, ratio: 1, layout: null, hover: null, focused: false,
    };
    this.restart();
  }

  // What can be changed, as at the beginning.
  restart() {
    const { frame } = this.state;
    const middle = frame.low.map((low, axis) => low + Math.floor(frame.size[axis] / 2) * frame.step);
    Object.assign(this.state, {
      base: this.first.base, overlay: this.first.overlay, second: this.first.second || this.first.base,
      at: within(frame, this.first.at || middle), zoom: 1, planes: "three", active: "axial", focus: -1,
      opacity: 0.8, overlayOn: true, smooth: true, cross: true, radiological: false, flicker: false, swapped: false,
      // From the front and the patient's left, a little from above.
      view: { azimuth: 145, elevation: 15, zoom: 1, cut: "" },
    });
    for (const layer of this.first.layers) {
      const { window, threshold, colours } = structuredClone(layer);
      Object.assign(this.state.layers[layer.name], { window, threshold, colours });
    }
  }

  reset() {
    this.setFlicker(false);
    this.restart();
    this.resize();
  }

  // Draws at the next frame of the screen, once for any number of changes.
  update() {
    if (this.asked) return;
    this.asked = requestAnimationFrame(() => this.draw());
  }

  // Draws now.
  draw() {
    cancelAnimationFrame(this.asked);
    this.asked = 0;
    updateRendering(this);
    drawAll(this.state, this.parts.canvas.getContext("2d"));
    showValues(this);
    showControls(this);
  }

  // Fits the canvas to the page; sharp on screens of any density.
  resize() {
    const { state, parts } = this;
    state.width = Math.max(this.root.clientWidth, 200);
    state.ratio = window.devicePixelRatio || 1;
    state.layout = layout(state.frame, state.planes, state.width, window.innerHeight, Boolean(state.rendering));
    parts.canvas.width = Math.round(state.width * state.ratio);
    parts.canvas.height = Math.round(state.layout.height * state.ratio);
    parts.canvas.style.width = `${state.width}px`;
    parts.canvas.style.height = `${state.layout.height}px`;
    this.draw();
  }

  moveTo(point) {
    this.state.at = within(this.state.frame, point);
    this.state.focus = -1;
    this.update();
  }

  // Moves the cross by voxels along an axis of the marked plane.
  step(direction, count) {
    if (this.state.active === TILE) {
      turn(this, direction, count);
      return;
    }
    const point = [...this.state.at];
    point[PLANES[this.state.active][direction]] += count * this.state.frame.voxel;
    this.moveTo(point);
  }

  jumpTo(number) {
    const { state } = this;
    const focus = state.foci[number];
    if (focus.layer) this.setOverlay(focus.layer);
    this.moveTo(focus.at);
    state.focus = number;
  }

  nextFocus(by) {
    const { foci, focus } = this.state;
    if (foci.length) this.jumpTo(focus < 0 ? (by > 0 ? 0 : foci.length - 1) : (focus + by + foci.length) % foci.length);
  }

  setBase(name) {
    if (!this.state.layers[name]) return;
    this.state.base = name;
    this.state.swapped = false;
    this.update();
  }

  setOverlay(name) {
    if (name && !this.state.layers[name]) return;
    this.state.overlay = name;
    this.state.overlayOn = true;
    this.update();
  }

  setSecond(name) {
    if (this.state.layers[name]) this.state.second = name;
    this.update();
  }

  setPlanes(name) {
    this.state.planes = name;
    if (name !== "three") this.state.active = name;
    this.resize();
  }

  setActive(plane) {
    this.state.active = plane;
    if (this.state.planes !== "three") this.setPlanes(plane);
  }

  setRadiological(on) {
    this.state.radiological = on;
    this.update();
  }

  setHelp(on) {
    this.parts.keys.hidden = !on;
    this.update();
  }

  // Of the planes, or of the view in three dimensions where that is marked.
  enlarge(by) {
    const zoomed = this.state.active === TILE ? this.state.view : this.state;
    zoomed.zoom = Math.min(Math.max(zoomed.zoom * by, 1), LARGEST_ZOOM);
    this.update();
  }

  setRendering(on) {
    return setRendering(this, on);
  }

  // One number for both sides of a signed layer.
  setThreshold(value) {
    const layer = this.state.layers[this.state.overlay];
    if (!layer) return;
    const high = Math.max(value, 0);
    layer.threshold = [layer.kind === "signed" ? -high : null, high];
    this.update();
  }

  changeThreshold(by) {
    const layer = this.state.layers[this.state.overlay];
    if (!layer) return;
    const fine = Math.max(Math.abs(layer.window[0]), Math.abs(layer.window[1])) / 40;
    this.setThreshold((layer.threshold[1] || 0) + by * fine);
  }

  setFlicker(on) {
    clearInterval(this.timer);
    this.state.flicker = on;
    this.state.swapped = false;
    if (on) this.timer = setInterval(() => this.swap(), FLICKER_MS);
    this.update();
  }

  swap() {
    this.state.swapped = !this.state.swapped;
    this.update();
  }

  // Picture elements of a plane before they are enlarged, for tests.
  raster(plane) {
    const { image } = raster(this.state, plane);
    return { width: image.width, height: image.height, pixels: [...image.data] };
  }
}

async function start(root) {
  const data = root.querySelector('script[type="application/json"]');
  const status = root.querySelector('[data-part="status"]');
  if (typeof DecompressionStream === "undefined") {
    status.textContent = TOO_OLD;
    return;
  }
  status.textContent = "Unpacking images…";
  const content = JSON.parse(data.textContent);
  data.remove();
  const viewer = new Viewer(root, content);
  const volumes = await Promise.all(content.volumes.map((one) => unpackVolume(one, content.volumes)));
  content.layers.forEach((layer, number) => (viewer.state.layers[layer.name].volume = volumes[number]));
  status.hidden = true;
  viewer.parts.body.hidden = false;
  fillChoices(viewer);
  fillKeys(viewer);
  fillValues(viewer);
  fillFoci(viewer);
  bindControls(viewer);
  bindInput(viewer);
  viewer.resize();
  // The height of the canvas changes that of the viewer: only another width asks for another layout.
  new ResizeObserver(() => root.clientWidth !== viewer.state.width && viewer.resize()).observe(root);
  offerRendering(viewer);
  viewer.readyAfter = performance.now();
  root.viewer = viewer;
  root.dispatchEvent(new CustomEvent("viewer-ready", { bubbles: true }));
}

// Anything in the page with data-focus="x,y,z" (mm, T1w) and perhaps data-layer jumps to its place, and anything with
// data-flicker="base" and data-second alternates both layers: in the viewer that it names by data-in, or the first.
function jumpFrom(element) {
  const { in: name, focus, layer, flicker, second } = element.dataset;
  const root = name ? document.getElementById(name) : document.querySelector("[data-viewer]");
  if (!root || !root.viewer) return;
  if (flicker) {
    root.viewer.setOverlay("");
    root.viewer.setBase(flicker);
    root.viewer.setSecond(second);
    root.viewer.setFlicker(true);
  } else {
    const point = focus.split(",").map(Number);
    if (point.length !== 3 || !point.every(Number.isFinite)) return;
    root.viewer.setFlicker(false);
    if (layer) root.viewer.setOverlay(layer);
    root.viewer.moveTo(point);
  }
  root.scrollIntoView({ block: "start" });
  root.viewer.parts.canvas.focus({ preventScroll: true });
}

function prepareJump(element) {
  element.setAttribute("role", "button");
  element.tabIndex = 0;
  element.addEventListener("click", () => jumpFrom(element));
  element.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    jumpFrom(element);
  });
}

function startAll() {
  for (const root of document.querySelectorAll("[data-viewer]:not([data-started])")) {
    root.dataset.started = "";
    start(root).catch((error) => {
      const status = root.querySelector('[data-part="status"]');
      status.textContent = `The viewer cannot show these images: ${error.message}`;
      throw error;
    });
  }
}

// The script stands behind the first viewer, which need not wait for the rest of the page.
startAll();
document.addEventListener("DOMContentLoaded", () => {
  startAll();
  document.querySelectorAll("[data-focus], [data-flicker]").forEach(prepareJump);
});
