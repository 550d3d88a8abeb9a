// Whether the screen can be trusted: the line to the box, the cameras, the box's own troubles, the disk, the CRM; and the clock when all is well.

import { dateOf, momentInWords, now, tied, timeOf, word } from "./words.js";

const line = document.getElementById("calm-line");
const more = document.getElementById("calm-more");
const dot = document.getElementById("dot");
const status = document.getElementById("status");
const clock = document.getElementById("clock");
const BLIND = ["lost", "refused", "stalled", "frozen", "unreadable", "ended"];
// What to do, where it is not the cable and the power.
const SINCE = { refused: "camera_refused_since", frozen: "camera_restart_since", unreadable: "camera_restart_since" };
let trouble = null;

export function offline() {
  tell("offline", word("offline"), word("offline"), word("offline_more"));
}

export function picture({ cameras, unsaved_visits: unsaved, overloaded, crm_trouble: crm, troubles }) {
  const blind = cameras.filter((camera) => BLIND.includes(camera.state));
  if (blind.length > 0) {
    const [first] = blind;
    const name = cameras.length > 1 ? word("camera_named", { camera: first.name }) : "";
    const what = name + word(`camera_${first.state}`);
    const since = first.since ? word(SINCE[first.state] ?? "camera_since", { time: timeOf(Date.parse(first.since)) }) : "";
    // While another camera sees, people still come: the bar is enough.
    const all = blind.length === cameras.length;
    return tell("lost", [what, since].filter(Boolean).join(" "), all ? what : "", all ? since : "");
  }
  if (troubles.length > 0) {
    const [{ kind, count }] = troubles;
    const what = word(`trouble_${kind}`, { n: count });
    // Without its customers the box greets nobody, or soon nobody new; the rest is for the bar.
    const large = kind.startsWith("store_");
    return tell("trouble", what, large ? what : "", large ? word("trouble_meanwhile") : "");
  }
  if (unsaved > 0) return tell("unsaved", word("unsaved", { n: unsaved }));
  if (overloaded) return tell("overloaded", word("overloaded"));
  if (crm) return tell("crm", word(`crm_${crm.kind}`, { when: crm.since ? momentInWords(crm.since) : "" }));
  // A counter without cameras is meant to be one: its guests give a card.
  if (cameras.length === 0) return tell("live", word("no_camera"));
  if (cameras.every((camera) => camera.state === "starting")) return tell("starting", word("camera_starting"));
  tell("live", word("camera_live"));
}

function tell(state, short, large = "", detail = "") {
  dot.dataset.state = state;
  status.textContent = short;
  trouble = large ? { large: tied(large), detail: tied(detail) } : null;
  document.body.dataset.state = state;
  document.body.toggleAttribute("data-said", trouble !== null);
  tick();
}

export function tick() {
  const at = now();
  set(clock, timeOf(at));
  set(line, trouble ? trouble.large : timeOf(at));
  set(more, trouble ? trouble.detail : dateOf(at));
  line.classList.toggle("trouble", trouble !== null);
}

// Only what changed, so that a screen reader is not told the same every second.
function set(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
