// Where things are on the canvas: tiles of the planes, and the ways between canvas and world. Lengths in CSS pixels.

const GAP = 4;
const NARROW = 560;
// From here on the three texts below the colour bars stand in one row.
const WIDE = 1000;
const TILE_MARGIN = 8;
// Of the colour bars, and of a line of text below them.
const BARS = 56;
const LINE = 18;
const SHARE_OF_WINDOW = 0.62;
// With the view in three dimensions there are two rows.
const SHARE_OF_TWO_ROWS = 0.78;

// Rows of planes for a width, and the one that is shown alone; with the view in three dimensions beside them.
function rowsOf(shown, width, deep) {
  if (shown !== "three") return !deep ? [[shown]] : width < NARROW ? [[shown], [TILE]] : [[shown, TILE]];
  if (deep) return [["axial", "coronal"], ["sagittal", TILE]];
  return width < NARROW ? [["axial", "coronal"], ["sagittal"]] : [["axial", "coronal", "sagittal"]];
}

// Rows of text below the colour bars.
function textRows(width) {
  return width < NARROW ? 3 : width < WIDE ? 2 : 1;
}

function millimetres(frame, plane) {
  if (plane === TILE) {
    const longest = Math.max(...frame.size) * frame.step;
    return [longest, longest];
  }
  const { across, up } = PLANES[plane];
  return [frame.size[across] * frame.step, frame.size[up] * frame.step];
}

// Tiles by plane with a common scale, the strip below them, and the height of all.
function layout(frame, shown, width, windowHeight, deep) {
  const rows = rowsOf(shown, width, deep);
  const share = deep && rows.length > 1 ? SHARE_OF_TWO_ROWS : SHARE_OF_WINDOW;
  const tallest = rows.map((row) => Math.max(...row.map((plane) => millimetres(frame, plane)[1])));
  const room = Math.max(share * windowHeight, 260) - rows.length * 2 * TILE_MARGIN;
  let scale = room / tallest.reduce((sum, height) => sum + height, 0);
  for (const row of rows) {
    const across = row.reduce((sum, plane) => sum + millimetres(frame, plane)[0], 0);
    scale = Math.min(scale, (width - (row.length - 1) * GAP - row.length * 2 * TILE_MARGIN) / across);
  }
  const tiles = {};
  let top = 0;
  rows.forEach((row, number) => {
    const height = tallest[number] * scale + 2 * TILE_MARGIN;
    const widths = row.map((plane) => millimetres(frame, plane)[0] * scale + 2 * TILE_MARGIN);
    const spare = (width - (row.length - 1) * GAP - widths.reduce((sum, own) => sum + own, 0)) / row.length;
    let left = 0;
    row.forEach((plane, column) => {
      tiles[plane] = { plane, left, top, width: widths[column] + spare, height };
      left += widths[column] + spare + GAP;
    });
    top += height + GAP;
  });
  const height = BARS + LINE * textRows(width) + 6;
  return { tiles, scale, strip: { left: 0, top, width, height }, height: top + height };
}

// Middle of what a tile shows: that of the frame, and with zoom as near to the cross as the frame's edge allows.
function middle(state, plane, axis) {
  const { frame, zoom, at } = state;
  const length = frame.size[axis] * frame.step;
  const edge = frame.low[axis] - frame.step / 2;
  const half = length / 2 / zoom;
  return Math.min(Math.max(at[axis], edge + half), edge + length - half);
}

// Whether the patient's right is on the left of a plane.
function isMirrored(state, plane) {
  return state.radiological && plane !== TILE && PLANES[plane].across === 0;
}

function toCanvas(state, tile, point) {
  const { across, up } = PLANES[tile.plane];
  const pixels = state.layout.scale * state.zoom;
  const side = isMirrored(state, tile.plane) ? -1 : 1;
  return [
    tile.left + tile.width / 2 + side * (point[across] - middle(state, tile.plane, across)) * pixels,
    tile.top + tile.height / 2 - (point[up] - middle(state, tile.plane, up)) * pixels,
  ];
}

// The point of the world under a place in a tile, on the plane that the tile shows.
function toWorld(state, tile, x, y) {
  const { across, up } = PLANES[tile.plane];
  const pixels = state.layout.scale * state.zoom;
  const side = isMirrored(state, tile.plane) ? -1 : 1;
  const point = [...state.at];
  point[across] = middle(state, tile.plane, across) + (side * (x - tile.left - tile.width / 2)) / pixels;
  point[up] = middle(state, tile.plane, up) - (y - tile.top - tile.height / 2) / pixels;
  return within(state.frame, point);
}

// The nearest point that is shown.
function within(frame, point) {
  return point.map((value, axis) => {
    const last = frame.low[axis] + (frame.size[axis] - 1) * frame.step;
    return Math.min(Math.max(value, frame.low[axis]), last);
  });
}

function tileAt(state, x, y) {
  return Object.values(state.layout.tiles).find(
    (tile) => x >= tile.left && y >= tile.top && x < tile.left + tile.width && y < tile.top + tile.height,
  );
}
