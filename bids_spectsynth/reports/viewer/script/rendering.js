// The view in three dimensions: niivue draws it with WebGL 2 on a canvas of its own, which is copied into the viewer's.

// Voxels that it is drawn from are as large as this or larger, mm; of eight times the volume where there is no graphics
// card, and the processor draws.
const GRID_MM = 1;
const SLOW_GRID_MM = 2;
const PROCESSOR = /swiftshader|llvmpipe|software|basic render/i;
// Sampled and painted layers that are kept: base, overlay, and what the base flickers with.
const KEPT = 3;
// What a picture may take, ms, while it is turned and at rest; where graphics are slow, it is coarser.
const TURNING_MS = 60;
const RESTING_MS = 600;
const COARSEST = 0.25;
const TAKEN_AWAY = "the graphics were taken away";
// What lies nearer than a plane through the cross can be cut away.
const CUTS = ["", "axial", "coronal", "sagittal"];

let offered = null;
let onProcessor = false;
let library = null;

// Whether there is WebGL 2, found out once a page; the context that says so is given back.
function hasWebgl2() {
  if (offered === null) {
    const context = document.createElement("canvas").getContext("webgl2");
    offered = Boolean(context);
    if (!context) return false;
    onProcessor = PROCESSOR.test(rendererOf(context));
    giveBack(context);
  }
  return offered;
}

// Chrome says what draws by an extension, which Firefox no longer wants to be asked for.
function rendererOf(context) {
  const name = context.getParameter(context.RENDERER);
  const extension = name === "WebKit WebGL" && context.getExtension("WEBGL_debug_renderer_info");
  return extension ? context.getParameter(extension.UNMASKED_RENDERER_WEBGL) : name;
}

function giveBack(context) {
  const extension = context.getExtension("WEBGL_lose_context");
  if (extension) extension.loseContext();
}

function loadNiivue() {
  if (!library) library = runNiivue();
  library.catch(() => (library = null));
  return library;
}

// The page holds niivue as text, which costs nothing until somebody asks for it; its policy names the text by its hash.
async function runNiivue() {
  if (document.readyState === "loading") {
    await new Promise((done) => document.addEventListener("DOMContentLoaded", done, { once: true }));
  }
  const packed = document.getElementById("niivue-packed").textContent;
  const element = document.createElement("script");
  element.textContent = new TextDecoder().decode(await gunzip(fromBase64(packed)));
  document.head.append(element);
  element.remove();
  if (!window.niivue) throw new Error("the browser refused its script");
  return window.niivue;
}

// The frame with voxels that are not smaller than those of a head: along the axes of the world.
function gridOf(frame) {
  const step = Math.max(frame.step, onProcessor ? SLOW_GRID_MM : GRID_MM);
  const size = frame.size.map((count) => Math.max(Math.round((count * frame.step) / step), 1));
  const spare = frame.size.map((count, axis) => (count - 1) * frame.step - (size[axis] - 1) * step);
  const low = frame.low.map((first, axis) => first + spare[axis] / 2);
  return { low, step, size };
}

// Values of a volume on a grid, x fastest.
function sampled(volume, grid, smooth) {
  const [nx, ny, nz] = grid.size;
  const values = new Float32Array(nx * ny * nz);
  const plane = new Float32Array(nx * ny);
  for (let k = 0; k < nz; k += 1) {
    slice(volume, grid, "axial", grid.low[2] + k * grid.step, smooth, plane);
    for (let j = 0; j < ny; j += 1) {
      values.set(plane.subarray(nx * (ny - 1 - j), nx * (ny - j)), nx * (j + ny * k));
    }
  }
  return values;
}

// Numbers of colours as the planes have them, 1 to 255; 0 where the layer is not seen.
function painted(values, layer) {
  const voxels = new Uint8Array(values.length);
  for (let n = 0; n < values.length; n += 1) {
    if (isShown(values[n], layer)) voxels[n] = colourIndex(values[n], layer) || 1;
  }
  return voxels;
}

// A NIfTI-1 file of bytes on a grid.
function nifti(grid, voxels) {
  const buffer = new ArrayBuffer(352 + voxels.length);
  const header = new DataView(buffer);
  const short = (at, ...numbers) => numbers.forEach((one, n) => header.setInt16(at + 2 * n, one, true));
  const float = (at, ...numbers) => numbers.forEach((one, n) => header.setFloat32(at + 4 * n, one, true));
  const { low, step, size } = grid;
  header.setInt32(0, 348, true);
  short(40, 3, ...size, 1, 1, 1, 1);
  short(70, 2, 8);
  float(76, 1, step, step, step, 1, 1, 1, 1);
  float(108, 352, 1, 0);
  header.setUint8(123, 2);
  float(124, 255, 0);
  short(252, 0, 1);
  float(280, step, 0, 0, low[0], 0, step, 0, low[1], 0, 0, step, low[2]);
  [0x6e, 0x2b, 0x31].forEach((letter, n) => header.setUint8(344 + n, letter));
  new Uint8Array(buffer, 352).set(voxels);
  return buffer;
}

