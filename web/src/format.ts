// Numbers in words.

const UNITS: [string, number][] = [["s", 1e9], ["ms", 1e6], ["\u00b5s", 1e3]];

/** A time in nanoseconds, three digits of it. */
export function duration(ns: number): string {
  for (const [unit, size] of UNITS) {
    if (ns >= size) {
      const value = ns / size;
      return `${value < 1000 ? value.toFixed(value < 10 ? 2 : value < 100 ? 1 : 0) : count(Math.round(value))} ${unit}`;
    }
  }
  return `${Math.round(ns)} ns`;
}

/** A place on the time axis, with as many digits as the distance between marks asks for. */
export function instant(ns: number, step: number): string {
  const digits = Math.max(0, Math.ceil(-Math.log10(step / 1e9) - 1e-9));
  return `${(ns / 1e9).toFixed(Math.min(digits, 6))} s`;
}

export function percent(part: number, whole: number): string {
  const share = whole > 0 ? (100 * part) / whole : 0;
  if (share > 0 && share < 0.05) return "<0.1 %";
  return `${share.toFixed(1)} %`;
}

export function count(number: number): string {
  return number.toLocaleString("en-US");
}

export function plural(number: number, noun: string): string {
  return `${count(number)} ${noun}${number === 1 ? "" : "s"}`;
}

/** A round distance of marks, so that about *wanted* of them fit into *span*. */
export function roundStep(span: number, wanted: number): number {
  const raw = Math.max(span / wanted, 1);
  const power = 10 ** Math.floor(Math.log10(raw));
  const lead = raw / power;
  return power * (lead <= 1 ? 1 : lead <= 2 ? 2 : lead <= 5 ? 5 : 10);
}
