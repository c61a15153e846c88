// The list of modules: legend of the colours, and where modules are hidden or brought into focus.

import { el } from "./dom";
import { percent } from "./format";
import { type Colours } from "./colours";
import { NATIVE, type Func, type Profile } from "./model";

/** Whether a function belongs to a name in the list: a package, a module, or what is below it. */
export function belongs(func: Func, name: string): boolean {
  return func.package === name || func.module === name || (func.kind !== NATIVE && func.module.startsWith(`${name}.`));
}

export class Modules {
  readonly element = el("aside", { class: "modules", "aria-label": "Modules" });
  private readonly opened = new Set<string>();
  private last: (() => void) | null = null;

  constructor(
    private readonly profile: Profile,
    private readonly toggle: (what: "hidden" | "focus", name: string) => void,
    private readonly reset: () => void,
  ) {}

  /** *own*, *total*: by function. */
  show(own: Float64Array, whole: number, colours: Colours, hidden: string[], focus: string[]): void {
    this.last = () => this.show(own, whole, colours, hidden, focus);
    const packages = new Map<string, { own: number; modules: Map<string, number> }>();
    for (const func of this.profile.functions) {
      const entry = packages.get(func.package) ?? { own: 0, modules: new Map<string, number>() };
      packages.set(func.package, entry);
      entry.own += own[func.id]!;
      if (func.module) entry.modules.set(func.module, (entry.modules.get(func.module) ?? 0) + own[func.id]!);
    }
    const order = (a: [string, number], b: [string, number]): number => b[1] - a[1] || (a[0] < b[0] ? -1 : 1);
    const ranked = [...packages].map(([name, entry]): [string, number] => [name, entry.own]).sort(order);
    const list: Node[] = [];
    if (colours.legend.length) {
      list.push(el("h2", {}, "Colours"), el("ul", { class: "legend" },
        ...colours.legend.map((key) => el("li", {}, this.swatch(key.colour), key.name))));
    }
    const changed = hidden.length || focus.length;
    list.push(el("h2", {}, "Modules", changed ? el("button", { type: "button", class: "reset", onclick: () => this.reset() }, "show all") : null));
    for (const [name, sum] of ranked.slice(0, 300)) {
      const modules = [...packages.get(name)!.modules].sort(order);
      const more = modules.length > 1 || (modules.length === 1 && modules[0]![0] !== name);
      list.push(this.row(name, name, sum, whole, colours.ofPackage(name), hidden, focus, more));
      if (more && this.opened.has(name)) {
        for (const [module, part] of modules.slice(0, 200)) {
          list.push(this.row(module, module === name ? `${name} (itself)` : module.slice(name.length), part, whole, "", hidden, focus, false));
        }
      }
    }
    if (ranked.length > 300) list.push(el("p", { class: "muted" }, `and ${ranked.length - 300} more`));
    const scroll = this.element.scrollTop;
    this.element.replaceChildren(...list);
    this.element.scrollTop = scroll;
  }

  private swatch(colour: string): HTMLElement {
    const box = el("span", { class: "swatch" });
    box.style.background = colour;
    return box;
  }

  private row(
    name: string, label: string, sum: number, whole: number, colour: string, hidden: string[], focus: string[], more: boolean,
  ): HTMLElement {
    const isHidden = hidden.includes(name);
    const isFocus = focus.includes(name);
    const open = this.opened.has(name);
    const expand = (): void => {
      if (!this.opened.delete(name)) this.opened.add(name);
      this.last?.();
    };
    return el("div", { class: `entry${isHidden ? " hidden" : ""}${isFocus ? " focused" : ""}${colour ? "" : " sub"}`, "data-module": name },
      more ? el("button", { type: "button", class: "more", "aria-expanded": String(open), title: "Modules of this package", onclick: expand }, open ? "\u25be" : "\u25b8")
        : el("span", { class: "more" }),
      colour ? this.swatch(colour) : null,
      el("span", { class: "label", title: name }, label),
      el("span", { class: "share", title: "Own time" }, percent(sum, whole)),
      el("button", {
        type: "button", "aria-pressed": String(isFocus), title: `Only stacks that go through ${name}`, onclick: () => this.toggle("focus", name),
      }, "focus"),
      el("button", {
        type: "button", "aria-pressed": String(isHidden), title: `Leave frames of ${name} out: their time goes to their callers`,
        onclick: () => this.toggle("hidden", name),
      }, "hide"));
  }
}
