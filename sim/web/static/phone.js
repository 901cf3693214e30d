// One phone. The network says what is on its screen and which messages it has; what the person is
// doing with it meanwhile (dialling, reading, writing) is known only here.

import { measure, smsCount } from "./encoding.js";
import { LABELS, Multitap } from "./multitap.js";
import { minuteOf } from "./time.js";

const PAD = ["1", "2", "3", "4", "5", "6", "7", "8", "9", "*", "0", "#"];
const DIALLED = /^[0-9*#+]$/;
const ROOM = { "GSM-7": 182, "UCS-2": 80 };
const IDLE = { kind: "idle", text: "", problem: "", secret: false, size: measure("") };
const finePointer = matchMedia("(pointer: fine)");

export class PhoneView {
  #api;
  #context;
  #state;
  #doing = "home"; // home | dial | inbox | message | compose, while no session is on the screen
  #selected = 0;
  #open = null; // id of the message being read
  #lastDialled = "";
  #complaint = "";
  #tap = new Multitap();

  constructor(api, context, state, tint) {
    this.#api = api;
    this.#context = context;
    this.#state = state;
    const root = document.getElementById("phone-template").content.firstElementChild.cloneNode(true);
    this.root = root;
    root.dataset.tint = String(tint);
    root.dataset.msisdn = state.msisdn;
    root.setAttribute("aria-label", `Phone of ${state.name || state.msisdn}`);
    const one = (selector) => root.querySelector(selector);
    this.page = one(".page");
    this.stage = one(".stage");
    this.inbox = one(".inbox");
    this.line = one(".line");
    this.to = one(".to input");
    this.text = one(".text");
    one(".name").textContent = state.name || "Phone";
    one(".number").textContent = spaced(state.msisdn);
    one(".operator").textContent = state.network;
    this.#buildPad(one(".pad"));
    this.#listen();
    this.tick();
    this.render();
  }

  remove() {
    this.root.remove();
  }

  focus() {
    if (!finePointer.matches) return;
    (this.#typing() ?? this.root).focus({ preventScroll: true });
  }

  tick() {
    const now = minuteOf(Date.now() / 1000);
    this.root.querySelector(".clock").textContent = now;
    const big = this.root.querySelector(".home-clock");
    if (big) big.textContent = now;
  }

  update(state) {
    const before = this.#state;
    this.#state = state;
    const turned =
      before.screen.kind !== state.screen.kind || before.screen.text !== state.screen.text;
    if (turned) {
      this.line.value = "";
      this.#complaint = "";
      if (state.screen.kind !== "idle") this.#doing = "home";
    }
    if (state.unread > before.unread) this.#buzz();
    const had = this.root.contains(document.activeElement);
    this.render();
    if (turned) this.stage.scrollTop = 0;
    if (had && turned && !document.activeElement?.closest(".keys")) this.focus();
  }

  // --- what is on the screen -----------------------------------------------------------------

  /** The codes this phone suggests: its bank's, or just any. */
  get #service() {
    return this.#state.service_code ? this.#state : this.#context.services[0];
  }

  get #view() {
    const { kind } = this.#state.screen;
    return kind === "idle" ? this.#doing : kind; // … or wait | menu | end | error
  }

  render() {
    const view = this.#view;
    const { screen, unread, about } = this.#state;
    this.root.dataset.view = view;
    this.root.classList.toggle("secret", screen.secret);
    this.root.classList.toggle("unread", unread > 0);
    this.root.querySelector(".mail b").textContent = unread;
    this.root.querySelector(".about").textContent = about || "";
    this.line.tabIndex = ["dial", "menu"].includes(view) ? 0 : -1;
    this.page.setAttribute("aria-live", view === "home" ? "off" : "polite"); // no clock is read out
    this.#renderPage(view);
    if (view === "inbox") this.#renderInbox();
    this.#renderSoft(view);
    this.#renderMeter();
  }

  #renderPage(view) {
    const { screen, unread, name } = this.#state;
    const written = `${view}|${screen.text}|${this.#open}|${unread}`;
    if (this.page.dataset.written === written) return;
    this.page.dataset.written = written;
    this.page.lang = /[\u1780-\u17ff]/.test(screen.text) ? "km" : "en";
    if (view === "home") {
      const clock = make("div", "home-clock", minuteOf(Date.now() / 1000));
      const who = make("div", "home-name", name || spaced(this.#state.msisdn));
      const news = unread === 1 ? "1 new message" : `${unread} new messages`;
      const hint = make("div", "home-hint", unread ? news : `dial ${this.#service.service_code}`);
      this.page.replaceChildren(clock, who, hint);
    } else if (view === "message") {
      const sms = this.#state.messages.find((one) => one.id === this.#open);
      this.page.lang = /[\u1780-\u17ff]/.test(sms?.text ?? "") ? "km" : "en";
      const head = sms ? `${sms.outgoing ? "To" : "From"} ${sms.peer}  ${minuteOf(sms.at)}` : "";
      this.page.replaceChildren(make("div", "message-head", head), make("div", "", sms?.text ?? ""));
    } else if (["dial", "inbox", "compose"].includes(view)) {
      this.page.replaceChildren();
    } else {
      this.page.textContent = screen.text;
    }
  }

  #renderInbox() {
    const messages = this.#messages();
    this.#selected = Math.min(this.#selected, Math.max(0, messages.length - 1));
    const items = messages.map((sms, position) => {
      const item = make("li");
      const button = make("button");
      button.type = "button";
      const mark = sms.outgoing ? { sending: "…", waiting: "…", failed: "!" }[sms.state] ?? "↗" : sms.read ? "" : "●";
      button.append(
        make("span", "mark", mark),
        make("span", "peer", sms.peer),
        make("span", "when", minuteOf(sms.at)),
        make("span", "start", sms.text),
      );
      button.classList.toggle("new", !sms.read && !sms.outgoing);
      item.classList.toggle("selected", position === this.#selected);
      button.addEventListener("click", () => this.#read(position));
      item.append(button);
      return item;
    });
    this.inbox.replaceChildren(...(items.length ? items : [make("li", "none", "No messages")]));
    this.inbox.querySelector(".selected")?.scrollIntoView({ block: "nearest" });
  }

  #renderSoft(view) {
    const { unread } = this.#state;
    const labels = {
      home: [unread ? "Read" : "Messages", "Write"],
      dial: ["Call", "Clear"],
      wait: ["", "Cancel"],
      menu: ["Send", "Clear"],
      end: ["OK", ""],
      error: ["OK", ""],
      inbox: [this.#messages().length ? "Open" : "Write", "Back"],
      message: ["Reply", "Back"],
      compose: ["Send", this.text.value ? "Clear" : "Back"],
    }[view];
    const set = (side, label) => {
      this.root.querySelector(`.soft .${side}`).textContent = label;
      const button = this.root.querySelector(`.soft-${side}`);
      button.setAttribute("aria-label", label || `${side} key`);
    };
    set("left", labels[0]);
    set("right", labels[1]);
    this.root.querySelector(".soft .mode").textContent = view === "compose" ? this.#tap.mode : "";
  }

  #renderMeter() {
    const view = this.#view;
    const { screen } = this.#state;
    let size = null;
    let words = "";
    let room = 1;
    if (view === "compose") {
      size = measure(this.text.value);
      room = size.encoding === "GSM-7" ? 160 : 70;
      words = `${size.encoding} · ${size.used} of ${room} · ${smsCount(size)} SMS`;
    } else if (view === "menu" && this.line.value) {
      size = measure(this.line.value);
      room = ROOM[size.encoding];
      words = `reply · ${size.encoding} · ${size.used} of ${room}`;
    } else if (["menu", "end"].includes(view)) {
      size = screen.size;
      room = size.room;
      words = `page · ${size.encoding} · ${size.used} of ${room}`;
    }
    const meter = this.root.querySelector(".meter");
    meter.classList.toggle("empty", size === null);
    meter.classList.toggle("over", size !== null && size.used > room);
    meter.querySelector("i").style.width = size ? `${Math.min(100, (100 * size.used) / room)}%` : "0";
    meter.querySelector(".count").textContent = words;
    this.root.querySelector(".problem").textContent = this.#complaint || screen.problem;
  }

  // --- keys ----------------------------------------------------------------------------------

  #buildPad(pad) {
    for (const digit of PAD) {
      const key = make("button", "key digit");
      key.type = "button";
      key.dataset.key = digit;
      key.setAttribute("aria-label", { "*": "star", "#": "hash" }[digit] ?? digit);
      key.append(make("b", "", digit), make("small", "", LABELS[digit]));
      pad.append(key);
    }
  }

  #listen() {
    const keys = this.root.querySelector(".keys");
    // A mouse on a key must not take the focus away from what is being typed.
    keys.addEventListener("mousedown", (event) => event.preventDefault());
    keys.addEventListener("click", (event) => {
      const key = event.target.closest("[data-key]")?.dataset.key;
      if (key) this.press(key, event.detail === 0);
    });
    this.root.addEventListener("keydown", (event) => this.#keydown(event));
    for (const typed of [this.line, this.to, this.text]) {
      typed.addEventListener("input", () => {
        this.#complaint = "";
        this.#tap.rest();
        this.#renderSoft(this.#view);
        this.#renderMeter();
      });
    }
  }

  #keydown(event) {
    if (event.isComposing || event.ctrlKey || event.metaKey || event.altKey) return;
    const typing = ["INPUT", "TEXTAREA"].includes(event.target.tagName);
    const button = event.target.tagName === "BUTTON";
    const named = { Escape: "end", ArrowUp: "up", ArrowDown: "down", Enter: "send", Backspace: "clear" };
    const key = named[event.key];
    if (key === "send" && button) return; // Enter on a key presses that key
    if (key === "send" && event.target === this.text && event.shiftKey) return;
    if (["clear", "up", "down"].includes(key) && typing && event.target !== this.line) return;
    if (key === "clear" && typing) return;
    if (key) {
      event.preventDefault();
      this.press(key, true);
    } else if (!typing && event.key.length === 1 && (event.key !== " " || !button)) {
      if (DIALLED.test(event.key)) this.#startDialling();
      const into = this.#typing();
      if (!into) return;
      event.preventDefault();
      this.#insert(into, event.key);
      into.focus({ preventScroll: true });
    }
  }

  press(key, keyboard = false) {
    if (PAD.includes(key)) this.#pad(key);
    else if (key === "left") this.#left();
    else if (key === "right") this.#right();
    else if (key === "send") this.#send();
    else if (key === "clear") this.#clear();
    else if (key === "end") this.#end();
    else this.#move(key === "up" ? -1 : 1);
    if (!keyboard) this.focus();
  }

  #pad(key) {
    this.#startDialling();
    const into = this.#typing();
    if (into === this.text) {
      if (key === "#") this.#tap.nextMode();
      else {
        const { char, replace } = this.#tap.press(key, performance.now());
        this.#insert(into, char, replace ? 1 : 0);
      }
    } else if (into) this.#insert(into, key);
    this.#renderSoft(this.#view);
    this.#renderMeter();
  }

  /** A digit on the home screen, or over a page that nobody answers, begins a number. */
  #startDialling() {
    if (["end", "error"].includes(this.#view)) {
      this.#state = { ...this.#state, screen: IDLE };
      this.#act("end");
    }
    if (this.#view === "home") this.#do("dial");
  }

  #left() {
    const view = this.#view;
    if (view === "home") this.#do("inbox");
    else if (view === "inbox") this.#messages().length ? this.#read(this.#selected) : this.#write();
    else if (view === "message") this.#write(this.#messages()[this.#selected]?.peer);
    else if (["end", "error"].includes(view)) this.#act("end");
    else this.#send();
  }

  #right() {
    const view = this.#view;
    if (view === "home") this.#write();
    else if (view === "inbox") this.#do("home");
    else if (view === "message") this.#do("inbox");
    else if (view === "wait") this.#act("end");
    else this.#clear();
  }

  #send() {
    switch (this.#view) {
      case "home":
        this.line.value = this.#lastDialled || this.#service.service_code;
        this.#do("dial");
        break;
      case "dial":
        if (!this.line.value) return;
        this.#lastDialled = this.line.value;
        this.#act("dial", { code: this.line.value });
        break;
      case "menu":
        this.#act("reply", { text: this.line.value });
        this.line.value = "";
        break;
      case "compose":
        this.#sendSms();
        break;
      case "inbox":
        this.#left();
        break;
      case "end":
      case "error":
        this.#act("end");
        break;
    }
  }

  async #sendSms() {
    if (!this.text.value.trim()) return;
    const answer = await this.#act("sms", { text: this.text.value, to: this.to.value });
    if (answer.error) return;
    this.text.value = "";
    this.#selected = 0;
    this.#do("inbox");
  }

  #clear() {
    const view = this.#view;
    const into = this.#typing();
    if (into && into.value) {
      const end = into.selectionEnd ?? into.value.length;
      const start = into.selectionStart === end ? Math.max(0, end - 1) : into.selectionStart;
      into.setRangeText("", start, end, "end");
      this.#tap.rest();
      if (view === "dial" && !into.value) this.#do("home");
    } else if (view === "compose") this.#do("home");
    else if (["inbox", "message"].includes(view)) this.#right();
    this.#renderSoft(this.#view);
    this.#renderMeter();
  }

  #end() {
    this.line.value = "";
    this.text.value = "";
    this.#complaint = "";
    if (this.#state.screen.kind !== "idle") this.#act("end");
    this.#do("home");
  }

  #move(by) {
    if (this.#view === "inbox") {
      const last = this.#messages().length - 1;
      this.#selected = Math.max(0, Math.min(last, this.#selected + by));
      this.#renderInbox();
    } else if (this.#view === "home") this.#do("inbox");
    else this.stage.scrollBy({ top: by * 44 });
  }

  // --- doing -----------------------------------------------------------------------------------

  #do(doing) {
    this.#doing = doing;
    if (doing === "home") this.line.value = "";
    if (doing === "inbox") this.#open = null;
    this.stage.scrollTop = 0;
    this.render();
    if (this.root.contains(document.activeElement) && !document.activeElement.closest(".keys")) {
      this.focus();
    }
  }

  #write(to) {
    this.to.value = to ?? this.#service.shortcode;
    this.text.value = "";
    this.#tap.rest();
    this.#do("compose");
  }

  #read(position) {
    const sms = this.#messages()[position];
    this.#selected = position;
    this.#open = sms.id;
    if (!sms.read) this.#act("read", { id: sms.id });
    this.#do("message");
  }

  async #act(name, fields) {
    const answer = await this.#api.act(this.#state.msisdn, name, fields);
    // What came of it is told by the live feed; the answer may be older than that by now.
    this.#complaint = answer.error ?? "";
    this.#renderMeter();
    return answer;
  }

  #messages() {
    return [...this.#state.messages].reverse();
  }

  /** Where typed characters go now, if anywhere. */
  #typing() {
    return { dial: this.line, menu: this.line, compose: this.text }[this.#view] ?? null;
  }

  #insert(into, char, over = 0) {
    const end = into.selectionEnd ?? into.value.length;
    const start = Math.max(0, (into.selectionStart ?? end) - over);
    if (into.maxLength > 0 && into.value.length - (end - start) >= into.maxLength) return;
    into.setRangeText(char, start, end, "end");
    into.scrollLeft = into.scrollWidth;
    this.#complaint = "";
    this.#renderSoft(this.#view);
    this.#renderMeter();
  }

  #buzz() {
    this.root.classList.remove("buzz");
    void this.root.offsetWidth; // restart the animation
    this.root.classList.add("buzz");
  }
}

function make(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

/** +855 12 345 601 */
function spaced(msisdn) {
  return msisdn.replace(/^(\+855)(\d\d)(\d{3})(\d+)$/, "$1 $2 $3 $4");
}
