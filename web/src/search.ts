// Which functions a regular expression finds.

import { type Func } from "./model";

export interface Found {
  fits: Uint8Array | null; // by function; null: nothing is searched for
  count: number;
  error: string;
}

/** Searches names, modules and files. Without a capital in the pattern, case does not matter. */
export function search(functions: Func[], pattern: string): Found {
  if (!pattern) return { fits: null, count: 0, error: "" };
  let expression: RegExp;
  try {
    expression = new RegExp(pattern, /\p{Lu}/u.test(pattern.replace(/\\./g, "")) ? "m" : "im");
  } catch (error) {
    return { fits: null, count: 0, error: error instanceof Error ? error.message.replace(/^Invalid regular expression: /, "") : String(error) };
  }
  let count = 0;
  const fits = Uint8Array.from(functions, (func) => {
    // Each on a line of its own, for ^ and $.
    const fit = expression.test(func.name) || expression.test(func.module ? `${func.module}.${func.name}\n${func.file}` : func.file);
    if (fit) count++;
    return fit ? 1 : 0;
  });
  return { fits, count, error: "" };
}
