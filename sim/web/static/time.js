// Clocks show what a clock in Phnom Penh shows, as receipts do, wherever the browser is.

const ZONE = { timeZone: "Asia/Phnom_Penh", hourCycle: "h23", hour: "2-digit", minute: "2-digit" };
const minutes = new Intl.DateTimeFormat("en-GB", ZONE);
const seconds = new Intl.DateTimeFormat("en-GB", { ...ZONE, second: "2-digit" });

/** 14:05, of a time in seconds since 1970 */
export const minuteOf = (at) => minutes.format(at * 1000);

/** 14:05:09 */
export const secondOf = (at) => seconds.format(at * 1000);