// A colour map of the viewer for niivue. The image lets through what is far below its window's end (or near 0), so that
// a head has a surface; an overlay is opaque where it is seen.
function colourTable(map, isOverlay) {
  const table = { R: [], G: [], B: [], A: [], I: [] };
  for (let n = 0; n < 256; n += 1) {
    const solid = map.family === "both-sides" ? Math.abs(n - 127.5) : n / 2;
    table.R.push(map.table[3 * n]);
    table.G.push(map.table[3 * n + 1]);
    table.B.push(map.table[3 * n + 2]);
    table.A.push(n === 0 ? 0 : isOverlay ? 255 : Math.round(solid));
    table.I.push(n);
  }
  return table;
}

// The last few results of a function by a key.
function remember(kept, key, make) {
  if (!kept.has(key)) kept.set(key, make());
  const value = kept.get(key);
  kept.delete(key);
  kept.set(key, value);
  while (kept.size > KEPT) kept.delete(kept.keys().next().value);
  return value;
}

class Rendering {
  // `lost` is called when the graphics are taken away.
  static async open(niivue, state, lost) {
    const made = new Rendering(state, lost);
    try {
      await made.begin(niivue, state);
      if (made.lost) throw new Error(TAKEN_AWAY);
    } catch (error) {
      made.close();
      throw made.lost ? new Error(TAKEN_AWAY) : error;
    }
    return made;
  }

  constructor(state, lost) {
    this.grid = gridOf(state.frame);
    this.values = new Map();
    this.voxels = new Map();
    this.canvas = document.createElement("canvas");
    this.canvas.width = this.canvas.height = 16;
    this.canvas.addEventListener("webglcontextlost", () => {
      if (this.closed) return;
      this.lost = true;
      lost();
    });
    // niivue wants a parent to colour; it is never part of the page.
    document.createElement("div").append(this.canvas);
    // What was drawn last: WebGL forgets it.
    this.picture = document.createElement("canvas");
    // Milliseconds for each picture element, once it is known.
    this.pace = null;
    this.painting = this.view = "";
  }

  async begin(niivue, state) {
    const cross = [1, 3, 5].map((at) => Number.parseInt(CROSS.slice(at, at + 2), 16) / 255);
    this.nv = new niivue.Niivue({
      isResizeCanvas: false, interactive: false, dragAndDropEnabled: false, logLevel: "error", loadingText: "",
      sliceType: niivue.SLICE_TYPE.RENDER, backColor: [0, 0, 0, 1], isOrientationTextVisible: false,
      crosshairColor: [...cross, 1], crosshairWidth: 1.8, crosshairWidthUnit: "mm", show3Dcrosshair: state.cross,
      isClipAllVolumes: true, clipPlaneColor: [0, 0, 0, 0],
    });
    await this.nv.attachToCanvas(this.canvas, false);
    await this.nv.setVolumeRenderIllumination(0.5);
    for (const [name, map] of Object.entries(state.maps)) {
      this.nv.addColormap(`${name}-base`, colourTable(map, false));
      this.nv.addColormap(`${name}-overlay`, colourTable(map, true));
    }
    const empty = nifti(this.grid, new Uint8Array(this.grid.size.reduce((count, own) => count * own, 1)));
    const make = (role) => niivue.NVImage.new(empty, `${role}.nii`, `grey-${role}`, 1, null, 0, 255);
    // At once and before they are painted: niivue's addVolume would prepare the first one twice.
    const [base, overlay] = [await make("base"), await make("overlay")];
    Object.assign(this.nv, { volumes: [base, overlay], back: base, overlays: [overlay] });
  }

  paint(layer, state) {
    const values = remember(this.values, `${state.smooth} ${layer.name}`, () =>
      sampled(layer.volume, this.grid, state.smooth));
    return remember(this.voxels, JSON.stringify([state.smooth, paint(layer)]), () => painted(values, layer));
  }

  // Brings picture and state together; `quick` while it is turned.
  update(state, width, height, quick) {
    const base = shownBase(state);
    const overlay = shownOverlay(state);
    const painting = JSON.stringify([state.smooth, paint(base), overlay && [paint(overlay), state.opacity]]);
    if (painting !== this.painting) this.repaint(state, base, overlay);
    this.painting = painting;
    // The first picture is made for its time, after one that had the graphics prepared.
    for (let n = 0; this.pace === null && n < 2; n += 1) this.render(state, width, height, COARSEST, n);
    const budget = quick ? TURNING_MS : RESTING_MS;
    const share = Math.min(Math.max(Math.sqrt(budget / (width * height * this.pace)), COARSEST), 1);
    const view = JSON.stringify([painting, state.at, state.cross, state.view, width, height, Math.floor(8 * share)]);
    if (view !== this.view) this.render(state, width, height, Math.floor(8 * share) / 8, true);
    this.view = view;
  }

