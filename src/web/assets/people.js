// The cards of those at the counter, and the cashier's answers about them.
//
// Names and notes come from people: they are only ever set as text, never as markup.

import { fitted } from "./fit.js";
import { dayInWords, fullName, hasWord, momentInWords, shortName, tied, word } from "./words.js";

// A card that has just moved must not catch the tap meant for what was there before.
const SETTLE_MS = 400;
// A barcode scanner types fast and ends with Enter; that is no answer, but an entry: entry.js.
const SCANNER_MS = 300;

const people = document.getElementById("people");
const announce = document.getElementById("announce");
const cards = new Map();
let settled = null;
let lastKey = 0;

export const anybody = () => cards.size > 0;

export function show(present) {
  const gone = new Set(cards.keys());
  let moved = false;
  const order = present.map((person) => {
    gone.delete(person.visit_id);
    const content = JSON.stringify(person);
    const known = cards.get(person.visit_id);
    if (known?.content === content) return known;
    const card = { content, person, element: draw(person) };
    if (!known || headline(known.person) !== headline(person)) announce.textContent = headline(person);
    known?.element.remove();
    cards.set(person.visit_id, card);
    moved = true;
    return card;
  });
  for (const visit of gone) {
    cards.get(visit).element.remove();
    cards.delete(visit);
    moved = true;
  }
  order.forEach((card, place) => {
    if (people.children[place] !== card.element) people.insertBefore(card.element, people.children[place] ?? null);
  });
  if (cards.size === 0) announce.textContent = "";
  if (moved) settle();
}

export const clear = () => show([]);

function settle() {
  people.dataset.count = Math.min(cards.size, 7);
  people.toggleAttribute("data-one-question", theQuestion() !== null);
  people.toggleAttribute("data-settling", true);
  clearTimeout(settled);
  settled = setTimeout(() => people.removeAttribute("data-settling"), SETTLE_MS);
}

function draw(person) {
  const card = element("article", `card ${person.decision}`);
  card.dataset.visit = person.visit_id;
  const body = element("div", "body");
  body.append(phrase(headline(person)), ...details(person));
  card.append(body, ...(person.decision === "match" ? matchAnswers(person) : maybeAnswers(person)));
  return fitted(card);
}

function headline(person) {
  if (person.decision === "match") return person.greeting;
  if (person.candidates.length > 1) return word("who_is_it");
  return word("is_it", { name: shortName(person.candidates[0].name) });
}

function details(person) {
  if (person.decision !== "match") {
    const [only, ...others] = person.candidates;
    return others.length === 0 && only.name.family ? [bidi("p", "name", fullName(only.name))] : [];
  }
  const { card, name } = person;
  const crm = card.crm ?? {};
  const facts = element("p", "facts");
  if (card.tier) facts.append(bidi("span", "tier", card.tier));
  facts.append(bidi("span", "", visits(card.visits, crm.visits ?? card.visits)));
  if (card.last_visit) facts.append(bidi("span", "", word("last_visit", { when: dayInWords(card.last_visit) })));
  if (crm.owner) facts.append(bidi("span", "owner", word("owner", { name: crm.owner })));
  const lines = [bidi("p", "name", fullName(name))];
  const line = (kind, text) => lines.push(bidi("p", kind, text));
  if (Number.isInteger(crm.birthday_in_days)) line("birthday", birthday(crm.birthday_in_days));
  lines.push(facts);
  if (card.note) line("note", card.note);
  if (crm.offer) line("offer", word("offer", { offer: crm.offer }));
  if (crm.stale) line("as-of", word("card_as_of", { when: momentInWords(crm.as_of) }));
  return lines;
}

function visits(here, all) {
  if (all === 0) return word("first_visit");
  if (all === here) return word("visits", { n: here });
  return here === 0 ? word("visits_elsewhere", { n: all }) : word("visits_also_here", { n: all, here });
}

function birthday(days) {
  if (days > 1) return word("birthday_in_days", { n: days });
  return word(days === 0 ? "birthday_today" : "birthday_tomorrow");
}

