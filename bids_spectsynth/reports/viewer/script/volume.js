// Volumes: from the page's text to numbers, and from numbers to slices.

// Axes of the world: across to the right, up, and through the plane.
const PLANES = {
  axial: { across: 0, up: 1, through: 2 },
  coronal: { across: 0, up: 2, through: 1 },
  sagittal: { across: 1, up: 2, through: 0 },
};

function fromBase64(text) {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(text);
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let n = 0; n < bytes.length; n += 1) bytes[n] = binary.charCodeAt(n);
  return bytes;
}

async function gunzip(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

// Integers are stored as changes along one axis or all three, small ones of either sign as small numbers; of two bytes
// all low ones come first.
function restore(bytes, packed) {
  const { shape, bits, axes, slope, intercept } = packed;
  const count = shape[0] * shape[1] * shape[2];
  // Arrays of whole numbers wrap around, as the changes were taken.
  const stored = bits === 8 ? new Uint8Array(count) : new Uint16Array(count);
  for (let n = 0; n < count; n += 1) {
    const number = bits === 8 ? bytes[n] : bytes[n] | (bytes[count + n] << 8);
    stored[n] = (number >>> 1) ^ -(number & 1);
  }
  for (let axis = 0, step = 1; axis < axes; step *= shape[axis], axis += 1) {
    const length = step * shape[axis];
    for (let start = 0; start < count; start += length) {
      for (let n = start + step; n < start + length; n += 1) stored[n] += stored[n - step];
    }
  }
  const values = new Float32Array(count);
  for (let n = 0; n < count; n += 1) values[n] = stored[n] * slope + intercept;
  return values;
}

async function unpackVolume(packed, all) {
  const data = typeof packed.data === "number" ? all[packed.data].data : packed.data;
  const values = restore(await gunzip(fromBase64(data)), packed);
  return { shape: packed.shape, toVoxel: packed.toVoxel, values };
}

function transform(rows, point) {
  return rows.map((row) => row[0] * point[0] + row[1] * point[1] + row[2] * point[2] + row[3]);
}

// Value of the voxel that a point of the world lies in; not a number outside.
function valueAt(volume, point) {
  const [ni, nj, nk] = volume.shape;
  const [i, j, k] = transform(volume.toVoxel, point).map((voxel) => Math.floor(voxel + 0.5));
  if (i < 0 || j < 0 || k < 0 || i >= ni || j >= nj || k >= nk) return NaN;
  return volume.values[i + ni * (j + nj * k)];
}

// A slice of a volume as numbers, row by row from the top, 0 outside the volume: `out` is filled and has frame's size.
function slice(volume, frame, plane, at, smooth, out) {
  const { across, up, through } = PLANES[plane];
  const width = frame.size[across];
  const height = frame.size[up];
  const point = [0, 0, 0];
  point[across] = frame.low[across];
  point[up] = frame.low[up] + (height - 1) * frame.step;
  point[through] = at;
  const start = transform(volume.toVoxel, point);
  const right = volume.toVoxel.map((row) => row[across] * frame.step);
  const down = volume.toVoxel.map((row) => -row[up] * frame.step);
  const fill = smooth ? fillLinear : fillNearest;
  for (let row = 0; row < height; row += 1) {
    const first = start.map((value, axis) => value + row * down[axis]);
    fill(volume, first, right, out, row * width, width);
  }
  return out;
}

function fillNearest(volume, first, right, out, offset, width) {
  const [ni, nj, nk] = volume.shape;
  const { values } = volume;
  // Rounded alike whatever the last digits of the matrices are.
  let x = first[0] + 0.5 + 1e-6;
  let y = first[1] + 0.5 + 1e-6;
  let z = first[2] + 0.5 + 1e-6;
  for (let n = 0; n < width; n += 1) {
    const inside = x >= 0 && y >= 0 && z >= 0 && x < ni && y < nj && z < nk;
    out[offset + n] = inside ? values[(x | 0) + ni * ((y | 0) + nj * (z | 0))] : 0;
    x += right[0];
    y += right[1];
    z += right[2];
  }
}

function fillLinear(volume, first, right, out, offset, width) {
  const [ni, nj, nk] = volume.shape;
  const { values } = volume;
  const plane = ni * nj;
  let [x, y, z] = first;
  for (let n = 0; n < width; n += 1, x += right[0], y += right[1], z += right[2]) {
    if (x < -0.5 || y < -0.5 || z < -0.5 || x > ni - 0.5 || y > nj - 0.5 || z > nk - 0.5) {
      out[offset + n] = 0;
      continue;
    }
    const i = x < 0 ? 0 : x | 0;
    const j = y < 0 ? 0 : y | 0;
    const k = z < 0 ? 0 : z | 0;
    // Within the outermost half voxel the outermost value stands.
    const a = x < 0 || i >= ni - 1 ? 0 : x - i;
    const b = y < 0 || j >= nj - 1 ? 0 : y - j;
    const c = z < 0 || k >= nk - 1 ? 0 : z - k;
    const at = i + ni * j + plane * k;
    const di = a > 0 ? 1 : 0;
    const dj = b > 0 ? ni : 0;
    const dk = c > 0 ? plane : 0;
    const low = mixed(values, at, di, dj, a, b);
    if (dk === 0) {
      out[offset + n] = low;
      continue;
    }
    out[offset + n] = low * (1 - c) + mixed(values, at + dk, di, dj, a, b) * c;
  }
}

function mixed(values, at, di, dj, a, b) {
  const front = values[at] + (values[at + di] - values[at]) * a;
  const back = values[at + dj] + (values[at + dj + di] - values[at + dj]) * a;
  return front + (back - front) * b;
}
