"use strict";
// Files are sent to /detect one after the other; the answers are kept, so that the slider, the
// classes and the place in a video only choose what is shown of them.
const SVG = "http://www.w3.org/2000/svg";
const get = id => document.getElementById(id);
const files = [];
const hiddenClasses = new Set();
const STATES = { waits: "waits", looks: "is looked at", done: "done", failed: "failed" };
let current = null, drawn = null, sending = Promise.resolve();
let showNext = false;       // the next answer: of the files that were last given, the first good one

function say(text) {
  get("status").textContent = text;
}

function fail(one, text) {
  setState(one, "failed");
  say("");
  get("faults").append(element("li", `${one.file.name}: ${text}`));
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
  one.button.setAttribute("aria-label", `${one.file.name}, ${STATES[state]}`);
}

function take(list) {
  if (!list.length) return;
  get("faults").replaceChildren();
  showNext = true;
  for (const file of list) {
    const one = { file, url: URL.createObjectURL(file), frames: [], place: 0, size: null };
    files.push(one);
    addToStrip(one);
    setState(one, "waits");
    sending = sending.then(() => send(one));
  }
}

async function send(one) {
  const most = Number(document.body.dataset.mostBytes);
  if (one.file.size > most) {         // the server would say the same, after all of it was sent
    fail(one, `the file has ${megabytes(one.file.size)}; the limit is ${megabytes(most)}`);
    return;
  }
  setState(one, "looks");
  say(`Looking at ${one.file.name} …`);
  try {
    const answer = await fetch("detect", { method: "POST", body: one.file,
      headers: { "Content-Type": "application/octet-stream" } });
    const lines = answer.headers.get("Content-Type").startsWith("application/x-ndjson");
    if (!answer.ok) throw new Error((await answer.json()).error);
    if (lines) await readLines(one, answer.body);
    else keepPicture(one, await answer.json());
  } catch (fault) {                   // fetch's own is a TypeError
    fail(one, fault instanceof TypeError ?
      "no answer; does the server still run, and can the file be read?" : fault.message);
  }
}

function megabytes(count) {
  return `${(count / 1048576).toFixed(1)} MB`;
}

function keepPicture(one, answer) {
  Object.assign(one, { size: [answer.width, answer.height], turned: answer.turned,
    frames: [{ seconds: 0, detections: answer.detections }], took: answer.seconds });
  setState(one, "done");
  one.button.classList.toggle("as-stored", !one.turned);
  const count = answer.detections.filter(found => found.score >= leastScore()).length;
  say(`${one.file.name}: ${count === 1 ? "1 object" : `${count} objects`}`);
  offer(one);
}

function offer(one) {
  if (showNext) select(one);
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
  if (one.state !== "done") throw new Error("the answer ended before the video did");
}

function keepLine(one, answer) {
  if ("width" in answer) {
    Object.assign(one, { size: [answer.width, answer.height], video: true });
    offer(one);
  } else if ("detections" in answer) {
    one.frames.push(answer);
    say(`Looking at ${one.file.name}: ${answer.seconds.toFixed(1)} s of the video`);
    if (one === current) refresh();
  } else {
    setState(one, "done");
    const count = `${one.frames.length} frames looked at`;
    say(`${one.file.name}: ${count}${answer.stopped ? `; stopped: ${answer.stopped}` : ""}`);
    if (one === current) refresh();
  }
}

// ------------------------------------------------------------------------------------ showing

function addToStrip(one) {
  const item = element("li"), name = element("span", one.file.name);
  one.button = element("button", "", { type: "button" });
  one.button.append(name);
  if (one.file.type.startsWith("image/")) {
    const small = element("img", "", { src: one.url, alt: "" });
    small.addEventListener("load", () => name.replaceWith(small));    // else the name stays
  }
  one.button.addEventListener("click", () => { if (one.size) select(one); });
  item.append(one.button);
  get("strip").append(item);
}

function select(one) {
  current = one;
  showNext = false;
  for (const other of files) other.button.setAttribute("aria-current", String(other === one));
  document.body.classList.add("compact");
  get("result").hidden = false;
  one.button.scrollIntoView({ block: "nearest", inline: "nearest" });
  const overlay = document.createElementNS(SVG, "svg"), frame = element("div", "", { class: "frame" });
  overlay.setAttribute("viewBox", `0 0 ${one.size[0]} ${one.size[1]}`);
  overlay.setAttribute("aria-hidden", "true");
  frame.style.setProperty("--ratio", one.size[0] / one.size[1]);
  frame.append(overlay);
  if (!one.unseen) frame.prepend(media(one));
  get("stage").replaceChildren(frame);
  refresh();
}

