// The ledger's peers: how each behaves, and what comes of it. A developer stops one, or makes it lie.

const MANNERS = ["up", "stopped", "slow", "silent", "lying"];

export class PeersPane {
  #box = document.getElementById("peers");
  #list = document.querySelector("#peers ul");
  #words = document.querySelector("#peers p");
  #become;

  /** `become(number, manner)` asks the simulator for it. */
  constructor(become) {
    this.#become = become;
  }

  show(told) {
    this.#box.hidden = !told;
    if (!told) return;
    if (this.#list.childElementCount !== told.peers.length) {
      this.#list.replaceChildren(...told.peers.map((peer) => this.#item(peer)));
    }
    told.peers.forEach(({ manner }, position) => {
      const item = this.#list.children[position];
      item.dataset.manner = manner;
      item.querySelector("select").value = manner;
    });
    this.#words.textContent = consequence(told);
  }

  #item({ number, address }) {
    const item = document.createElement("li");
    const label = document.createElement("label");
    const name = document.createElement("span");
    name.textContent = `Peer ${number}`;
    const select = document.createElement("select");
    for (const manner of MANNERS) select.add(new Option(manner, manner));
    select.addEventListener("change", () => this.#become(number, select.value));
    label.append(name, select);
    label.title = address;
    item.append(label);
    return item;
  }
}

function consequence({ needed, peers }) {
  const running = peers.filter(({ manner }) => manner !== "stopped").length;
  if (running < needed) return `No blocks: ${needed} of ${peers.length} must run.`;
  if (peers.length === 1) return "";
  return `${needed} of ${peers.length} make a block.`;
}
