// What is looked at, and how; kept in the URL's hash, so that a link or a reload shows the same.

import { type ColourBy } from "./colours";
import { type Column } from "./table";

export type Tab = "graph" | "functions" | "callers" | "source";
const TABS: Tab[] = ["graph", "functions", "callers", "source"];
const COLOURS: ColourBy[] = ["module", "kind", "state"];
const COLUMNS: Column[] = ["own", "total", "name", "module", "place"];
const LONGEST = 200; // characters of a search: a link comes from anywhere

export interface State {
  tab: Tab;
  thread: number; // -1: all as one, -2: one beside the other
  order: "weight" | "time";
  bottom: boolean; // root at the bottom
  colour: ColourBy;
  cpu: boolean;
  range: [number, number] | null;
  search: string;
  hidden: string[];
  focus: string[];
  func: number; // -1: none
  window: [number, number];
  sort: Column;
  down: boolean;
  theme: "" | "light" | "dark";
}

export const START: Readonly<State> = {
  tab: "graph", thread: -1, order: "weight", bottom: false, colour: "module", cpu: false, range: null, search: "", hidden: [], focus: [],
  func: -1, window: [0, 1], sort: "own", down: true, theme: "",
};

/** The hash of a state: only what differs from the start. */
export function toHash(state: State): string {
  const words = new URLSearchParams();
  const put = (name: string, value: string, usual: string): void => {
    if (value !== usual) words.set(name, value);
  };
  put("view", state.tab, START.tab);
  put("thread", state.thread === -2 ? "each" : String(state.thread), "-1");
  put("order", state.order, START.order);
  put("root", state.bottom ? "bottom" : "top", "top");
  put("colour", state.colour, START.colour);
  put("measure", state.cpu ? "cpu" : "", "");
  put("time", state.range ? state.range.map((each) => String(Math.round(each))).join("-") : "", "");
  put("search", state.search, "");
  for (const each of state.hidden) words.append("hide", each);
  for (const each of state.focus) words.append("focus", each);
  put("function", String(state.func), "-1");
  put("zoom", state.window.map((each) => String(Number(each.toPrecision(8)))).join("-"), "0-1");
  put("sort", (state.down ? "" : "up.") + state.sort, START.sort);
  put("theme", state.theme, "");
  return words.toString();
}

function pair(text: string | null, low: number, high: number): [number, number] | null {
  const found = /^([\d.]+(?:e-\d+)?)-([\d.]+(?:e-\d+)?)$/.exec(text ?? "");
  if (!found) return null;
  const [from, to] = [Number(found[1]), Number(found[2])];
  return from >= low && to <= high && from < to ? [from, to] : null;
}

/** The state of a hash. What makes no sense for this profile is as at the start. */
export function fromHash(hash: string, threads: number, functions: number, duration: number): State {
  const words = new URLSearchParams(hash.replace(/^#/, ""));
  const get = (name: string): string => words.get(name) ?? "";
  const one = <T extends string>(name: string, known: readonly T[], usual: T): T => known.find((each) => each === get(name)) ?? usual;
  const index = (name: string, count: number): number => (/^\d{1,9}$/.test(get(name)) && Number(get(name)) < count ? Number(get(name)) : -1);
  const sort = /^(up\.)?(\w+)$/.exec(get("sort"));
  const names = (name: string): string[] => [...new Set(words.getAll(name))].slice(0, 100);
  const column = COLUMNS.find((each) => each === sort?.[2]);
  return {
    tab: one("view", TABS, START.tab),
    thread: get("thread") === "each" ? -2 : index("thread", threads),
    order: one("order", ["weight", "time"] as const, "weight"),
    bottom: get("root") === "bottom",
    colour: one("colour", COLOURS, "module"),
    cpu: get("measure") === "cpu",
    range: pair(words.get("time"), 0, duration + 2),
    search: get("search").slice(0, LONGEST),
    hidden: names("hide"),
    focus: names("focus"),
    func: index("function", functions),
    window: pair(words.get("zoom"), 0, 1) ?? [0, 1],
    sort: column ?? "own",
    down: column ? !sort?.[1] : true,
    theme: one("theme", ["", "light", "dark"] as const, ""),
  };
}
