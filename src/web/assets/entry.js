// Cards and phones: what a scanner types anywhere on the page, and what the cashier types by hand.
//
// Neither is kept: the text leaves the page the moment it is sent, and no field has a history. Answers to questions
// are people.js; it takes no key of a scanner's burst either.

import { hasWord, word } from "./words.js";

// A scanner that acts as a keyboard types a code with a few milliseconds a key and ends it with Enter. A slow radio
// link stretches that; people who type a whole code that fast are rare, and what they typed is a code then.
const SCANNER_MS = 300;
const SHORTEST = 4;
const LONGEST = 256;
const SAID_MS = 5000;
// The box answers within two seconds, whatever its disk does.
const ANSWER_MS = 4000;
const TRIES = 2;
// What somebody began to type and left must not stand there for the next customer to read.
const LEFT_ALONE_MS = 60_000;

const give = document.getElementById("give");
const row = document.getElementById("entry");
const field = document.getElementById("entered");
const said = document.getElementById("entry-said");
let burst = "";
let lastKey = -Infinity;
let forget = null;
let hide = null;
let leftAlone = null;
let sending = 0;

document.addEventListener("keydown", (event) => {
  // AltGr is Ctrl and Alt at once, and types.
  if (event.repeat || event.isComposing || event.metaKey || event.ctrlKey !== event.altKey) return;
  const fast = event.timeStamp - lastKey < SCANNER_MS;
  if (event.key === "Shift" || event.key === "CapsLock" || event.key === "AltGraph") return;
  lastKey = event.timeStamp;
  if (event.key.length === 1) {
    burst = ((fast ? burst : "") + event.key).slice(-LONGEST);
    clearTimeout(forget);
    forget = setTimeout(() => (burst = ""), 2 * SCANNER_MS);
    // A space of a code must not press the button that has the focus.
    if (fast) event.preventDefault();
    return;
  }
  const code = burst;
  burst = "";
  if (event.key !== "Enter" || !fast || code.length < SHORTEST) return;
  event.preventDefault();
  send(code);
});

document.addEventListener("keyup", (event) => {
  if (event.key === " " && burst.length > 1) event.preventDefault();
});

give.addEventListener("click", () => (row.hidden ? open() : close()));
document.getElementById("entry-find").addEventListener("click", submit);
document.getElementById("entry-cancel").addEventListener("click", close);
field.addEventListener("input", wait);
row.addEventListener("keydown", (event) => {
  // What is typed here answers no question and is no scanner's burst.
  event.stopPropagation();
  if (event.key === "Escape") close();
  if (event.key === "Enter" && event.target === field && !event.isComposing) {
    event.preventDefault();
    submit();
  }
});

function open() {
  say("");
  row.hidden = false;
  give.setAttribute("aria-expanded", "true");
  field.focus();
  wait();
}

// The focus goes to nobody, so that Enter answers the question on the screen again.
function close() {
  clearTimeout(leftAlone);
  field.value = "";
  row.hidden = true;
  give.setAttribute("aria-expanded", "false");
  document.activeElement?.blur();
}

function wait() {
  clearTimeout(leftAlone);
  leftAlone = setTimeout(close, LEFT_ALONE_MS);
}

function submit() {
  const text = field.value.trim();
  if (text === "") return field.focus();
  close();
  send(text);
}

async function send(entered) {
  const mine = ++sending;
  say(word("looking"));
  const outcome = await ask(entered);
  // A later card's outcome is the one that counts.
  if (mine === sending) say(outcome, SAID_MS);
}

// The words for what became of it; none where the greeting itself tells. An answer that is lost on its way is asked
// for again under the same key, by which the box knows that it is the same card.
async function ask(entered) {
  const body = JSON.stringify({ entered, key: newKey() });
  for (let tries = 1; ; tries++) {
    const outcome = await post(body);
    if (outcome !== null) return outcome;
    if (tries === TRIES) return word("entry_not_sent");
  }
}

// Null where no answer came.
async function post(body) {
  try {
    const response = await fetch(document.body.dataset.entries, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body,
      signal: AbortSignal.timeout(ANSWER_MS),
    });
    if (response.ok) return "";
    const key = `entry_${(await response.json()).error.code}`;
    return word(hasWord(key) ? key : "entry_not_sent");
  } catch {
    return null;
  }
}

// A page that comes over plain HTTP from another machine has no crypto.randomUUID.
function newKey() {
  if (crypto.randomUUID) return crypto.randomUUID();
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}

function say(text, ms = 0) {
  clearTimeout(hide);
  said.textContent = text;
  said.classList.toggle("shown", text !== "");
  if (ms > 0 && text !== "") hide = setTimeout(() => say(""), ms);
}
