// How much room a text takes on a phone, as typed: the same rules as menus/encoding.py (a test
// compares them character by character).

const BASIC =
  "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?" +
  "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà";
const EXTENSION = "\f^{}\\[~]|€";

const cost = new Map([...BASIC].map((c) => [c, 1]));
for (const c of EXTENSION) cost.set(c, 2);

/** {encoding, used}: septets when every character is in the GSM alphabet, else UTF-16 units. */
export function measure(text) {
  let septets = 0;
  for (const c of text) {
    const one = cost.get(c);
    if (one === undefined) return { encoding: "UCS-2", used: text.length };
    septets += one;
  }
  return { encoding: "GSM-7", used: septets };
}

/** How many SMS a text of that size needs (about: a long one is never cut inside a letter). */
export function smsCount({ encoding, used }) {
  const [single, joined] = encoding === "GSM-7" ? [160, 153] : [70, 67];
  return used <= single ? 1 : Math.ceil(used / joined);
}
