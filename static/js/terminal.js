// A terminal in the page: xterm.js in front of a websocket. Bytes are what is typed and shown; JSON texts are the rest.
const frame = document.querySelector("[data-shell]");
const { Terminal } = await import(frame.dataset.xterm);
const { FitAddon } = await import(frame.dataset.fit);

const PIECE_BYTES = 16 * 1024;
const MOST_PASTED = 256 * 1024;
const DRAWN_BYTES = 16 * 1024;
const DRAWN_MS = 100;
const READER = "logos:terminal-reader";

const [screen, state, warning, again, reader, enter] =
  ["screen", "state", "warning", "again", "reader", "enter"].map((name) => frame.querySelector(`[data-shell-${name}]`));
const encoder = new TextEncoder();

// xterm.js writes <style> elements and style attributes, which our content security policy forbids, inline styles being
// a way in. Sheets and properties set by script are not inline: the same rules and declarations go there instead. (It
// has a documentOverride, but asks the page's own document in half of the places.)
const create = document.createElement;
document.createElement = function createElement(name, ...options) {
  if (name.toLowerCase() === "style") return sheet();
  const element = create.call(document, name, ...options);
  const set = element.setAttribute;
  element.setAttribute = function setAttribute(attribute, value) {
    if (attribute === "style") this.style.cssText = value;
    else set.call(this, attribute, value);
  };
  return element;
};

function sheet() {
  const rules = new CSSStyleSheet();
  const stand = create.call(document, "template");
  document.adoptedStyleSheets = [...document.adoptedStyleSheets, rules];
  Object.defineProperty(stand, "textContent", { set: (text) => rules.replaceSync(text) });
  stand.remove = () => {
    document.adoptedStyleSheets = document.adoptedStyleSheets.filter((each) => each !== rules);
    Element.prototype.remove.call(stand);
  };
  return stand;
}

// The sixteen colours of a terminal, for each of our papers; whatever else a program asks for is kept readable.
const COLOURS = {
  light: ["#1c1d1a", "#b3261e", "#27713a", "#855600", "#1d5fbf", "#8a3ea8", "#0b6b62", "#696b61",
    "#55574f", "#b3261e", "#27713a", "#855600", "#1d5fbf", "#8a3ea8", "#0b6b62", "#1c1d1a"],
  dark: ["#2c2e2a", "#f2938b", "#7fcf90", "#e9b75c", "#86b4f5", "#d3a2e8", "#5cc7b8", "#b4b6ac",
    "#999b91", "#f2938b", "#7fcf90", "#e9b75c", "#86b4f5", "#d3a2e8", "#5cc7b8", "#ecece6"],
};
const NAMES = ["black", "red", "green", "yellow", "blue", "magenta", "cyan", "white"];
const darkness = matchMedia("(prefers-color-scheme: dark)");

function theme() {
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue(name).trim();
  const isDark = (document.documentElement.dataset.theme || (darkness.matches ? "dark" : "light")) === "dark";
  const chosen = {
    background: colour("--surface"), foreground: colour("--ink"), cursor: colour("--accent"),
    cursorAccent: colour("--accent-ink"), selectionBackground: colour("--accent-soft"),
    scrollbarSliderBackground: colour("--line-strong"), scrollbarSliderHoverBackground: colour("--ink-3"),
    scrollbarSliderActiveBackground: colour("--ink-3"),
  };
  COLOURS[isDark ? "dark" : "light"].forEach((value, number) => {
    const name = NAMES[number % 8];
    chosen[number < 8 ? name : `bright${name[0].toUpperCase()}${name.slice(1)}`] = value;
  });
  return chosen;
}

const term = new Terminal({
  fontFamily: getComputedStyle(document.documentElement).getPropertyValue("--mono").trim(),
  fontSize: matchMedia("(max-width: 40rem)").matches ? 12 : 13,
  lineHeight: 1.2,
  cursorBlink: !matchMedia("(prefers-reduced-motion: reduce)").matches,
  minimumContrastRatio: 4.5,
  screenReaderMode: localStorage.getItem(READER) === "on",
  scrollback: 5000,
  theme: theme(),
  // Whatever runs inside could print an address that looks like another one.
  linkHandler: { activate() {} },
});
const fit = new FitAddon();
term.loadAddon(fit);
term.open(screen);
fit.fit();

let socket = null;
let drawn = 0;
let drawnTimer = 0;
let isControl = false;

