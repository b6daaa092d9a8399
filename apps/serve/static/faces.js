// What is shown of faces: boxes over the picture; cards with what the model saw, what it answers and how sure it is.

const byId = (id) => document.getElementById(id);
const make = (tag, className) => Object.assign(document.createElement(tag), { className });

export const percent = (share) => `${(100 * share).toFixed(1)} %`;

// Draw boxes in px of a picture of `width` x `height` px; `mirrored`: the picture is shown as in a mirror.
export function drawBoxes(faces, { width, height }, mirrored) {
  const boxes = fill(byId("boxes"), faces.length, () => {
    const box = make("div", "box");
    box.append(make("span", ""));
    return box;
  });
  faces.forEach((face, k) => {
    const left = mirrored ? width - face.x - face.width : face.x;
    const place = { left: left / width, top: face.y / height, width: face.width / width, height: face.height / height };
    for (const [side, share] of Object.entries(place)) boxes[k].style[side] = `${100 * share}%`;
    boxes[k].classList.toggle("uncertain", face.status === "uncertain");
    boxes[k].classList.toggle("low", face.y < 0.08 * height);
    boxes[k].firstChild.textContent = faces.length > 1 ? `${face.face + 1} ${face.expression}` : face.expression;
  });
}

// A card a face. `about`: {labels, coverage} of the model.
export function showCards(faces, about) {
  const cards = fill(byId("faces"), faces.length, () => newCard(about.labels));
  faces.forEach((face, k) => update(cards[k], face, about, faces.length));
}

// "2 faces: happy, neutral (uncertain)."
export function summary(faces) {
  if (!faces.length) return "No face was found.";
  const said = faces.map((face) => `${face.expression}${face.status === "uncertain" ? " (uncertain)" : ""}`);
  return `${faces.length === 1 ? "1 face" : `${faces.length} faces`}: ${said.join(", ")}.`;
}

function newCard(labels) {
  const card = make("li", "face"), head = make("div", "head"), told = make("div", "told"), bars = make("dl", "bars");
  const crop = make("img", "crop");
  told.append(make("h2", ""), make("p", "doubt"), make("p", "set"));
  head.append(crop, told);
  bars.append(...labels.map((label) => {
    const row = make("div", ""), name = make("dt", ""), value = make("dd", ""), bar = make("span", "bar");
    name.textContent = label;
    bar.append(make("span", ""));
    value.append(bar, make("span", "share"));
    row.append(name, value);
    return row;
  }));
  card.append(head, bars);
  return card;
}

function update(card, face, { labels, coverage }, n) {
  const find = (selector) => card.querySelector(selector);
  const uncertain = face.status === "uncertain";
  card.classList.toggle("uncertain", uncertain);
  find(".crop").hidden = !face.crop;
  if (face.crop) Object.assign(find(".crop"), { src: face.crop, alt: `What the model saw of face ${face.face + 1}` });
  find("h2").textContent = `${n > 1 ? `${face.face + 1}. ` : ""}${face.expression} ${percent(face.confidence)}`;
  find(".doubt").textContent = uncertain ? "Uncertain: so unsure, the model is wrong at least as often as right." : "";
  const set = face.set.split("|");
  find(".set").textContent = `${Math.round(100 * coverage)} times in 100 the true one is among: ${set.join(", ")}.`;
  labels.forEach((label, k) => {
    const row = card.lastChild.children[k];
    row.classList.toggle("most", label === face.expression);
    row.querySelector(".bar > span").style.width = `${100 * face[label]}%`;
    row.querySelector(".share").textContent = percent(face[label]);
  });
}

// The n children of an element: those that it has, more that are made, none too many.
function fill(element, n, makeOne) {
  while (element.children.length > n) element.lastChild.remove();
  while (element.children.length < n) element.append(makeOne());
  return [...element.children];
}
