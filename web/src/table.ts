// All functions with own and total time: sorted by any column; only the rows in sight are elements.

import { el } from "./dom";
import { duration, percent } from "./format";
import { type Func, type Profile } from "./model";

const ROW = 25;

export type Column = "own" | "total" | "name" | "module" | "place";
const COLUMNS: [Column, string, string][] = [
  ["own", "Self", "Time in which the function itself ran"],
  ["total", "Total", "Time in which it was on the stack; a recursive function counts once"],
  ["name", "Function", "Qualified name"],
  ["module", "Module", "Name of the module"],
  ["place", "Defined at", "File, and the line on which the function begins"],
];

export interface Sums {
  own: Float64Array;
  total: Float64Array;
}

/** The last parts of a path. */
export function short(path: string, parts = 2): string {
  return path.split("/").slice(-parts).join("/");
}

export function place(func: Func, parts = 2): string {
  return func.file ? `${short(func.file, parts)}${func.line ? `:${func.line}` : ""}` : "";
}

export class Table {
  readonly element: HTMLElement;
  private readonly body: HTMLElement;
  private readonly scroller: HTMLElement;
  private readonly heads = new Map<Column, HTMLElement>();
  private readonly summary: HTMLElement;
  private sums: Sums = { own: new Float64Array(0), total: new Float64Array(0) };
  private whole = 0;
  private fits: Uint8Array | null = null;
  private rows: Func[] = [];
  private selected = -1;
  private sort: { by: Column; down: boolean } = { by: "own", down: true };

  constructor(
    private readonly profile: Profile, private readonly select: (func: number) => void,
    private readonly open: (func: number, tab: "callers" | "source") => void,
    private readonly sorted: (by: Column, down: boolean) => void,
  ) {
    const header = el("div", { class: "row head", role: "row" });
    for (const [id, label, title] of COLUMNS) {
      const button = el("button", { type: "button", title, onclick: () => this.sortBy(id) }, label);
      const cell = el("div", { class: `cell ${id}`, role: "columnheader" }, button);
      this.heads.set(id, cell);
      header.append(cell);
    }
    this.body = el("div", { class: "rows", role: "rowgroup" });
    this.scroller = el("div", { class: "scroller", tabindex: 0, onscroll: () => this.fill() }, this.body);
    this.summary = el("div", { class: "summary" });
    this.element = el("div", { class: "table", role: "table", "aria-label": "Functions" }, header, this.scroller, this.summary);
    new ResizeObserver(() => this.fill()).observe(this.scroller);
    this.scroller.addEventListener("keydown", (event) => this.key(event));
  }

  show(sums: Sums, whole: number, fits: Uint8Array | null, selected: number, by: Column, down: boolean): void {
    this.sums = sums;
    this.whole = whole;
    this.fits = fits;
    this.selected = selected;
    this.sort = { by, down };
    this.arrange();
  }

  private sortBy(by: Column): void {
    const numeric = by === "own" || by === "total";
    this.sort = { by, down: this.sort.by === by ? !this.sort.down : numeric };
    this.sorted(this.sort.by, this.sort.down);
    this.scroller.scrollTop = 0;
    this.arrange();
  }

  private arrange(): void {
    const { own, total } = this.sums;
    const { by, down } = this.sort;
    this.rows = this.profile.functions.filter((func) => total[func.id]! > 0 && (!this.fits || this.fits[func.id]));
    const text = (func: Func): string => (by === "name" ? func.name : by === "module" ? func.module : `${func.file}:${String(func.line).padStart(7, "0")}`);
    const number = by === "own" ? own : total;
    const numeric = by === "own" || by === "total";
    const texts = numeric ? [] : this.profile.functions.map(text);
    this.rows.sort((a, b) => {
      const order = numeric ? number[a.id]! - number[b.id]! : texts[a.id]! < texts[b.id]! ? -1 : texts[a.id]! > texts[b.id]! ? 1 : 0;
      return (down ? -order : order) || total[b.id]! - total[a.id]! || a.id - b.id;
    });
    for (const [id, cell] of this.heads) cell.setAttribute("aria-sort", id !== by ? "none" : down ? "descending" : "ascending");
    const all = this.profile.functions.filter((func) => total[func.id]! > 0).length;
    const sum = this.rows.reduce((before, func) => before + own[func.id]!, 0);
    this.summary.textContent = `${this.rows.length === all ? `${all} functions` : `${this.rows.length} of ${all} functions`}, ${duration(sum)} (${percent(sum, this.whole)}) of own time. Double click: source.`;
    this.body.style.height = `${this.rows.length * ROW}px`;
    this.fill();
  }

  private fill(): void {
    const first = Math.max(0, Math.floor(this.scroller.scrollTop / ROW) - 5);
    const last = Math.min(this.rows.length, first + Math.ceil(this.scroller.clientHeight / ROW) + 10);
    const { own, total } = this.sums;
    const top = Math.max(this.whole, 1);
    const amount = (kind: string, value: number): HTMLElement => {
      const bar = el("div", { class: "bar" });
      bar.style.width = `${Math.min(100, (100 * value) / top)}%`;
      return el("div", { class: `cell ${kind}`, role: "cell" }, bar,
        el("span", { class: "time" }, value > 0 ? duration(value) : "\u2013"), el("span", { class: "share" }, value > 0 ? percent(value, this.whole) : ""));
    };
    const made = [];
    for (let index = first; index < last; index++) {
      const func = this.rows[index]!;
      const row = el("div", {
        class: `row${func.id === this.selected ? " selected" : ""}`, role: "row", "data-function": func.id,
        onclick: () => this.choose(func.id), ondblclick: () => this.open(func.id, "source"),
      },
        amount("own", own[func.id]!), amount("total", total[func.id]!),
        el("div", { class: "cell name", role: "cell", title: func.name }, func.name),
        el("div", { class: "cell module", role: "cell", title: func.module }, func.module),
        el("div", { class: "cell place", role: "cell", title: func.file ? `${func.file}:${func.line}` : "" }, place(func)));
      row.style.top = `${index * ROW}px`;
      made.push(row);
    }
    this.body.replaceChildren(...made);
  }

  private choose(func: number): void {
    this.selected = func;
    this.select(func);
    for (const row of this.body.children) row.classList.toggle("selected", (row as HTMLElement).dataset["function"] === String(func));
  }

  private key(event: KeyboardEvent): void {
    const at = this.rows.findIndex((func) => func.id === this.selected);
    const page = Math.max(1, Math.floor(this.scroller.clientHeight / ROW) - 1);
    const steps: Record<string, number> = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -this.rows.length, End: this.rows.length };
    const step = steps[event.key];
    if (step !== undefined && this.rows.length) {
      const next = Math.min(Math.max(at < 0 ? 0 : at + step, 0), this.rows.length - 1);
      const top = next * ROW;
      if (top < this.scroller.scrollTop) this.scroller.scrollTop = top;
      if (top + ROW > this.scroller.scrollTop + this.scroller.clientHeight) this.scroller.scrollTop = top + ROW - this.scroller.clientHeight;
      this.choose(this.rows[next]!.id);
      this.fill();
    } else if (event.key === "Enter" && at >= 0) this.open(this.selected, event.shiftKey ? "callers" : "source");
    else return;
    event.preventDefault();
    event.stopPropagation();
  }
}
