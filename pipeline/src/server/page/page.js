// The page of `nearfield run`: what each section shows, kept current by /events. Nothing is loaded from elsewhere.
import { Talk } from "./talk.js";

const $ = (id) => document.getElementById(id);
const KEPT = 50;
const TOKEN = "nearfield-token";

function make(tag, properties = {}, ...children) {
  const { className, ...rest } = properties;
  const element = Object.assign(document.createElement(tag), rest);
  if (className) element.className = className;
  element.append(...children.filter((child) => child !== undefined && child !== null));
  return element;
}

const clock = (when) => new Date(when).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit" });

// ---- requests

function token() {
  return localStorage.getItem(TOKEN) ?? "";
}

async function request(path, options = {}) {
  const headers = { ...(token() ? { authorization: `Bearer ${token()}` } : {}), ...(options.body ? { "content-type": "application/json" } : {}) };
  const answer = await fetch(path, { ...options, headers: { ...headers, ...options.headers } });
  if (answer.status === 401) {
    await askForToken();
    return request(path, options);
  }
  if (!answer.ok) {
    const body = await answer.json().catch(() => ({}));
    throw new Error(body.error?.message ?? `${path}: ${answer.status}`);
  }
  return answer;
}

let asked;
function askForToken() {
  asked ??= new Promise((resolve) => {
    $("login").showModal();
    $("login").onclose = () => {
      localStorage.setItem(TOKEN, $("token").value.trim());
      asked = undefined;
      resolve();
    };
  });
  return asked;
}

const getJson = async (path) => (await request(path)).json();

// ---- sections

