"use strict";
// Files are sent to /detect one after the other; the answers are kept, so that the slider, the
// classes and the place in a video only choose what is shown of them.
const SVG = "http://www.w3.org/2000/svg";
const get = id => document.getElementById(id);
const files = [];
const hiddenClasses = new Set();
let current = null, drawn = null, sending = Promise.resolve();

function say(text, fault = false) {
  get("status").textContent = text;
  get("status").classList.toggle("fault", fault);
}

function element(tag, text = "", attributes = {}) {
  const made = document.createElement(tag);
  made.textContent = text;
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

// ------------------------------------------------------------------------------------ sending

function setState(one, state) {
  one.state = state;
  one.button.dataset.state = state;
}

function take(list) {
  for (const file of list) {
    const one = { file, url: URL.createObjectURL(file), frames: [], size: null };
    files.push(one);
    addToStrip(one);
    setState(one, "waits");
    sending = sending.then(() => send(one));
  }
}

async function send(one) {
  say(`Looking at ${one.file.name} …`);
  try {
    const answer = await fetch("detect", { method: "POST", body: one.file,
      headers: { "Content-Type": "application/octet-stream" } });
    const lines = answer.headers.get("Content-Type").startsWith("application/x-ndjson");
    if (!answer.ok) throw new Error((await answer.json()).error);
    if (lines) await readLines(one, answer.body);
    else keepPicture(one, await answer.json());
  } catch (fault) {
    setState(one, "failed");
    say(`${one.file.name}: ${fault.message}`, true);
    one.button.title = fault.message;
  }
}

function keepPicture(one, answer) {
  setState(one, "done");
  Object.assign(one, { size: [answer.width, answer.height],
    frames: [{ seconds: 0, detections: answer.detections }], took: answer.seconds });
  say("");
  select(one);
}

async function readLines(one, body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) break;
    const lines = (rest + value).split("\n");
    rest = lines.pop();
    for (const line of lines) keepLine(one, JSON.parse(line));
  }
}

function keepLine(one, answer) {
  if ("width" in answer) {
    setState(one, "runs");
    Object.assign(one, { size: [answer.width, answer.height], video: true });
    select(one);
  } else if ("detections" in answer) {
    one.frames.push(answer);
    say(`Looking at ${one.file.name}: ${answer.seconds.toFixed(1)} s of the video`);
    if (one === current) refresh();
  } else {
    setState(one, "done");
    say(answer.stopped ? `${one.file.name}: stopped, ${answer.stopped}` : "");
    if (one === current) refresh();
  }
}

// ------------------------------------------------------------------------------------ showing

function addToStrip(one) {
  const item = element("li"), isPicture = one.file.type.startsWith("image/");
  one.button = element("button", "", { type: "button", "aria-label": one.file.name });
  one.button.append(isPicture ? element("img", "", { src: one.url, alt: "" }) :
    element("span", one.file.name));
  one.button.addEventListener("click", () => one.size ? select(one) :
    say(`${one.file.name}: ${one.button.title || one.state}`, one.state === "failed"));
  item.append(one.button);
  get("strip").append(item);
}

function select(one) {
  current = one;
  for (const other of files) other.button.setAttribute("aria-current", String(other === one));
  document.body.classList.add("compact");
  get("result").hidden = false;
  const shown = one.video ? element("video", "", { src: one.url, controls: "", muted: "" }) :
    element("img", "", { src: one.url, alt: one.file.name });
  const overlay = document.createElementNS(SVG, "svg");
  overlay.setAttribute("viewBox", `0 0 ${one.size[0]} ${one.size[1]}`);
  overlay.setAttribute("aria-hidden", "true");
  get("stage").replaceChildren(shown, overlay);
  if (one.video) {
    for (const event of ["seeked", "timeupdate", "loadeddata"]) shown.addEventListener(event, refresh);
    follow(shown);
  }
  refresh();
}

function follow(video) {
  if (!video.isConnected) return;
  if (!video.paused && frameNow() !== drawn) refresh();
  requestAnimationFrame(() => follow(video));
}

function frameNow() {
  const video = get("stage").querySelector("video");
  const now = video ? video.currentTime + 1e-3 : 0;
  let found = current.frames[0];
  for (const frame of current.frames) if (frame.seconds <= now) found = frame;
  return found;
}

