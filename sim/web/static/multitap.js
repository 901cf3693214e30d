// Letters on a number pad: pressing the same key again soon turns a into b.

const LETTERS = {
  1: ".,?!1'-:/@",
  2: "abc2",
  3: "def3",
  4: "ghi4",
  5: "jkl5",
  6: "mno6",
  7: "pqrs7",
  8: "tuv8",
  9: "wxyz9",
  0: " 0",
  "*": "*+",
};
export const LABELS = {
  1: ".,?!", 2: "abc", 3: "def", 4: "ghi", 5: "jkl", 6: "mno",
  7: "pqrs", 8: "tuv", 9: "wxyz", "*": "+", 0: "␣", "#": "abc/123",
};
const AGAIN_MS = 900;
export const MODES = ["abc", "ABC", "123"];

export class Multitap {
  mode = "abc";
  #key = "";
  #turn = 0;
  #at = -Infinity;

  nextMode() {
    this.mode = MODES[(MODES.indexOf(this.mode) + 1) % MODES.length];
    this.rest();
  }

  /** The next press begins a new letter. */
  rest() {
    this.#key = "";
  }

  /** {char, replace}: the letter to put, and whether it takes the place of the last one. */
  press(key, now) {
    if (this.mode === "123") return { char: key, replace: false };
    const replace = key === this.#key && now - this.#at < AGAIN_MS;
    this.#turn = replace ? (this.#turn + 1) % LETTERS[key].length : 0;
    this.#key = key;
    this.#at = now;
    const char = LETTERS[key][this.#turn];
    return { char: this.mode === "ABC" ? char.toUpperCase() : char, replace };
  }
}
