// Callers above, callees below one function: the sandwich.

import { TreeBoxes } from "./boxes";
import { Flame, type Events, type Look } from "./flame";
import { el } from "./dom";
import { duration, percent } from "./format";
import { type Profile } from "./model";
import { callees, callers, type Tree } from "./tree";
import { place } from "./table";

export class Sandwich {
  readonly element: HTMLElement;
  readonly above: Flame;
  readonly below: Flame;
  private readonly title = el("div", { class: "middle" });
  private readonly upper = el("div", { class: "list", "aria-label": "Direct callers" });
  private readonly lower = el("div", { class: "list", "aria-label": "Direct callees" });
  /** The trees shown, for tests. */
  trees: { callers: Tree; callees: Tree } | null = null;

  constructor(private readonly profile: Profile, look: Look, events: Events, private readonly select: (func: number) => void) {
    this.above = new Flame("Callers", look, { ...events, moved: () => undefined });
    this.below = new Flame("Callees", look, { ...events, moved: () => undefined });
    this.above.rootAtBottomIf(true);
    this.element = el("div", { class: "sandwich" },
      el("div", { class: "half" }, this.upper, this.above.element), this.title, el("div", { class: "half" }, this.lower, this.below.element));
  }

  show(tree: Tree, func: number, look: Look): void {
    const chosen = this.profile.functions[func];
    if (!chosen) {
      this.title.replaceChildren("No function has any time here.");
      return;
    }
    const count = this.profile.functions.length;
    const up = callers(tree, count, func);
    const down = callees(tree, count, func);
    this.trees = { callers: up, callees: down };
    this.above.show(new TreeBoxes(up, true), look);
    this.below.show(new TreeBoxes(down, true), look);
    this.above.window = this.below.window = [0, 1];
    const whole = tree.total[0]!;
    const total = down.total[0]!;
    this.title.replaceChildren(
      el("strong", {}, chosen.name), el("span", { class: "path" }, place(chosen, 3)),
      el("span", {}, total > 0 ? `total ${duration(total)} (${percent(total, whole)})` : "not in this selection"));
    this.fill(this.upper, "Callers", up, total, look);
    this.fill(this.lower, "Callees", down, total, look);
  }

  restyle(look: Look): void {
    this.above.restyle(look);
    this.below.restyle(look);
  }

  private fill(list: HTMLElement, title: string, tree: Tree, whole: number, look: Look): void {
    list.replaceChildren(el("h2", {}, title));
    const root = tree.size > 1 ? tree.children(0)[0]! : 0;
    for (const node of root ? tree.children(root).subarray(0, 200) : []) {
      const key = tree.key[node]!;
      list.append(el("button", { type: "button", "data-function": key, disabled: key < 0, onclick: () => this.select(key) },
        el("span", { class: "share" }, percent(tree.total[node]!, whole)), el("span", { class: "label" }, look.name(key))));
    }
    const rest = root ? tree.own[root]! : 0;
    if (rest > 0) {
      const text = title === "Callers" ? "(root of the stack)" : "(the function itself)";
      list.append(el("div", { class: "rest" }, el("span", { class: "share" }, percent(rest, whole)), el("span", { class: "label" }, text)));
    }
  }
}
