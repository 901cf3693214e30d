// The two panes beside the phones: what the ledger holds, what passed on the wire.

import { secondOf } from "./time.js";

const ROWS_MAX = 200;
const MILLION = 1e6;
const BILLION = 1e9;

function element(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

const grouped = (decimal) => {
  const [whole, fraction] = decimal.split(".");
  const digits = whole.replace(/\B(?=(\d{3})+$)/g, ",");
  return fraction === undefined ? digits : `${digits}.${fraction}`;
};

/** What the bank itself holds is told short; the whole of it is the cell's title. */
const brief = (decimal) => {
  const amount = Number(decimal);
  if (amount < MILLION) return grouped(decimal);
  const [size, word] = amount < BILLION ? [MILLION, "m"] : [BILLION, "bn"];
  return `${(amount / size).toFixed(2)} ${word}`;
};

export class LedgerPane {
  #body = document.querySelector("#ledger tbody");
  #height = document.getElementById("ledger-height");
  #nothing = document.getElementById("ledger-nothing");
  #rows = new Map(); // account id -> {row, KHR, USD}

  constructor(phones) {
    this.phones = phones;
  }

  show(ledger) {
    this.#nothing.hidden = Boolean(ledger);
    document.getElementById("ledger").hidden = !ledger;
    if (!ledger) return;
    this.#height.textContent = ledger.away ? "away" : `block ${ledger.height}`;
    this.#height.dataset.state = ledger.away ? "away" : "live";
    const people = ledger.accounts.filter((account) => this.#person(account.id));
    // The bank's own accounts are worth a row when they hold something.
    const others = ledger.accounts.filter(
      (account) =>
        !this.#person(account.id) && Object.values(account.balances).some((held) => /[1-9]/.test(held)),
    );
    const wanted = [...people, ...others];
    for (const [id, { row }] of this.#rows) {
      if (!wanted.some((account) => account.id === id)) {
        row.remove();
        this.#rows.delete(id);
      }
    }
    wanted.forEach((account, position) => this.#showAccount(account, position));
  }

  #person(id) {
    const digits = id.split("@")[0].split("_")[0];
    return this.phones.get(`+${digits}`);
  }

  #showAccount(account, position) {
    const known = this.#rows.get(account.id) ?? this.#addRow(account.id);
    const person = this.#person(account.id);
    known.name.textContent = person?.name || account.id.split("@")[0];
    known.id.textContent = account.id;
    for (const [asset, cell] of [["khr", known.KHR], ["usd", known.USD]]) {
      const held = Object.entries(account.balances).find(([id]) => id.startsWith(`${asset}#`));
      const amount = held?.[1] ?? "0";
      if (known.shown && amount !== cell.dataset.amount) flash(cell);
      cell.dataset.amount = amount;
      cell.textContent = person ? grouped(amount) : brief(amount);
      cell.title = cell.textContent === grouped(amount) ? "" : grouped(amount);
    }
    known.shown = true;
    if (this.#body.children[position] !== known.row) {
      this.#body.insertBefore(known.row, this.#body.children[position] ?? null);
    }
  }

  #addRow(id) {
    const row = element("tr");
    const head = element("th");
    head.scope = "row";
    const name = element("span");
    const small = element("small");
    head.append(name, small);
    const [KHR, USD] = [element("td"), element("td")];
    row.append(head, KHR, USD);
    const made = { row, name, id: small, KHR, USD, shown: false };
    this.#rows.set(id, made);
    return made;
  }
}

function flash(cell) {
  cell.classList.remove("moved");
  void cell.offsetWidth; // restart the animation
  cell.classList.add("moved");
}

const KINDS = { ussd: "USSD", sms: "SMS in", rest: "SMS out", delivery: "report", event: "end" };

export class WirePane {
  #list = document.getElementById("wire");
  #nothing = document.getElementById("wire-nothing");

  constructor(phones) {
    this.phones = phones;
  }

  reset(exchanges) {
    this.#list.replaceChildren();
    exchanges.forEach((exchange) => this.add(exchange));
    this.#nothing.hidden = exchanges.length > 0;
  }

  add(exchange) {
    this.#nothing.hidden = true;
    this.#list.prepend(this.#row(exchange));
    while (this.#list.childElementCount > ROWS_MAX) this.#list.lastElementChild.remove();
  }

  #row(exchange) {
    const row = element("li");
    if (exchange.problem || exchange.status >= 400 || exchange.status === 0) row.classList.add("bad");
    row.dataset.kind = exchange.kind;
    const head = element("div", "head");
    const phone = this.phones.get(exchange.phone);
    const who = element("span", "who", phone?.name || exchange.phone);
    who.dataset.tint = String([...this.phones.keys()].indexOf(exchange.phone) % 5);
    who.title = exchange.phone;
    head.append(
      element("time", "", secondOf(exchange.at)),
      element("span", "kind", KINDS[exchange.kind]),
      who,
      element("span", "status", exchange.status || "—"),
      element("span", "ms", `${exchange.ms < 10 ? exchange.ms.toFixed(1) : Math.round(exchange.ms)} ms`),
    );
    row.append(head, element("p", "sent", exchange.sent || "(nothing)"));
    if (exchange.reply) row.append(element("p", "reply", exchange.reply));
    if (exchange.problem) row.append(element("p", "problem", exchange.problem));
    return row;
  }
}
