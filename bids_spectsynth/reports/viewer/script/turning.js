// The tile of the view in three dimensions: opened and closed, turned, pointed at, and labelled.

const TILE = "rendering";
// Degrees of a key and of a pixel that the pointer is drawn.
const KEY_DEGREES = 5;
const PIXEL_DEGREES = 0.5;
// A pointer that has moved less than this, pixels, has clicked.
const CLICK = 4;
const NO_WEBGL2 = "3D needs WebGL 2, which this browser or computer does not offer. All else works without it.";

// Says on the button whether there is such a view, as soon as the page has nothing better to do.
function offerRendering(viewer) {
  const later = window.requestIdleCallback || ((task) => setTimeout(task, 200));
  later(() => hasWebgl2() || refuse(viewer, NO_WEBGL2, true));
}

function refuse(viewer, sentence, forGood) {
  const { why, rendering } = viewer.parts;
  why.textContent = sentence;
  why.hidden = !sentence;
  rendering.disabled = Boolean(forGood);
}

async function setRendering(viewer, on) {
  const { state } = viewer;
  if (!on) closeRendering(viewer);
  if (!on || state.rendering || viewer.opening) return;
  if (!hasWebgl2()) {
    refuse(viewer, NO_WEBGL2, true);
    return;
  }
  refuse(viewer, "Opening 3D…");
  viewer.opening = true;
  try {
    const niivue = await loadNiivue();
    state.rendering = await Rendering.open(niivue, state, () => failed(viewer, "the graphics were taken away"));
    refuse(viewer, "");
    state.active = TILE;
    viewer.resize();
  } catch (error) {
    failed(viewer, error.message);
  } finally {
    viewer.opening = false;
  }
}

function closeRendering(viewer) {
  const { state } = viewer;
  if (!state.rendering) return;
  const closing = state.rendering;
  state.rendering = null;
  if (state.active === TILE) state.active = state.planes === "three" ? "axial" : state.planes;
  closing.close();
  viewer.resize();
}

function failed(viewer, reason) {
  refuse(viewer, `3D does not work here: ${reason}. The planes go on.`);
  closeRendering(viewer);
}

// Draws the view anew where something has changed; what goes wrong in it does not touch the planes.
function updateRendering(viewer) {
  const { state } = viewer;
  const tile = state.rendering && state.layout.tiles[TILE];
  if (!tile) return;
  try {
    const [width, height] = [tile.width, tile.height].map((length) => Math.max(Math.round(length * state.ratio), 1));
    state.rendering.update(state, width, height, viewer.turning);
  } catch (error) {
    failed(viewer, error.message);
  }
}

function drawRendering(state, context, tile) {
  const { rendering } = state;
  context.save();
  context.beginPath();
  context.rect(tile.left, tile.top, tile.width, tile.height);
  context.clip();
  context.drawImage(rendering.picture, tile.left, tile.top, tile.width, tile.height);
  drawSides(state, context, tile);
  if (isSynthetic(state)) drawSynthetic(context, tile);
  context.restore();
}

// Letters at the ends of the axes: L and R always, the others where they do not lie on them.
function drawSides(state, context, tile) {
  const { frame, rendering } = state;
  const middle = frame.low.map((low, axis) => low + ((frame.size[axis] - 1) * frame.step) / 2);
  const taken = [];
  for (const [letters, axis] of [["LR", 0], ["PA", 1], ["IS", 2]]) {
    [...letters].forEach((letter, end) => {
      const point = [...middle];
      point[axis] += (end ? 0.56 : -0.56) * frame.size[axis] * frame.step;
      const [x, y] = rendering.project(point);
      const place = [
        tile.left + Math.min(Math.max(x * tile.width, 12), tile.width - 12),
        tile.top + Math.min(Math.max(y * tile.height, 12), tile.height - 12),
      ];
      if (axis && taken.some((other) => Math.hypot(other[0] - place[0], other[1] - place[1]) < 26)) return;
      taken.push(place);
      const style = axis ? { size: 13 } : { size: 18, weight: 700, colour: SIDES };
      label(context, letter, ...place, { ...style, align: "center", baseline: "middle" });
    });
  }
}

// Turns the view, or makes it larger, by steps of a key.
function turn(viewer, direction, count) {
  const { view } = viewer.state;
  if (direction === "through") viewer.enlarge(1.1 ** count);
  else if (direction === "across") turnBy(viewer, KEY_DEGREES * count, 0);
  else turnBy(viewer, 0, KEY_DEGREES * count);
  return view;
}

function turnBy(viewer, right, up) {
  const { view } = viewer.state;
  view.azimuth = (((view.azimuth + right) % 360) + 360) % 360;
  view.elevation = Math.min(Math.max(view.elevation + up, -90), 90);
  viewer.update();
}

// What a pointer does in the tile: draw to turn, click to move the cross.
function dragRendering(viewer, before, now) {
  viewer.turning = true;
  viewer.drawn = (viewer.drawn || 0) + Math.hypot(now[0] - before[0], now[1] - before[1]);
  turnBy(viewer, (now[0] - before[0]) * PIXEL_DEGREES, (now[1] - before[1]) * PIXEL_DEGREES);
}

function releaseRendering(viewer, [x, y]) {
  const { state } = viewer;
  const tile = state.layout.tiles[TILE];
  const clicked = (viewer.drawn || 0) < CLICK;
  viewer.turning = false;
  viewer.drawn = 0;
  if (!tile || !clicked || tileAt(state, x, y) !== tile) return;
  const point = state.rendering.pick((x - tile.left) / tile.width, (y - tile.top) / tile.height, state);
  if (point) viewer.moveTo(point);
}
