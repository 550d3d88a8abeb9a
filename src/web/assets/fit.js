// Sets a card's text as large as the card allows: the greeting of a short name fills it, a long one shrinks.

// Whole words first; a word too long for its line is broken only when half the size has not helped.
const ATTEMPTS = [
  { least: 0.5, anywhere: false },
  { least: 0.2, anywhere: true },
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
  for (const { least, anywhere } of ATTEMPTS) {
    body.classList.toggle("anywhere", anywhere);
    for (let scale = 1; scale >= least; scale *= 0.94) {
      card.style.setProperty("--fit", scale);
      // The details give way last: they are small enough already.
      card.style.setProperty("--fit-details", anywhere ? scale : Math.max(scale, 0.85));
      if (fits(body)) return;
    }
  }
}

function fits(body) {
  const cut = (text) => text.scrollWidth > text.clientWidth;
  return body.scrollHeight <= body.clientHeight && ![...body.children].some(cut);
}