function media(one) {
  const shown = one.video ? element("video", "", { src: one.url, controls: "", muted: "" }) :
    element("img", "", { src: one.url, alt: one.file.name });
  if (one.video) {
    for (const event of ["seeked", "timeupdate", "loadeddata"]) shown.addEventListener(event, refresh);
    requestAnimationFrame(() => follow(shown));
  } else {
    shown.classList.toggle("as-stored", !one.turned);
  }
  shown.addEventListener("error", () => {         // a TIFF, a codec that the browser lacks
    one.unseen = true;
    shown.remove();
    refresh();
  });
  return shown;
}

function follow(video) {
  if (!video.isConnected) return;
  if (!video.paused && frameNow() !== drawn) refresh();
  requestAnimationFrame(() => follow(video));
}

function frameNow() {
  const video = get("stage").querySelector("video");
  if (video) {
    const now = video.currentTime + 1e-3;
    current.place = Math.max(0, current.frames.findLastIndex(frame => frame.seconds <= now));
  }
  return current.frames[current.place];
}

function leastScore() {
  return Number(get("score").value);
}

function refresh() {
  if (!current) return;
  const frame = frameNow(), all = frame ? frame.detections : [], score = leastScore();
  drawn = frame;
  get("score-value").textContent = score.toFixed(2);
  const above = all.filter(found => found.score >= score);
  const shown = above.filter(found => !hiddenClasses.has(found.class));
  showClasses(above);
  drawBoxes(shown);
  showRows(shown);
  showJson(shown, frame);
  showFrames(frame);
  const size = current.size.join(" × ");
  const took = current.took === undefined ? "" : `, looked at in ${current.took.toFixed(2)} s`;
  const unseen = current.unseen ? ". This browser cannot show such a file; only its boxes are drawn" : "";
  get("caption").textContent = `${current.file.name}: ${size} pixels${took}${unseen}`;
}

function showFrames(frame) {
  get("frames").hidden = !current.video;
  if (!current.video || !frame) return;
  const text = `${frame.frame} at ${frame.seconds.toFixed(2)} s`;
  Object.assign(get("frame"), { max: current.frames.length - 1, value: current.place });
  get("frame").setAttribute("aria-valuetext", text);
  get("frame-value").textContent = text;
}

function goToFrame() {
  if (!current?.frames.length) return;     // the video has no answer yet
  const video = get("stage").querySelector("video");
  current.place = Number(get("frame").value);
  if (video) {
    video.pause();
    video.currentTime = current.frames[current.place].seconds;
  }
  refresh();
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
  const unit = current.size[0] / Math.max(1, overlay.clientWidth);     // pixels per CSS pixel
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
    const mark = on => {
      one.group.classList.toggle("marked", on);
      if (on) one.group.parentNode.append(one.group);     // above the others
    };
    for (const event of ["mouseenter", "focus"]) row.addEventListener(event, () => mark(true));
    for (const event of ["mouseleave", "blur"]) row.addEventListener(event, () => mark(false));
    return row;
  }));
}

function showJson(found, frame) {
  const detections = found.map(({ class: name, score, box }) =>
    JSON.stringify({ class: name, score, box }));
  const value = { image: current.file.name, height: current.size[1], width: current.size[0] };
  if (current.video && frame) Object.assign(value, { frame: frame.frame, seconds: frame.seconds });
  const head = JSON.stringify(value).slice(1, -1), lines = detections.join(",\n  ");
  get("json").textContent = `{${head},\n "detections": [\n  ${lines}]}`;
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
get("frame").addEventListener("input", goToFrame);
get("copy").addEventListener("click", async () => {
  try {
    await navigator.clipboard.writeText(get("json").textContent);
    say("Copied.");
  } catch {           // under another name than localhost a browser gives no clipboard
    say("This browser does not let the page copy; use Save.");
  }
});
get("save").addEventListener("click", () => {
  const blob = new Blob([get("json").textContent], { type: "application/json" });
  get("save").href = URL.createObjectURL(blob);
});
