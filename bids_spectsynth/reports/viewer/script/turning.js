// The tile of the view in three dimensions: opened and closed, turned, pointed at, and labelled.

const TILE = "rendering";
// Degrees of a key and of a pixel that the pointer is drawn.
const KEY_DEGREES = 5;
const PIXEL_DEGREES = 0.5;
// A pointer that has moved less than this, pixels, has clicked.
const CLICK = 4;
// Cosine of the angle to the line of sight, 37°, below which an axis is seen end on: of one axis at most at a time.
const FACING = 0.8;
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
  if (!on) {
    if (viewer.opening) refuse(viewer, "");
    closeRendering(viewer);
    return;
  }
  if (state.rendering) return;
  if (!hasWebgl2()) {
    refuse(viewer, NO_WEBGL2, true);
    return;
  }
  refuse(viewer, "Opening 3D…");
  viewer.wanted = true;
  if (viewer.opening) return;
  viewer.opening = true;
  try {
    const niivue = await loadNiivue();
    const opened = await Rendering.open(niivue, state, () => failed(viewer, TAKEN_AWAY));
    // Somebody may have changed their mind meanwhile.
    if (!viewer.wanted) {
      opened.close();
      return;
    }
    state.rendering = opened;
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
  viewer.wanted = false;
  if (!state.rendering) return;
  // A pointer may be down on it, which then clicks on nothing.
  viewer.turning = false;
  viewer.drawn = CLICK;
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

// Letters at the ends of the axes: L and R always, the others where they do not lie on them. Of an axis that points at
// the eye both would lie on the head, the far one on what it does not name: a corner says which end faces the eye.
function drawSides(state, context, tile) {
  const { frame, rendering } = state;
  const middle = frame.low.map((low, axis) => low + ((frame.size[axis] - 1) * frame.step) / 2);
  const taken = [];
  for (const [letters, axis] of [["LR", 0], ["PA", 1], ["IS", 2]]) {
    const style = axis ? { size: 13 } : { size: 18, weight: 700, colour: SIDES };
    const facing = rendering.towards[axis] / Math.hypot(...rendering.towards);
    if (Math.abs(facing) > FACING) {
      drawFacing(context, tile, letters[facing > 0 ? 1 : 0], style);
      continue;
    }
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
      label(context, letter, ...place, { ...style, align: "center", baseline: "middle" });
    });
  }
}

// With a word before it, so that nobody takes the corner itself for that side.
function drawFacing(context, tile, letter, style) {
  const [left, bottom] = [tile.left + 9, tile.top + tile.height - 9];
  label(context, "from", left, bottom, { size: 12, weight: 500 });
  label(context, letter, left + context.measureText("from ").width, bottom, style);
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
  viewer.drawn += Math.hypot(now[0] - before[0], now[1] - before[1]);
  turnBy(viewer, (now[0] - before[0]) * PIXEL_DEGREES, (now[1] - before[1]) * PIXEL_DEGREES);
}

function clickRendering(viewer, [x, y]) {
  const { state } = viewer;
  const tile = state.layout.tiles[TILE];
  if (!tile || tileAt(state, x, y) !== tile) return;
  const point = state.rendering.pick((x - tile.left) / tile.width, (y - tile.top) / tile.height, state);
  if (point) viewer.moveTo(point);
}
