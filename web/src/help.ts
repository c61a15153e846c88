// What keys and pointers do.

import { el } from "./dom";

const KEYS: [string, [string, string][]][] = [
  ["Anywhere", [
    ["1 2 3 4", "graph, functions, callers and callees, source"],
    ["/", "search: a regular expression; capitals make it exact; Esc clears it"],
    ["t", "next thread (Shift: the one before)"],
    ["o", "by weight, or in the order of time"],
    ["r", "icicle (root on top) or flame (root at the bottom)"],
    ["c", "next colours: modules, kind of code, state"],
    ["m", "elapsed time or CPU time, where both are known"],
    ["h  f", "hide, or focus on, the module of the selected function"],
    ["Esc", "step by step: search, range of time, modules, zoom, selection"],
    ["l", "light, dark, or as the system has it"],
    ["?", "this help"],
  ]],
  ["In the graph", [
    ["click", "zoom to a box; double click: its source"],
    ["drag", "move"],
    ["wheel", "scroll, or zoom where there is nothing to scroll; with Ctrl zoom, with Shift move sideways"],
    ["\u2191 \u2193 \u2190 \u2192", "select a neighbouring box"],
    ["Enter", "zoom to the selected box; Backspace: everything"],
    ["w s a d", "zoom in, out; move left, right"],
  ]],
  ["In the timeline", [
    ["drag", "select a range; drag its edges or its middle to move it, click to clear it"],
    ["\u2190 \u2192", "move the range; with Shift its end"],
    ["click on a name", "only this thread"],
  ]],
  ["In the table", [
    ["click a heading", "sort; again: the other way round"],
    ["Enter", "source of the function; Shift+Enter: its callers and callees"],
  ]],
];

export class Help {
  readonly element: HTMLDialogElement;

  constructor() {
    const close = el("button", { type: "button", class: "close", "aria-label": "Close", onclick: () => this.element.close() }, "\u2715");
    this.element = el("dialog", { class: "help", "aria-label": "Help" }, close, el("h2", {}, "Keys and pointers"));
    for (const [title, rows] of KEYS) {
      const list = el("dl");
      for (const [keys, text] of rows) list.append(el("dt", {}, keys), el("dd", {}, text));
      this.element.append(el("h3", {}, title), list);
    }
    this.element.append(
      el("h3", {}, "What the figures are"),
      el("p", {}, "Self: time in which the function itself ran. Total: time in which it was on the stack. Names in [brackets] are no functions: [unsampled] and [dropped] are time that no sample shows, so that sums are exact; [native] is C code without any Python frame. In the order of time the width is still weight: time without samples has none."),
    );
    this.element.addEventListener("click", (event) => {
      if (event.target === this.element) this.element.close();
    });
  }

  toggle(): void {
    if (this.element.open) this.element.close();
    else this.element.showModal();
  }
}
