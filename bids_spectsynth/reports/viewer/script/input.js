// Pointer, touch and keys on the canvas.

const BIG_STEP = 10;

function bindInput(viewer) {
  const { canvas } = viewer.parts;
  const pointers = new Map();
  canvas.addEventListener("pointerdown", (event) => {
    canvas.focus({ preventScroll: true });
    canvas.setPointerCapture(event.pointerId);
    pointers.set(event.pointerId, place(canvas, event));
    // What the last gesture left, in whichever tile, says nothing of this one.
    if (pointers.size === 1) viewer.drawn = 0;
    const tile = tileAt(viewer.state, ...place(canvas, event));
    if (tile) viewer.state.active = tile.plane;
    if (pointers.size === 1 && !event.shiftKey && viewer.state.active !== TILE) pointAt(viewer, event);
    viewer.update();
    event.preventDefault();
  });
  canvas.addEventListener("pointermove", (event) => {
    const before = pointers.get(event.pointerId);
    const now = place(canvas, event);
    if (before) pointers.set(event.pointerId, now);
    if (before && pointers.size === 2) twoFingers(viewer, pointers, event.pointerId, before);
    else if (before && viewer.state.active === TILE) dragRendering(viewer, before, now);
    else if (before && event.shiftKey) dragWindow(viewer, now[0] - before[0], now[1] - before[1]);
    else if (before) pointAt(viewer, event);
    else hover(viewer, now);
    viewer.update();
  });
  const end = (event) => {
    const last = pointers.delete(event.pointerId) && !pointers.size;
    // What the system has taken over, to scroll for one, was no click.
    const clicked = last && event.type === "pointerup" && viewer.drawn < CLICK;
    if (last) viewer.turning = false;
    if (clicked && viewer.state.active === TILE) clickRendering(viewer, place(canvas, event));
    viewer.update();
  };
  canvas.addEventListener("pointerup", end);
  canvas.addEventListener("pointercancel", end);
  canvas.addEventListener("pointerleave", () => {
    viewer.state.hover = null;
    viewer.update();
  });
  canvas.addEventListener("wheel", (event) => wheel(viewer, event), { passive: false });
  for (const name of ["focus", "blur"]) {
    canvas.addEventListener(name, () => {
      viewer.state.focused = name === "focus";
      viewer.update();
    });
  }
  viewer.root.addEventListener("keydown", (event) => key(viewer, event));
}

function place(canvas, event) {
  const box = canvas.getBoundingClientRect();
  return [event.clientX - box.left, event.clientY - box.top];
}

// The cross follows the pointer within the plane that it is in.
function pointAt(viewer, event) {
  const { state, parts } = viewer;
  const tile = state.layout.tiles[state.active];
  const [x, y] = place(parts.canvas, event);
  state.hover = null;
  if (tile && tileAt(state, x, y) === tile) viewer.moveTo(toWorld(state, tile, x, y));
}

function hover(viewer, [x, y]) {
  const { state } = viewer;
  const tile = tileAt(state, x, y);
  state.hover = tile && tile.plane !== TILE ? toWorld(state, tile, x, y) : null;
}

function dragWindow(viewer, right, down) {
  const { window, kind } = viewer.state.layers[viewer.state.base];
  const width = window[1] - window[0];
  const wider = (width * right) / 300;
  const higher = kind === "signed" ? 0 : (width * down) / 300;
  const low = window[0] - wider / 2 + higher;
  const high = window[1] + wider / 2 + higher;
  if (high - low > 1e-6 * Math.max(Math.abs(high), 1)) [window[0], window[1]] = [low, high];
}

// Two fingers: apart to enlarge, up and down for slices.
function twoFingers(viewer, pointers, id, before) {
  const { state } = viewer;
  // Their end is no click.
  viewer.drawn = CLICK;
  const other = [...pointers].find(([name]) => name !== id)[1];
  const now = pointers.get(id);
  const was = Math.hypot(before[0] - other[0], before[1] - other[1]);
  const is = Math.hypot(now[0] - other[0], now[1] - other[1]);
  if (Math.abs(is - was) > 1.5) viewer.enlarge(is / Math.max(was, 1));
  else viewer.step("through", (before[1] - now[1]) / 8);
}

// The page scrolls unless the viewer has the focus.
function wheel(viewer, event) {
  const { state, parts } = viewer;
  if (document.activeElement !== parts.canvas) return;
  event.preventDefault();
  const tile = tileAt(state, ...place(parts.canvas, event));
  if (tile) state.active = tile.plane;
  if (event.ctrlKey) viewer.enlarge(event.deltaY < 0 ? 1.15 : 1 / 1.15);
  else viewer.step("through", event.deltaY < 0 ? 1 : -1);
  viewer.update();
}

function key(viewer, event) {
  const { state } = viewer;
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const typed = ["INPUT", "SELECT", "TEXTAREA"].includes(event.target.tagName);
  const action = actionOf(viewer, event);
  if (typed || !action) return;
  // Arrows and pages scroll the page, unless they move the cross.
  if (event.key.length > 1 && event.target !== viewer.parts.canvas) return;
  action();
  state.hover = null;
  viewer.update();
  event.preventDefault();
}

function actionOf(viewer, event) {
  const { state } = viewer;
  const far = event.shiftKey ? BIG_STEP : 1;
  const mirrored = isMirrored(state, state.active) ? -1 : 1;
  const actions = {
    ArrowLeft: () => viewer.step("across", -mirrored * far),
    ArrowRight: () => viewer.step("across", mirrored * far),
    ArrowUp: () => viewer.step("up", far),
    ArrowDown: () => viewer.step("up", -far),
    PageUp: () => viewer.step("through", far),
    PageDown: () => viewer.step("through", -far),
    1: () => viewer.setActive("axial"),
    2: () => viewer.setActive("coronal"),
    3: () => viewer.setActive("sagittal"),
    4: () => state.rendering && (state.active = TILE),
    d: () => viewer.setRendering(!viewer.wanted),
    x: () => (state.view.cut = CUTS[(CUTS.indexOf(state.view.cut) + 1) % CUTS.length]),
    n: () => viewer.nextFocus(1),
    p: () => viewer.nextFocus(-1),
    f: () => viewer.setFlicker(!state.flicker),
    b: () => viewer.swap(),
    o: () => (state.overlayOn = !state.overlayOn),
    c: () => (state.cross = !state.cross),
    i: () => (state.smooth = !state.smooth),
    r: () => viewer.setRadiological(!state.radiological),
    s: () => savePicture(viewer),
    "+": () => viewer.enlarge(1.25),
    "=": () => viewer.enlarge(1.25),
    "-": () => viewer.enlarge(1 / 1.25),
    ",": () => viewer.changeThreshold(-1),
    ".": () => viewer.changeThreshold(1),
    "[": () => (state.opacity = Math.max(state.opacity - 0.1, 0)),
    "]": () => (state.opacity = Math.min(state.opacity + 0.1, 1)),
    0: () => viewer.reset(),
    "?": () => viewer.setHelp(viewer.parts.keys.hidden),
    Escape: () => viewer.setHelp(false),
  };
  return actions[event.key.length === 1 ? event.key.toLowerCase() : event.key];
}
