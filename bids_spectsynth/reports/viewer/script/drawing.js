// Drawing: slices, cross, sides, stamps and colour bars. All of it is in the canvas's pixels: a copy has it too.

const SIDES = "#ffd24d";
const ALARM = "#ff7a6b";
const CROSS = "#7dff9a";
const QUIET = "#c8d0d8";
const FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif";

// The slice of a plane with both layers, one picture element for each of the frame's.
function raster(state, plane) {
  const { frame } = state;
  const { across, up, through } = PLANES[plane];
  const width = frame.size[across];
  const height = frame.size[up];
  const base = shownBase(state);
  const overlay = shownOverlay(state);
  const above = overlay && [paint(overlay), state.opacity];
  const key = JSON.stringify([state.at[through], state.smooth, paint(base), above]);
  const kept = state.rasters[plane];
  if (kept && kept.key === key) return kept;
  const canvas = kept ? kept.canvas : document.createElement("canvas");
  if (!kept) {
    canvas.width = width;
    canvas.height = height;
  }
  const numbers = kept ? kept.numbers : new Float32Array(width * height);
  const image = kept ? kept.image : new ImageData(width, height);
  paintBase(slice(base.volume, frame, plane, state.at[through], state.smooth, numbers), base, state.maps, image.data);
  if (overlay) {
    slice(overlay.volume, frame, plane, state.at[through], state.smooth, numbers);
    paintOverlay(numbers, overlay, state.maps, state.opacity, image.data);
  }
  canvas.getContext("2d").putImageData(image, 0, 0);
  state.rasters[plane] = { key, canvas, image, numbers };
  return state.rasters[plane];
}

function paint(layer) {
  return [layer.name, layer.window, layer.threshold, layer.colours];
}

function shownBase(state) {
  return state.layers[state.swapped ? state.second : state.base];
}

function shownOverlay(state) {
  return state.overlay && state.overlayOn ? state.layers[state.overlay] : null;
}

function isSynthetic(state) {
  const overlay = shownOverlay(state);
  return shownBase(state).synthetic || Boolean(overlay && overlay.synthetic);
}

function drawAll(state, context) {
  const { ratio } = state;
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.fillStyle = "#000";
  context.fillRect(0, 0, state.width, state.layout.height);
  for (const tile of Object.values(state.layout.tiles)) {
    if (tile.plane === TILE) drawRendering(state, context, tile);
    else drawTile(state, context, tile);
    drawMark(state, context, tile);
  }
  drawStrip(state, context);
}

function drawTile(state, context, tile) {
  const { frame } = state;
  const { across, up } = PLANES[tile.plane];
  const picture = raster(state, tile.plane).canvas;
  const corner = [...frame.low];
  corner[across] -= frame.step / 2;
  corner[up] += (frame.size[up] - 0.5) * frame.step;
  const [x, y] = toCanvas(state, tile, corner);
  const pixels = state.layout.scale * state.zoom * frame.step;
  context.save();
  context.beginPath();
  context.rect(tile.left, tile.top, tile.width, tile.height);
  context.clip();
  context.imageSmoothingEnabled = state.smooth;
  context.save();
  context.translate(x, y);
  if (isMirrored(state, tile.plane)) context.scale(-1, 1);
  context.drawImage(picture, 0, 0, picture.width * pixels, picture.height * pixels);
  context.restore();
  if (state.cross) drawCross(state, context, tile);
  drawLabels(state, context, tile);
  context.restore();
}

// A frame around the plane that the keys move.
function drawMark(state, context, tile) {
  if (state.focused && state.active === tile.plane && Object.keys(state.layout.tiles).length > 1) {
    context.strokeStyle = SIDES;
    context.lineWidth = 1.5;
    context.strokeRect(tile.left + 1, tile.top + 1, tile.width - 2, tile.height - 2);
  }
}

// Lines that meet at the point, open there so that it can be seen.
function drawCross(state, context, tile) {
  const [x, y] = toCanvas(state, tile, state.at).map((value) => Math.round(value * state.ratio) / state.ratio);
  const open = 9;
  context.strokeStyle = CROSS;
  context.globalAlpha = 0.85;
  context.lineWidth = 1;
  context.beginPath();
  context.moveTo(tile.left, y);
  context.lineTo(x - open, y);
  context.moveTo(x + open, y);
  context.lineTo(tile.left + tile.width, y);
  context.moveTo(x, tile.top);
  context.lineTo(x, y - open);
  context.moveTo(x, y + open);
  context.lineTo(x, tile.top + tile.height);
  context.stroke();
  context.globalAlpha = 1;
}

// Text with a dark edge, to be read on any image.
function label(context, text, x, y, style) {
  context.font = `${style.weight || 600} ${style.size || 12}px ${FONT}`;
  context.textAlign = style.align || "left";
  context.textBaseline = style.baseline || "alphabetic";
  context.lineJoin = "round";
  context.lineWidth = 3;
  context.strokeStyle = "rgba(0, 0, 0, 0.8)";
  context.strokeText(text, x, y);
  context.fillStyle = style.colour || QUIET;
  context.fillText(text, x, y);
}

