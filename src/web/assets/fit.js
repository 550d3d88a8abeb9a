// Sets a card's text as large as the card allows: the greeting of a short name fills it, a long one shrinks.

// Whole words first, and the greeting gives way before the details, which are small enough already. A word too long
// for its line is broken only when that has not helped.
const ATTEMPTS = [
  { from: 1, least: 0.5, details: (scale) => Math.max(scale, 0.85), anywhere: false },
  { from: 0.84, least: 0.66, details: (scale) => scale, headline: 0.5, anywhere: false },
  { from: 0.75, least: 0.66, details: (scale) => scale, headline: 0.32, anywhere: false },
  { from: 1, least: 0.2, details: (scale) => scale, anywhere: true },
];

const resized = new ResizeObserver((entries) => {
  for (const { target } of entries) fit(target, target.querySelector(".body"));
});

// `card` has a size of its own; `body` is the part of it that holds the text.
export function fitted(card) {
  resized.observe(card);
  return card;
}

function fit(card, body) {
  for (const { from, least, details, headline, anywhere } of ATTEMPTS) {
    body.classList.toggle("anywhere", anywhere);
    for (let scale = from; scale >= least; scale *= 0.94) {
      card.style.setProperty("--fit", headline ?? scale);
      card.style.setProperty("--fit-details", details(scale));
      if (fits(body)) return;
    }
  }
}

function fits(body) {
  const cut = (text) => text.scrollWidth > text.clientWidth;
  return body.scrollHeight <= body.clientHeight && ![...body.children].some(cut);
}
