// Colours: from numbers to picture elements.

// Number of the colour of a value, 0 to 255. Of a signed layer both sides of 0 have their own half.
function colourIndex(value, layer) {
  const [low, high] = layer.window;
  let share;
  if (layer.kind === "signed" && low < 0 && high > 0) share = 0.5 + (0.5 * value) / (value < 0 ? -low : high);
  else share = high > low ? (value - low) / (high - low) : value >= high ? 1 : 0;
  const index = Math.floor(share * 255 + 0.5);
  return index < 0 ? 0 : index > 255 ? 255 : index;
}

// An overlay is seen beyond its thresholds; where a limit is null, its side has none.
function isShown(value, layer) {
  const [low, high] = layer.threshold;
  if (low === null && high === null) return true;
  return (high !== null && value >= high) || (low !== null && value <= low);
}

// Paints the slice of the base layer, opaque.
function paintBase(numbers, layer, maps, pixels) {
  const map = maps[layer.colours].table;
  for (let n = 0, p = 0; n < numbers.length; n += 1, p += 4) {
    const c = 3 * colourIndex(numbers[n], layer);
    pixels[p] = map[c];
    pixels[p + 1] = map[c + 1];
    pixels[p + 2] = map[c + 2];
    pixels[p + 3] = 255;
  }
}

// Mixes the slice of the overlay into what is there.
function paintOverlay(numbers, layer, maps, opacity, pixels) {
  const map = maps[layer.colours].table;
  for (let n = 0, p = 0; n < numbers.length; n += 1, p += 4) {
    if (!isShown(numbers[n], layer)) continue;
    const c = 3 * colourIndex(numbers[n], layer);
    pixels[p] += (map[c] - pixels[p]) * opacity;
    pixels[p + 1] += (map[c + 1] - pixels[p + 1]) * opacity;
    pixels[p + 2] += (map[c + 2] - pixels[p + 2]) * opacity;
  }
}

// Names of the colour maps that suit a layer.
function mapsFor(layer, maps) {
  const family = layer.kind === "signed" ? "both-sides" : "from-zero";
  return Object.keys(maps).filter((name) => maps[name].family === family);
}

// A number for reading, with as many digits as its size deserves.
function digits(value) {
  if (!Number.isFinite(value)) return "–";
  const size = Math.abs(value);
  const text = value.toFixed(size >= 100 || value === 0 ? 0 : size >= 10 ? 1 : 2);
  return text.replace("-", "−");
}