function drawLabels(state, context, tile) {
  const { through } = PLANES[tile.plane];
  const names = tile.plane === "sagittal" ? ["P", "A"] : isMirrored(state, tile.plane) ? ["R", "L"] : ["L", "R"];
  const right = tile.left + tile.width - 9;
  const bottom = tile.top + tile.height - 9;
  const side = { colour: SIDES, size: 18, weight: 700, baseline: "top" };
  label(context, names[0], tile.left + 9, tile.top + 9, side);
  label(context, names[1], right, tile.top + 9, { ...side, align: "right" });
  const position = `${"xyz"[through]} ${state.at[through].toFixed(1).replace("-", "−")} mm`;
  label(context, position, tile.left + 9, bottom, { size: 12, weight: 500 });
  if (isSynthetic(state)) drawSynthetic(context, tile);
}

function drawSynthetic(context, tile) {
  const style = { colour: ALARM, size: 14, weight: 700, baseline: "top", align: "center" };
  label(context, "SYNTHETIC", tile.left + tile.width / 2, tile.top + 11, style);
}

// Colour bars with their ranges, the convention, and what the picture is.
function drawStrip(state, context) {
  const { strip } = state.layout;
  const overlay = shownOverlay(state);
  const column = Math.min(420, strip.width / 2);
  drawBar(state, context, shownBase(state), strip.left + 10, strip.top, column - 24, false);
  if (overlay) drawBar(state, context, overlay, strip.left + column + 10, strip.top, column - 24, true);
  const right = "Radiological: patient’s left on the right";
  const sides = state.radiological ? right : "Neurological: patient’s left on the left";
  const warning = isSynthetic(state) ? "SYNTHETIC: computed, no measurement" : "";
  const rows = textRows(strip.width);
  const texts = [[sides, SIDES, 0, "left"], [warning, ALARM, rows === 3 ? 1 : 0, ["center", "right", "left"][rows - 1]],
    [state.stamp, QUIET, rows - 1, rows === 1 ? "right" : "left"]];
  const width = strip.width - 20;
  for (const [text, colour, row, align] of texts) {
    const x = strip.left + 10 + { left: 0, center: width / 2, right: width }[align];
    const y = strip.top + BARS + 14 + row * LINE;
    const room = [width / (warning ? 3 : 2) - 8, row === 0 ? width / 2 : width, width][rows - 1];
    label(context, text, x, y, { colour, align, weight: 500, size: sizeFor(context, text, room) });
  }
}

// Size of the letters with which a text is not cut: version, purpose and side must stay in the picture.
function sizeFor(context, text, room) {
  for (let size = 12; size > 7; size -= 1) {
    context.font = `500 ${size}px ${FONT}`;
    if (context.measureText(text).width <= room) return size;
  }
  return 7;
}

// Text that ends where there is no room for it.
function fitting(context, text, room) {
  context.font = `600 12px ${FONT}`;
  if (context.measureText(text).width <= room) return text;
  let shown = text;
  while (shown && context.measureText(`${shown}…`).width > room) shown = shown.slice(0, -1);
  return `${shown}…`;
}

// The colours of a layer from end to end of its window; where an overlay is not seen, the bar is dark.
function drawBar(state, context, layer, left, top, width, isOverlay) {
  const { table } = state.maps[layer.colours];
  const [low, high] = layer.window;
  const y = top + 26;
  const name = `${titleOf(layer)}${layer.unit ? `, ${layer.unit}` : ""}`;
  label(context, fitting(context, name, width), left, top + 19, { weight: 600 });
  for (let n = 0; n < width; n += 1) {
    const value = low + ((high - low) * n) / (width - 1);
    const c = 3 * colourIndex(value, layer);
    const seen = !isOverlay || isShown(value, layer);
    context.fillStyle = seen ? `rgb(${table[c]}, ${table[c + 1]}, ${table[c + 2]})` : "#20262c";
    context.fillRect(left + n, y, 1.5, 11);
  }
  context.strokeStyle = "#808890";
  context.lineWidth = 1;
  context.strokeRect(left - 0.5, y - 0.5, width + 1, 12);
  barTicks(layer, isOverlay, 42 / width).forEach((value) => {
    const x = left + ((value - low) / (high - low)) * width;
    const align = value === low ? "left" : value === high ? "right" : "center";
    label(context, tick(value), x, y + 25, { weight: 500, size: 11, align });
  });
}

function tick(value) {
  return String(Number(value.toPrecision(3))).replace("-", "−");
}

// Values that are printed below a bar, `share` of its width apart at least.
function barTicks(layer, isOverlay, share) {
  const [low, high] = layer.window;
  const gap = Math.max(share, 0.05) * (high - low);
  const inner = isOverlay ? layer.threshold.filter((value) => value !== null) : [];
  const between = inner.filter((value) => value > low + gap && value < high - gap);
  const apart = between.length < 2 || between[1] - between[0] > gap;
  if (!between.length && layer.kind === "signed" && low < 0 && high > 0) return [low, 0, high];
  return [low, ...(apart ? between : between.slice(0, 1)), high];
}
