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
    const { stuck, words } = consequence(told);
    this.#box.dataset.state = stuck ? "stuck" : "going";
    this.#words.textContent = words;
  }

  #item({ number, address }) {
    const item = document.createElement("li");
    const label = document.createElement("label");
    const name = document.createElement("span");
    name.textContent = number;
    const select = document.createElement("select");
    select.setAttribute("aria-label", `Peer ${number}`);
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
  if (running < needed) return { stuck: true, words: `No blocks: ${needed} of ${peers.length} must run.` };
  return { stuck: false, words: peers.length > 1 ? `${needed} of ${peers.length} make a block.` : "" };
}