function open() {
  const address = new URL(frame.dataset.address, location.href);
  address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
  address.search = new URLSearchParams({ rows: term.rows, columns: term.cols });
  const mine = socket = new WebSocket(address);
  mine.binaryType = "arraybuffer";
  drawn = 0;
  let end = "";
  say("Opening…");
  again.hidden = true;
  mine.addEventListener("open", () => {
    say("Open. What it shows is recorded.");
    term.focus();
  });
  mine.addEventListener("message", ({ data }) => {
    if (typeof data !== "string") {
      term.write(new Uint8Array(data), () => { if (mine === socket) tellDrawn(data.byteLength); });
      return;
    }
    const told = JSON.parse(data);
    if (told.warning) warn(told.warning);
    if (told.ended) end = told.ended + (told.code ? ` Exit code ${told.code}.` : "");
  });
  mine.addEventListener("close", ({ code }) => {
    warn("");
    say(end || (code === 1006 ? "The line was lost, or you may not open a terminal here." : "The line was lost.") );
    again.hidden = false;
    const wasInside = screen.contains(document.activeElement);
    socket = null;
    if (wasInside) again.focus();
  });
}

const isOpen = () => socket?.readyState === WebSocket.OPEN;
const send = (words) => { if (isOpen()) socket.send(JSON.stringify(words)); };
const say = (words) => { state.textContent = words; };

function warn(words) {
  warning.hidden = !words;
  warning.textContent = words;
}

function tellDrawn(size) {
  drawn += size;
  if (drawn >= DRAWN_BYTES) sayDrawn();
  else drawnTimer ||= setTimeout(sayDrawn, DRAWN_MS);
}

function sayDrawn() {
  clearTimeout(drawnTimer);
  drawnTimer = 0;
  if (drawn) send({ drawn });
  drawn = 0;
}

function type(bytes) {
  if (!isOpen()) return;
  if (bytes.length > MOST_PASTED) {
    warn("That is too much to paste. Upload it as a file instead.");
    return;
  }
  if (!warning.hidden) warn("");
  for (let at = 0; at < bytes.length; at += PIECE_BYTES) socket.send(bytes.subarray(at, at + PIECE_BYTES));
}

term.onData((text) => {
  if (isControl && text.length === 1) {
    text = text === "?" ? "\x7f" : String.fromCharCode(text.toUpperCase().charCodeAt(0) & 31);
    setControl(false);
  }
  type(encoder.encode(text));
});
term.onBinary((text) => type(Uint8Array.from(text, (char) => char.charCodeAt(0))));
term.onResize(({ rows, cols }) => send({ rows, columns: cols }));
new ResizeObserver(() => fit.fit()).observe(screen);

// The way out for those who have no mouse: Tab belongs to the shell, so two keys that no program hears leave it.
function leave() {
  term.textarea.tabIndex = -1;
  enter.focus();
}

term.textarea.addEventListener("focus", () => { term.textarea.tabIndex = 0; });
term.attachCustomKeyEventHandler((event) => {
  if (event.type !== "keydown" || !event.ctrlKey || !event.shiftKey) return true;
  if (event.code === "KeyL" || event.key === "Escape") {
    event.preventDefault();
    leave();
    return false;
  }
  if (event.code === "KeyC" && term.hasSelection()) {
    event.preventDefault();
    navigator.clipboard?.writeText(term.getSelection());
    return false;
  }
  return event.code !== "KeyV"; // the browser pastes
});
enter.addEventListener("click", () => term.focus());
again.addEventListener("click", () => { term.reset(); open(); });

// Keys that a phone has not. They leave the keyboard where it is.
const ARROWS = { up: "A", down: "B", right: "C", left: "D" };
const KEYS = { escape: "\x1b", tab: "\t" };

function setControl(isOn) {
  isControl = isOn;
  frame.querySelector('[data-key="control"]').setAttribute("aria-pressed", isOn);
}

for (const button of frame.querySelectorAll("[data-key]")) {
  button.addEventListener("pointerdown", (event) => event.preventDefault());
  button.addEventListener("click", async () => {
    const { key } = button.dataset;
    if (key === "control") setControl(!isControl);
    else if (key === "paste") term.paste(await navigator.clipboard.readText());
    else term.input(KEYS[key] || `\x1b${term.modes.applicationCursorKeysMode ? "O" : "["}${ARROWS[key]}`);
  });
}
frame.querySelector('[data-key="paste"]').hidden = !navigator.clipboard?.readText;

function showReader() {
  reader.setAttribute("aria-pressed", term.options.screenReaderMode);
}

reader.addEventListener("click", () => {
  term.options.screenReaderMode = !term.options.screenReaderMode;
  localStorage.setItem(READER, term.options.screenReaderMode ? "on" : "off");
  showReader();
});
showReader();

const redress = () => { term.options.theme = theme(); };
darkness.addEventListener("change", redress);
new MutationObserver(redress).observe(document.documentElement, { attributeFilter: ["data-theme"] });

window.addEventListener("pagehide", () => socket?.close());
open();
