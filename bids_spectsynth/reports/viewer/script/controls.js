// Controls: what the elements of the page show of the state, and what they change in it.

const NEARER = CUTS.map((plane) => [plane, plane ? `down to the ${plane} plane` : "nothing"]);
const THREE = [["three", "three"], ["axial", "axial"], ["coronal", "coronal"], ["sagittal", "sagittal"]];
// Half of a period, ms: less than three flashes a second.
const FLICKER_MS = 600;

function option(value, text) {
  const element = document.createElement("option");
  element.value = value;
  element.textContent = text;
  return element;
}

function titleOf(layer) {
  return layer.synthetic && !/synthetic/i.test(layer.title) ? `${layer.title} (SYNTHETIC)` : layer.title;
}

function fillChoices(viewer) {
  const { parts, state } = viewer;
  const layers = state.order.map((name) => [name, titleOf(state.layers[name])]);
  fill(parts.base, layers);
  fill(parts.overlay, [["", "none"], ...layers]);
  fill(parts.second, layers);
  fill(parts.planes, THREE);
  fill(parts.cut, NEARER);
}

function fill(select, entries) {
  select.replaceChildren(...entries.map(([value, text]) => option(value, text)));
}

function bindControls(viewer) {
  const { parts, state } = viewer;
  const on = (name, event, change) => parts[name].addEventListener(event, () => {
    change(parts[name]);
    viewer.update();
  });
  on("base", "change", (element) => viewer.setBase(element.value));
  on("overlay", "change", (element) => viewer.setOverlay(element.value));
  on("second", "change", (element) => viewer.setSecond(element.value));
  on("planes", "change", (element) => viewer.setPlanes(element.value));
  on("base-map", "change", (element) => (state.layers[state.base].colours = element.value));
  on("overlay-map", "change", (element) => (state.layers[state.overlay].colours = element.value));
  for (const [role, name] of [["base", "base"], ["overlay", "overlay"]]) {
    for (const [end, part] of [[0, `${name}-low`], [1, `${name}-high`]]) {
      on(part, "change", (element) => setEnd(state.layers[state[role]].window, end, element.value));
    }
  }
  on("below", "change", (element) => setLimit(state.layers[state.overlay], 0, element.value));
  on("above", "change", (element) => setLimit(state.layers[state.overlay], 1, element.value));
  on("threshold", "input", (element) => viewer.setThreshold(Number(element.value)));
  on("opacity", "input", (element) => (state.opacity = Number(element.value)));
  ["x", "y", "z"].forEach((name, axis) => on(name, "change", (element) => {
    const point = [...state.at];
    if (element.value !== "" && Number.isFinite(Number(element.value))) point[axis] = Number(element.value);
    viewer.moveTo(point);
  }));
  on("rendering", "click", () => viewer.setRendering(!viewer.wanted));
  on("cut", "change", (element) => (state.view.cut = element.value));
  on("flicker", "click", () => viewer.setFlicker(!state.flicker));
  on("radiological", "click", () => viewer.setRadiological(!state.radiological));
  on("smooth", "click", () => (state.smooth = !state.smooth));
  on("cross", "click", () => (state.cross = !state.cross));
  on("save", "click", () => savePicture(viewer));
  on("help", "click", () => viewer.setHelp(parts.keys.hidden));
  on("reset", "click", () => viewer.reset());
}

// Ends of a window keep their order; what is no number changes nothing.
function setEnd(window, end, text) {
  const value = Number(text);
  if (text === "" || !Number.isFinite(value)) return;
  if (end === 0 ? value < window[1] : value > window[0]) window[end] = value;
}

// An empty field means no limit on its side.
function setLimit(layer, side, text) {
  const value = text === "" ? null : Number(text);
  if (value !== null && !Number.isFinite(value)) return;
  const other = layer.threshold[1 - side];
  if (value !== null && other !== null && (side === 0 ? value > other : value < other)) return;
  layer.threshold[side] = value;
}

function write(input, value) {
  if (document.activeElement !== input) input.value = value === null ? "" : String(Number(value.toPrecision(4)));
}

// Brings every element up to date with the state.
function showControls(viewer) {
  const { parts, state } = viewer;
  const base = state.layers[state.base];
  parts.base.value = state.base;
  parts.overlay.value = state.overlay;
  parts.second.value = state.second;
  parts.planes.value = state.planes;
  showLook(viewer, base, "base");
  parts["overlay-look"].hidden = !state.overlay;
  if (state.overlay) {
    const overlay = state.layers[state.overlay];
    showLook(viewer, overlay, "overlay");
    write(parts.below, overlay.threshold[0]);
    write(parts.above, overlay.threshold[1]);
    parts.below.disabled = overlay.kind !== "signed";
    parts.threshold.max = String(Math.max(Math.abs(overlay.window[0]), Math.abs(overlay.window[1])));
    parts.threshold.step = String(Number(parts.threshold.max) / 200);
    parts.threshold.value = String(overlay.threshold[1] === null ? 0 : overlay.threshold[1]);
    parts.opacity.value = String(state.opacity);
  }
  for (const name of ["flicker", "radiological", "smooth", "cross"]) {
    parts[name].setAttribute("aria-pressed", String(state[name]));
  }
  parts.rendering.setAttribute("aria-pressed", String(Boolean(state.rendering)));
  parts["cut-look"].hidden = !state.rendering;
  parts.cut.value = state.view.cut;
  parts.help.setAttribute("aria-expanded", String(!parts.keys.hidden));
  state.at.forEach((value, axis) => {
    const input = parts["xyz"[axis]];
    if (document.activeElement !== input) input.value = value.toFixed(1);
  });
}

function showLook(viewer, layer, role) {
  const { parts, state } = viewer;
  parts[`${role}-name`].textContent = `${role === "base" ? "Image" : "Overlay"}: ${titleOf(layer)}`;
  const names = mapsFor(layer, state.maps);
  const select = parts[`${role}-map`];
  if (select.dataset.names !== names.join()) {
    fill(select, names.map((name) => [name, state.maps[name].title]));
    select.dataset.names = names.join();
  }
  select.value = layer.colours;
  write(parts[`${role}-low`], layer.window[0]);
  write(parts[`${role}-high`], layer.window[1]);
}

function savePicture(viewer) {
  viewer.parts.canvas.toBlob((blob) => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = `${document.title.split(" ")[0]}_viewer.png`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  });
}