const sections = [...document.querySelectorAll("main > section")];
function showSection() {
  const name = sections.some((section) => `#${section.id}` === location.hash) ? location.hash.slice(1) : "talk";
  sections.forEach((section) => section.classList.toggle("shown", section.id === name));
  document.querySelectorAll("nav a").forEach((link) => {
    if (link.hash === `#${name}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  });
  refresh(name).catch((error) => ($("connection").textContent = error.message));
}

async function refresh(name) {
  if (name === "home") await showHome();
  if (name === "cameras") await showCameras();
  if (name === "reports") showReports((await getJson("reports")).reports);
  if (name === "status") await showStatus();
}

// ---- talk

const lines = new Map();
function show({ speaker, id, text, cut }) {
  let line = lines.get(id);
  if (!line) {
    line = make("li", { className: speaker }, make("p"));
    lines.set(id, line);
    $("conversation").append(line);
    while ($("conversation").children.length > KEPT) $("conversation").firstElementChild.remove();
  }
  line.firstElementChild.textContent = text;
  if (cut) line.classList.add("cut");
  line.scrollIntoView({ block: "nearest" });
}

// Where the time of a turn went: a bar for each stage, from the end of speech on.
function showTurn(turn) {
  const last = [...$("conversation").querySelectorAll(".assistant")].at(-1);
  if (!last || last.querySelector(".stages")) return;
  const from = Math.min(0, ...turn.stages.map((stage) => stage.began));
  const to = Math.max(1, ...turn.stages.map((stage) => stage.ended));
  const share = (ms) => `${(100 * ms) / (to - from)}%`;
  const bars = turn.stages.map((stage) => {
    const bar = make("i", { className: stage.stage, title: `${Math.round(stage.began)} to ${Math.round(stage.ended)} ms` });
    bar.style.left = share(stage.began - from);
    bar.style.width = share(stage.ended - stage.began);
    return make("div", { className: "bar" }, make("span", { textContent: stage.stage }), make("span", {}, bar));
  });
  const first = turn.latency_ms.end_of_speech_to_first_audio;
  const heard = first == null ? "" : `first audio ${Math.round(first)} ms after the end of speech, `;
  const summary = `${heard}answered by ${turn.answered_by}`;
  last.append(make("details", { className: "stages" }, make("summary", { textContent: summary }), ...bars));
}

const talk = new Talk({
  token,
  show,
  turn: showTurn,
  state: (text) => ($("listening").textContent = text),
  level: (peak) => ($("level").firstElementChild.style.width = `${Math.min(100, 140 * Math.sqrt(peak))}%`),
});

function setTalking(on) {
  $("microphone").setAttribute("aria-pressed", String(on));
  $("microphone").textContent = on ? "Stop talking" : "Start talking";
}

$("microphone").onclick = async () => {
  if (talk.stream) {
    talk.stop();
    setTalking(false);
    $("listening").textContent = "";
    return;
  }
  setTalking(true);
  try {
    await talk.listen();
  } catch (error) {
    talk.stop();
    setTalking(false);
    $("listening").textContent = error.message;
  }
};

$("type").onsubmit = async (event) => {
  event.preventDefault();
  const text = $("question").value.trim();
  if (!text) return;
  $("question").value = "";
  try {
    await talk.ask(text);
  } catch (error) {
    $("listening").textContent = error.message;
  }
};

// ---- home

async function showHome() {
  let home;
  try {
    home = await getJson("v1/home");
  } catch (error) {
    $("entities").replaceChildren(make("p", { className: "empty", textContent: error.message }));
    return;
  }
  const areas = [...home.areas, { id: null, name: "Elsewhere" }];
  const cards = areas.map((area) => {
    const own = home.entities.filter((entity) => (entity.area ?? null) === area.id);
    if (own.length === 0) return undefined;
    const rows = own.flatMap((entity) => {
      const isOn = ["on", "open", "unlocked", "playing", "heat", "cool"].includes(entity.state);
      const unit = entity.unit ? ` ${entity.unit}` : "";
      return [make("dt", { textContent: entity.name, title: entity.id }), make("dd", { className: isOn ? "on" : "", textContent: entity.state + unit })];
    });
    return make("div", { className: "area" }, make("h3", { textContent: area.name }), make("dl", {}, ...rows));
  });
  $("entities").replaceChildren(make("div", { className: "areas" }, ...cards.filter(Boolean)));
}

$("undo").onclick = async () => {
  $("undo").disabled = true;
  try {
    // What was done in a conversation is undone in it.
    if (talk.isOpen) return await talk.ask("undo that");
    const body = JSON.stringify({ text: "undo that", conversation_id: "page" });
    const { reply } = await (await request("v1/ask", { method: "POST", body })).json();
    $("undone").textContent = reply;
    await showHome();
  } catch (error) {
    $("undone").textContent = error.message;
  } finally {
    $("undo").disabled = false;
  }
};

function showAction({ time, flow, tool }) {
  const text = `${tool.name} ${JSON.stringify(tool.arguments)}${tool.ok ? "" : " failed"}`;
  const line = make("li", { className: tool.ok ? "" : "error" }, make("time", { textContent: clock(time) }), `${flow}: ${text}`);
  prepend($("actions"), line);
  if (location.hash === "#home") showHome();
}

function prepend(list, line) {
  list.querySelector(".empty")?.remove();
  list.prepend(line);
  while (list.children.length > KEPT) list.lastElementChild.remove();
}

// ---- cameras

async function showCameras() {
  const { flows } = await getJson("flows");
  const cameras = flows.filter((flow) => flow.kind === "caption");
  const { captions } = await getJson("captions");
  if (cameras.length === 0) $("pictures").replaceChildren(make("p", { className: "empty", textContent: "No camera is configured ([[caption]] in the configuration)." }));
  else $("pictures").replaceChildren(...cameras.map(({ name }) => make("figure", { id: `camera-${name}` }, make("img", { alt: `The newest picture of ${name}` }), make("figcaption", { textContent: name }))));
  await Promise.all(cameras.map(({ name }) => showPicture(name, captions.find((event) => event.flow === name)?.caption)));
  if (captions.length > 0) $("captions").replaceChildren(...captions.slice(0, KEPT).map(captionLine));
}

// Through `request`, since a picture's own request would lack the token.
async function showPicture(name, caption) {
  const figure = document.getElementById(`camera-${name}`);
  if (!figure) return;
  if (caption) figure.querySelector("figcaption").textContent = `${name}: ${caption}`;
  try {
    const blob = await (await request(`captions/${encodeURIComponent(name)}.jpg`)).blob();
    const image = figure.querySelector("img");
    URL.revokeObjectURL(image.src);
    image.src = URL.createObjectURL(blob);
  } catch {
    figure.querySelector("figcaption").textContent = `${name}: no picture yet`;
  }
}

function captionLine(event) {
  const alerts = (event.alerts ?? []).map((alert) => alert.name ?? alert).join(", ");
  return make("li", {}, make("time", { textContent: clock(event.time) }), `${event.flow}: `, event.caption ?? "", alerts ? make("span", { className: "alert", textContent: ` ${alerts}` }) : undefined);
}

// ---- reports

async function showReports(reports) {
  if (reports.length === 0) return;
  const flows = [...new Set(reports.map((report) => report.flow))];
  const newest = reports.map((report) => make("article", { className: "window" },
    make("h3", { textContent: `${report.flow}: ${report.window.start} to ${report.window.end}` }),
    make("p", { textContent: report.text })));
  $("windows").replaceChildren(...newest);
  for (const flow of flows) {
    // Without scripts; the page of reports has none.
    const srcdoc = await (await request(`reports/${encodeURIComponent(flow)}.html`)).text();
    const frame = make("iframe", { title: `Reports of ${flow} with plots`, srcdoc });
    frame.setAttribute("sandbox", "");
    $("windows").append(make("details", {}, make("summary", { textContent: `Tables and plots of ${flow}` }), frame));
  }
}

// ---- status

async function showStatus() {
  const [{ flows }, metrics, { data }] = await Promise.all([getJson("flows"), (await request("metrics")).text(), getJson("v1/models")]);
  $("flows").replaceChildren(...(flows.length ? flows.map((flow) => make("tr", {}, ...[flow.name, flow.kind, flow.state].map((text) => make("td", { textContent: text })), make("td", { className: "number", textContent: flow.outputs }), make("td", { className: "number", textContent: flow.restarts }), make("td", { className: "error", textContent: flow.error ?? "" }))) : [make("tr", {}, make("td", { colSpan: 6, className: "empty", textContent: "No flows are configured." }))]));
  const figures = metrics.split("\n").filter((line) => line && !line.startsWith("#") && !line.includes("_bucket"));
  $("figures").replaceChildren(...figures.map((line) => {
    const cut = line.lastIndexOf(" ");
    return make("tr", {}, make("td", { textContent: line.slice(0, cut) }), make("td", { className: "number", textContent: Number(line.slice(cut + 1)).toLocaleString() }));
  }));
  $("models").replaceChildren(...data.map((model) => make("tr", {}, make("td", { textContent: model.id }))));
}

// ---- events

const takers = {
  action: showAction,
  caption: (event) => (prepend($("captions"), captionLine(event)), showPicture(event.flow, event.caption)),
  alert: (event) => (prepend($("captions"), captionLine(event)), showPicture(event.flow, event.caption)),
  report: () => location.hash === "#reports" && refresh("reports"),
  flow: () => location.hash === "#status" && refresh("status"),
};

async function follow() {
  let last = "";
  for (;;) {
    try {
      const answer = await request("events", { headers: last ? { "last-event-id": last } : {} });
      $("connection").textContent = "Connected";
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      let rest = "";
      for (;;) {
        const { value, done } = await reader.read();
        if (done) break;
        const blocks = (rest + value).split("\n\n");
        rest = blocks.pop();
        for (const block of blocks) {
          const field = (name) => block.split("\n").find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2);
          last = field("id") ?? last;
          if (field("data")) takers[field("event")]?.(JSON.parse(field("data")));
        }
      }
    } catch (error) {
      console.debug(error);
    }
    $("connection").textContent = "Disconnected; trying again";
    await new Promise((resolve) => setTimeout(resolve, 2000));
  }
}

window.addEventListener("hashchange", showSection);
showSection();
follow();