  repaint(state, base, overlay) {
    const [below, above] = this.nv.volumes;
    // niivue draws at once what is changed: that is to cost nothing.
    this.canvas.width = this.canvas.height = 1;
    below.img = this.paint(base, state);
    below.colormap = `${base.colours}-base`;
    if (overlay) {
      above.img = this.paint(overlay, state);
      above.colormap = `${overlay.colours}-overlay`;
    }
    above.opacity = overlay ? state.opacity : 0;
    this.nv.updateGLVolume();
  }

  render(state, fullWidth, fullHeight, share, timed) {
    const begin = performance.now();
    const { nv, canvas, picture } = this;
    const { azimuth, elevation, zoom } = state.view;
    const [width, height] = [fullWidth, fullHeight].map((length) => Math.max(Math.round(length * share), 1));
    for (const one of [canvas, picture]) if (one.width !== width || one.height !== height) {
      one.width = width;
      one.height = height;
    }
    Object.assign(nv.scene, { renderAzimuth: azimuth, renderElevation: elevation, volScaleMultiplier: zoom });
    nv.scene.crosshairPos = nv.mm2frac(state.at);
    nv.opts.show3Dcrosshair = state.cross;
    nv.setPivot3D();
    this.place(width, height, state.view);
    nv.scene.clipPlaneDepthAziElevs = [this.clipPlane(state)];
    nv.drawScene();
    picture.getContext("2d").drawImage(canvas, 0, 0);
    if (timed) this.pace = Math.max(performance.now() - begin, 0.1) / (width * height);
  }

  // Rows of the matrix from the world to the picture, and axes of the world to its right, up and towards the eye.
  place(width, height, { azimuth, elevation }) {
    const [toPicture, model] = this.nv.calculateMvpMatrix(null, [0, 0, width, height], azimuth, elevation);
    const row = (matrix, n) => [matrix[n], matrix[n + 4], matrix[n + 8]];
    this.rows = [0, 1].map((n) => ({ axis: row(toPicture, n), offset: toPicture[12 + n] }));
    // niivue looks from the far side and mirrors what it sees.
    this.towards = row(model, 2).map((value) => -value);
  }

  // Where a point of the world is in the picture, as shares of its width and height from the upper left corner.
  project(point) {
    const [x, y] = this.rows.map(({ axis, offset }) => dot(axis, point) + offset);
    return [(1 + x) / 2, (1 - y) / 2];
  }

  // The plane through the cross that what is nearer is cut away by: niivue's depth, azimuth and elevation.
  clipPlane(state) {
    const cut = this.cutOf(state);
    if (!cut) return [2, 0, 0];
    const { axis, sign } = cut;
    const depth = sign * (0.5 - this.nv.mm2frac(state.at)[axis]);
    if (axis === 2) return [depth, 0, -90 * sign];
    return [depth, axis === 0 ? -90 * sign : sign > 0 ? 0 : 180, 0];
  }

  // The axis of the plane that is cut, and on which of its sides the rest lies: away from the eye.
  cutOf(state) {
    if (!state.view.cut) return null;
    const axis = PLANES[state.view.cut].through;
    return { axis, sign: this.towards[axis] > 0 ? -1 : 1 };
  }

  // The point of the world that is seen at a place of the picture: an overlay, else the surface; null beside the head.
  pick(x, y, state) {
    const [right, up] = this.rows.map(({ axis, offset }, n) => {
      const length = Math.hypot(...axis);
      return { axis: axis.map((value) => value / length), along: ((n ? 1 - 2 * y : 2 * x - 1) - offset) / length };
    });
    const { low, step, size } = this.grid;
    const middle = low.map((first, axis) => first + ((size[axis] - 1) * step) / 2);
    const reach = (Math.hypot(...size) * step) / 2;
    const cut = this.cutOf(state);
    const [below, above] = this.nv.volumes;
    let solid = 0;
    let surface = null;
    for (let depth = reach; depth >= -reach; depth -= step / 2) {
      const towards = dot(this.towards, middle) + depth;
      const point = [0, 1, 2].map((axis) =>
        right.along * right.axis[axis] + up.along * up.axis[axis] + towards * this.towards[axis]);
      if (cut && cut.sign * (point[cut.axis] - state.at[cut.axis]) < 0) continue;
      const [i, j, k] = point.map((value, axis) => Math.round((value - low[axis]) / step));
      if (i < 0 || j < 0 || k < 0 || i >= size[0] || j >= size[1] || k >= size[2]) continue;
      const voxel = i + size[0] * (j + size[1] * k);
      if (above.opacity > 0 && above.img[voxel]) return point;
      if (surface) continue;
      solid += ((1 - solid) * below.img[voxel]) / 1024;
      if (solid > 0.5) surface = point;
    }
    return surface;
  }

  close() {
    this.closed = true;
    if (!this.nv) return;
    try {
      this.nv.cleanup();
    } catch (error) {
      // All that it holds of the graphics goes with the context; the planes must go on.
      console.warn(`niivue did not tidy up: ${error.message}`);
    }
    const context = this.canvas.getContext("webgl2");
    if (context) giveBack(context);
    this.nv = null;
  }
}

function dot(a, b) {
  return a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
}