function matchAnswers(person) {
  const answers = element("div", "answers");
  const no = { verdict: "no", customer_id: person.customer_id };
  answers.append(answerLine(), button("quiet", word("someone_else"), person, no));
  if (person.entered) {
    // Nobody need see them, so nobody sees them go.
    const done = { verdict: "done", customer_id: person.customer_id };
    answers.classList.add("entered");
    answers.append(button("done", word("done"), person, done));
  }
  return [answers];
}

function maybeAnswers(person) {
  const answers = element("div", "answers");
  const [first, ...others] = person.candidates;
  const one = others.length === 0;
  const yes = { verdict: "yes", customer_id: first.customer_id };
  answers.classList.toggle("several", !one);
  answers.append(button("yes", one ? word("yes") : fullName(first.name), person, yes));
  for (const other of others) {
    const picked = { verdict: "other", customer_id: other.customer_id };
    answers.append(button("yes", fullName(other.name), person, picked));
  }
  const no = { verdict: "no", customer_id: first.customer_id };
  answers.append(button("no", word(one ? "no" : "none_of_these"), person, no));
  if (one) {
    answers.querySelector(".yes").append(element("kbd", "", "Enter"));
    answers.querySelector(".no").append(element("kbd", "", "Esc"));
  }
  return [answerLine(), answers];
}

function button(kind, text, person, answer) {
  const made = element("button", kind);
  made.type = "button";
  made.append(bidi("span", "", text));
  made.addEventListener("click", () => send(made.closest(".card"), person.visit_id, answer));
  return made;
}

function answerLine() {
  const line = element("p", "said");
  line.setAttribute("role", "status");
  return line;
}

async function send(card, visit, answer) {
  if (card.dataset.answer) return;
  say(card, "sending", word("sending"));
  try {
    const response = await fetch(`/api/v1/visits/${visit}/answer`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(answer),
      signal: AbortSignal.timeout(8000),
    });
    if (response.ok) return say(card, "noted", word("noted"));
    const code = (await response.json()).error.code;
    say(card, "", word(hasWord(code) ? code : "not_sent"));
  } catch {
    say(card, "", word("not_sent"));
  }
}

// The state "" lets the cashier try again.
function say(card, state, text) {
  card.dataset.answer = state;
  card.querySelector(".said").textContent = text;
  for (const each of card.querySelectorAll("button")) each.disabled = state !== "";
}

// Enter and Escape answer the only question on the screen. Letters do not: «Н» (нет) is the key of Y (yes).
document.addEventListener("keydown", (event) => {
  const burst = event.timeStamp - lastKey < SCANNER_MS;
  lastKey = event.timeStamp;
  if (event.key !== "Enter" && event.key !== "Escape") return;
  if (burst || event.repeat) return event.preventDefault();
  if (event.target instanceof HTMLButtonElement && event.key === "Enter") return;
  const card = theQuestion();
  if (!card || people.hasAttribute("data-settling")) return;
  event.preventDefault();
  card.querySelector(event.key === "Enter" ? ".yes" : ".no").click();
});

function theQuestion() {
  const open = [...cards.values()].filter(({ person }) => person.decision === "maybe");
  return open.length === 1 && open[0].person.candidates.length === 1 ? open[0].element : null;
}

function element(tag, kind, text = "") {
  const made = document.createElement(tag);
  if (kind) made.className = kind;
  made.textContent = text;
  return made;
}

// «Добрый день, / Анна Сергеевна!»: a line ends after a comma sooner than between two words that belong together.
function phrase(text) {
  const line = bidi("h1", "headline", "");
  const clauses = tied(text).split(/(?<=,) /);
  clauses.forEach((clause, place) => line.append(place > 0 ? " " : "", element("span", "", clause)));
  return line;
}

// Text from people may run right to left; it must not turn what stands around it.
function bidi(tag, kind, text) {
  const made = element(tag, kind, tied(text));
  made.dir = "auto";
  return made;
}
