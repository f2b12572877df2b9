// Panels: coordinates and values under the pointer or at the cross, the list of foci, and the keys.

const KEYS = [
  ["← → ↑ ↓", "move the cross in the marked plane"],
  ["Page up, Page down", "next slice; with Shift ten of them"],
  ["1 2 3", "mark the axial, coronal, sagittal plane"],
  ["D", "the image in three dimensions, where there is WebGL 2"],
  ["4, arrows, X", "mark it; turn it; cut away what is nearer than a plane of the cross"],
  ["N, P", "next, previous focus"],
  ["F, B", "flicker; show the second image instead"],
  ["O", "overlay on and off"],
  [", .", "lower, higher threshold"],
  ["[ ]", "less, more opacity"],
  ["+ −", "larger, smaller"],
  ["R", "radiological or neurological"],
  ["C, I", "cross; interpolation"],
  ["S", "save the picture"],
  ["0", "as at the beginning"],
  ["?", "these keys"],
  ["Shift and drag", "window of the image: sideways its width, up and down its middle"],
  ["Wheel, two fingers", "slices; with Ctrl, or pinching, larger"],
];

function cell(name, text, kind) {
  const element = document.createElement(name);
  element.textContent = text;
  if (kind) element.className = kind;
  return element;
}

function fillKeys(viewer) {
  const list = document.createElement("dl");
  for (const [key, meaning] of KEYS) {
    const entry = document.createElement("div");
    entry.append(cell("dt", key), cell("dd", meaning));
    list.append(entry);
  }
  viewer.parts.keys.replaceChildren(list);
}

function fillValues(viewer) {
  const { parts, state } = viewer;
  state.numbers = {};
  const rows = state.order.map((name) => {
    const layer = state.layers[name];
    const row = document.createElement("tr");
    row.dataset.layer = name;
    const title = cell("th", layer.title);
    title.scope = "row";
    if (layer.synthetic) title.append(" ", cell("span", "SYNTHETIC", "synthetic"));
    state.numbers[name] = cell("span", "–", "value");
    const values = cell("td", "");
    values.append(state.numbers[name], " ", cell("span", layer.unit, "unit"));
    row.append(title, values);
    return row;
  });
  parts.values.replaceChildren(...rows);
}

function fillFoci(viewer) {
  const { parts, state } = viewer;
  parts["foci-panel"].hidden = !state.foci.length;
  state.buttons = [];
  const entries = state.foci.flatMap((focus, number) => {
    const button = cell("button", focus.title);
    button.type = "button";
    button.addEventListener("click", () => viewer.jumpTo(number));
    state.buttons.push(button);
    const entry = document.createElement("li");
    entry.append(button);
    const isFirst = focus.group && (number === 0 || state.foci[number - 1].group !== focus.group);
    return isFirst ? [cell("li", focus.group, "group"), entry] : [entry];
  });
  parts.foci.replaceChildren(...entries);
}

function triple(point) {
  return point.map((value) => value.toFixed(1).replace("-", "−")).join(", ");
}

// Values at a point of the world; the sentence below the picture is of the cross alone.
function showValues(viewer) {
  const { parts, state } = viewer;
  const point = state.hover || state.at;
  parts.where.textContent = state.hover ? "At the pointer" : "At the cross";
  for (const name of state.order) state.numbers[name].textContent = digits(valueAt(state.layers[name].volume, point));
  const template = state.toTemplate ? ` · ${state.template} ${triple(transform(state.toTemplate, point))} mm` : "";
  parts.place.textContent = `${state.hover ? "Pointer" : "Cross"}: T1w ${triple(point)} mm${template}`;
  const shown = [shownBase(state), shownOverlay(state)].map((layer) => layer && layer.name);
  for (const row of parts.values.children) row.classList.toggle("shown", shown.includes(row.dataset.layer));
  state.buttons.forEach((button, number) => {
    if (number === state.focus) button.setAttribute("aria-current", "true");
    else button.removeAttribute("aria-current");
  });
}
