// The page: one live feed in, phones and panes out.

import { PhoneView } from "./phone.js";
import { LedgerPane, WirePane } from "./panes.js";
import { PeersPane } from "./peers.js";

const desk = document.getElementById("desk");
const people = document.getElementById("people");
const link = document.getElementById("link");
const RETRY_MS = 1000;
const ON_DESK = "phones on the desk";

const views = new Map(); // msisdn -> PhoneView
const phones = new Map(); // msisdn -> last state
const chips = new Map(); // msisdn -> chip
const ledger = new LedgerPane(phones);
const wire = new WirePane(phones);
const peers = new PeersPane((number, manner) => post(`/api/peers/${number}`, { manner }));
const context = { services: [] };
let chosen = recall();

async function post(path, fields) {
  const response = await fetch(path, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(fields),
  }).catch(() => null);
  if (response === null) return { error: "The simulator does not answer." };
  return response.json().catch(() => ({ error: `The simulator answered ${response.status}.` }));
}

const api = {
  act: (msisdn, name, fields = {}) =>
    post(`/api/phones/${encodeURIComponent(msisdn)}/${name}`, fields),
};

// --- the feed ---------------------------------------------------------------------------------

function connect() {
  const socket = new WebSocket(`ws://${location.host}/live`);
  socket.onopen = () => setLink("live", "live");
  socket.onmessage = (event) => hear(JSON.parse(event.data));
  socket.onclose = () => {
    setLink("away", "simulator stopped, trying again");
    setTimeout(connect, RETRY_MS);
  };
}

function setLink(state, words) {
  link.dataset.state = state;
  link.textContent = words;
}

function hear(change) {
  switch (change.type) {
    case "everything":
      context.services = change.services;
      showTry(change);
      change.phones.forEach(showPhone);
      wire.reset(change.wire);
      ledger.show(change.ledger);
      peers.show(change.peers);
      break;
    case "peers":
      peers.show(change.peers);
      break;
    case "phone":
      showPhone(change.phone);
      break;
    case "wire":
      wire.add(change.exchange);
      break;
    case "ledger":
      ledger.show(change.ledger);
      break;
  }
}

function showTry({ services, pin }) {
  const words = services.flatMap(({ service_code, shortcode }, position) => [
    position ? ", " : "Dial ",
    code(service_code),
    " or text ",
    code(shortcode),
  ]);
  if (pin) words.push(" · everyone’s PIN is ", code(pin));
  document.getElementById("try").replaceChildren(...words);
}

function code(text) {
  const element = document.createElement("code");
  element.textContent = text;
  return element;
}

// --- phones -----------------------------------------------------------------------------------

function showPhone(phone) {
  const before = phones.get(phone.msisdn);
  phones.set(phone.msisdn, phone);
  if (!before) addChip(phone);
  chosen ??= new Set();
  if (!before && chosen.size < 2 && !localStorage.getItem(ON_DESK)) chosen.add(phone.msisdn);
  updateChip(phone);
  if (!chosen.has(phone.msisdn)) return;
  if (views.has(phone.msisdn)) views.get(phone.msisdn).update(phone);
  else putOnDesk(phone);
}

function putOnDesk(phone) {
  const order = [...phones.keys()];
  const view = new PhoneView(api, context, phone, order.indexOf(phone.msisdn) % 5);
  views.set(phone.msisdn, view);
  const at = order.indexOf(phone.msisdn);
  const after = [...views].find(([msisdn]) => order.indexOf(msisdn) > at);
  desk.insertBefore(view.root, after ? after[1].root : null);
}

function takeAway(msisdn) {
  views.get(msisdn)?.remove();
  views.delete(msisdn);
}

function addChip(phone) {
  const item = document.createElement("li");
  const chip = document.createElement("button");
  chip.type = "button";
  chip.dataset.tint = String([...phones.keys()].indexOf(phone.msisdn) % 5);
  const dot = document.createElement("i");
  const name = document.createElement("span");
  const mail = document.createElement("b");
  chip.append(dot, name, mail);
  chip.addEventListener("click", () => toggle(phone.msisdn));
  item.append(chip);
  people.append(item);
  chips.set(phone.msisdn, chip);
}

function updateChip(phone) {
  const chip = chips.get(phone.msisdn);
  const on = chosen.has(phone.msisdn);
  chip.setAttribute("aria-pressed", String(on));
  chip.querySelector("span").textContent = phone.name || phone.msisdn;
  const mail = chip.querySelector("b");
  mail.textContent = phone.unread || "";
  mail.hidden = !phone.unread;
  const unread = phone.unread ? `, ${phone.unread} unread` : "";
  chip.setAttribute("aria-label", `${phone.name || phone.msisdn}${unread}`);
  chip.title = `${phone.msisdn} · ${phone.about || phone.network}`;
}

function toggle(msisdn) {
  if (chosen.has(msisdn)) {
    chosen.delete(msisdn);
    takeAway(msisdn);
  } else {
    chosen.add(msisdn);
    putOnDesk(phones.get(msisdn));
    views.get(msisdn).root.scrollIntoView({ block: "nearest", inline: "center" });
    views.get(msisdn).focus();
  }
  updateChip(phones.get(msisdn));
  localStorage.setItem(ON_DESK, JSON.stringify([...chosen]));
}

function recall() {
  try {
    const kept = JSON.parse(localStorage.getItem(ON_DESK));
    return Array.isArray(kept) ? new Set(kept) : null;
  } catch {
    return null;
  }
}

document.getElementById("add").addEventListener("submit", async (event) => {
  event.preventDefault();
  const input = event.target.elements.msisdn;
  const msisdn = input.value.replace(/[\s()-]/g, "").replace(/^0/, "+855");
  const answer = await post("/api/phones", { msisdn });
  input.setCustomValidity(answer.error ?? "");
  input.reportValidity();
  if (answer.error) return;
  input.value = "";
  showPhone(answer);
  if (!chosen.has(msisdn)) toggle(msisdn);
});
document.getElementById("add-number").addEventListener("input", (event) => {
  event.target.setCustomValidity("");
});

setInterval(() => views.forEach((view) => view.tick()), 10_000);
connect();