function refresh() {
  if (!current) return;
  const frame = frameNow(), all = frame ? frame.detections : [];
  const score = Number(get("score").value);
  drawn = frame;
  get("score-value").textContent = score.toFixed(2);
  const above = all.filter(found => found.score >= score);
  const shown = above.filter(found => !hiddenClasses.has(found.class));
  showClasses(above);
  drawBoxes(shown);
  showRows(shown);
  showJson(shown, frame);
  const size = current.size.join(" × ");
  const took = current.took === undefined ? "" : `, looked at in ${current.took.toFixed(2)} s`;
  const place = current.video && frame ? `, frame ${frame.frame} at ${frame.seconds.toFixed(2)} s` : "";
  get("caption").textContent = `${current.file.name}: ${size} pixels${took}${place}`;
}

function showClasses(found) {
  const counts = new Map();
  for (const one of found) counts.set(one.class, (counts.get(one.class) || 0) + 1);
  for (const name of hiddenClasses) if (!counts.has(name)) counts.set(name, 0);
  const key = JSON.stringify([...counts].sort());
  if (get("classes").dataset.key === key) return;     // keeps the focus where it is
  get("classes").dataset.key = key;
  const labels = [...counts].sort().map(([name, count]) => {
    const label = element("label"), box = element("input", "", { type: "checkbox" });
    box.checked = !hiddenClasses.has(name);
    box.addEventListener("change", () => {
      if (box.checked) hiddenClasses.delete(name); else hiddenClasses.add(name);
      refresh();
    });
    label.append(box, element("span", `${name} ${count}`));
    return label;
  });
  get("classes").replaceChildren(get("classes").firstElementChild, ...labels);
}

function drawBoxes(found) {
  const overlay = get("stage").querySelector("svg");
  const unit = current.size[0] / Math.max(1, get("stage").clientWidth);     // pixels per CSS pixel
  overlay.replaceChildren(...found.slice().reverse().map(one => drawBox(one, unit)));
}

function drawBox(one, unit) {
  const [x1, y1, x2, y2] = one.box, group = document.createElementNS(SVG, "g");
  group.setAttribute("class", "box");
  for (const kind of ["halo", ""]) {
    const rect = document.createElementNS(SVG, "rect");
    const place = { x: x1, y: y1, width: x2 - x1 + 1, height: y2 - y1 + 1, class: kind };
    for (const [name, value] of Object.entries(place)) rect.setAttribute(name, value);
    group.append(rect);
  }
  const text = document.createElementNS(SVG, "text"), label = `${one.class} ${one.score.toFixed(2)}`;
  const width = 8 * label.length * unit;
  text.setAttribute("x", Math.max(3 * unit, Math.min(x1 + 2 * unit, current.size[0] - width)));
  text.setAttribute("y", Math.max(y1 - 6 * unit, 15 * unit));
  text.setAttribute("font-size", 14 * unit);
  text.setAttribute("stroke-width", 3 * unit);
  text.textContent = label;
  group.append(text);
  one.group = group;
  return group;
}

function showRows(found) {
  get("none").hidden = found.length > 0;
  get("rows").replaceChildren(...found.map(one => {
    const row = element("tr", "", { tabindex: "0" });
    row.append(element("td", one.class), element("td", one.score.toFixed(3), { class: "n" }),
      element("td", one.box.map(value => value.toFixed(0)).join(", "), { class: "n" }));
    const mark = on => one.group.classList.toggle("marked", on);
    for (const event of ["mouseenter", "focus"]) row.addEventListener(event, () => mark(true));
    for (const event of ["mouseleave", "blur"]) row.addEventListener(event, () => mark(false));
    return row;
  }));
}

function showJson(found, frame) {
  const detections = found.map(({ class: name, score, box }) => ({ class: name, score, box }));
  const value = { image: current.file.name, height: current.size[1], width: current.size[0] };
  if (current.video && frame) Object.assign(value, { frame: frame.frame, seconds: frame.seconds });
  get("json").textContent = JSON.stringify({ ...value, detections }, null, 1);
}

// ------------------------------------------------------------------------------------ events

get("files").addEventListener("change", event => { take(event.target.files); event.target.value = ""; });
get("score").addEventListener("input", refresh);
get("controls").addEventListener("submit", event => event.preventDefault());
window.addEventListener("resize", refresh);
window.addEventListener("paste", event => take(event.clipboardData.files));
window.addEventListener("dragover", event => { event.preventDefault(); get("drop").classList.add("over"); });
window.addEventListener("dragleave", () => get("drop").classList.remove("over"));
window.addEventListener("drop", event => {
  event.preventDefault();
  get("drop").classList.remove("over");
  take(event.dataTransfer.files);
});
get("copy").addEventListener("click", async () => {
  await navigator.clipboard.writeText(get("json").textContent);
  say("Copied.");
});
get("save").addEventListener("click", () => {
  const blob = new Blob([get("json").textContent], { type: "application/json" });
  get("save").href = URL.createObjectURL(blob);
});
