// Words for people: filling in, plurals, dates, names. The words themselves come with the page.

const words = JSON.parse(document.getElementById("words").textContent);
const language = document.documentElement.lang;
const zone = known(document.body.dataset.zone);
const plurals = new Intl.PluralRules(language);
const relative = new Intl.RelativeTimeFormat(language, { numeric: "auto" });
const clock = new Intl.DateTimeFormat(language, { timeZone: zone, hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const today = new Intl.DateTimeFormat(language, { timeZone: zone, weekday: "long", day: "numeric", month: "long" });
const day = new Intl.DateTimeFormat(language, { timeZone: zone, day: "numeric", month: "long" });
const dayOfYear = new Intl.DateTimeFormat(language, { timeZone: zone, day: "numeric", month: "long", year: "numeric" });
const parts = new Intl.DateTimeFormat("en-CA", { timeZone: zone, year: "numeric", month: "2-digit", day: "2-digit" });

// An old browser may not know a zone that was renamed lately; its own is then the next best.
function known(name) {
  try {
    return new Intl.DateTimeFormat("en", { timeZone: name }).resolvedOptions().timeZone;
  } catch {
    return undefined;
  }
}

// The box's clock is the one that counts; a kiosk's own may be years off.
let ahead = 0;
setClock(document.body.dataset.now);

export function setClock(boxTime) {
  const at = Date.parse(boxTime);
  if (!Number.isNaN(at)) ahead = at - Date.now();
}

export const now = () => Date.now() + ahead;

export function word(key, values = {}) {
  let text = words[key];
  if (typeof text === "object") text = text[plurals.select(values.n)] ?? text.other;
  return text.replace(/\{(\w+)\}/g, (_, name) => values[name]);
}

// «С возвращением», «с устройством»: a short word must not be left alone at the end of a line.
export const tied = (text) => text.replace(/(?<=^|\s)(\p{L}{1,2}) /gu, "$1\u00a0");

export const hasWord = (key) => typeof words[key] === "string";

export const timeOf = (at) => clock.format(at);

export const dateOf = (at) => today.format(at);

// «вчера», «3 дня назад», «12 мая», «12 мая 2025 г.»
export function dayInWords(rfc3339) {
  const then = Date.parse(rfc3339);
  const days = Math.round((midnight(now()) - midnight(then)) / 86_400_000);
  if (days >= 0 && days < 7) return relative.format(-days, "day");
  return calendarDay(then);
}

// For «с …» and «от …»: «12:40» of today, else «12 мая», «12 мая 2025 г.»
export function momentInWords(rfc3339) {
  const then = Date.parse(rfc3339);
  return midnight(then) === midnight(now()) ? timeOf(then) : calendarDay(then);
}

function calendarDay(then) {
  const sameYear = parts.format(then).slice(0, 4) === parts.format(now()).slice(0, 4);
  return (sameYear ? day : dayOfYear).format(then);
}

// The calendar day in the shop's zone, as a number that days can be counted with.
function midnight(at) {
  const [year, month, date] = parts.format(at).split("-").map(Number);
  return Date.UTC(year, month - 1, date);
}

export const fullName = (name) => [name.given, name.patronymic, name.family].filter(Boolean).join(" ");

// For the question. A short one stays on one line: «Это / Иван Петрович?»
export function shortName(name) {
  const parts = [name.given, name.patronymic].filter(Boolean);
  return parts.join(parts.join(" ").length <= 18 ? "\u00a0" : " ");
}
