// The page: puts the parts together, and shows what the state says.

import { MERGED, TimeBoxes, TreeBoxes, type Box, type Boxes } from "./boxes";
import { Sandwich } from "./callers";
import { Colours, type ColourBy } from "./colours";
import { choice, el, oncePerFrame } from "./dom";
import { Flame, type Events, type Look } from "./flame";
import { duration, instant, percent, plural } from "./format";
import { header } from "./header";
import { Help } from "./help";
import { COLOURINGS, pressed, TABS } from "./keys";
import { Source } from "./lines";
import { load, MARK, type Profile } from "./model";
import { belongs, Modules } from "./modules";
import { search, type Found } from "./search";
import { fromHash, START, toHash, type State, type Tab } from "./state";
import { place, Table, type Sums } from "./table";
import { Timeline } from "./timeline";
import { View } from "./view";

/** The whole page. */
export class App {
  state: State;
  view!: View;
  sums!: Sums;
  private viewKey = "";
  private boxes!: Boxes;
  private boxesKey = "";
  private colours!: Colours;
  private coloursKey = "";
  private found: Found = { fits: null, count: 0, error: "" };
  private readonly packages: string[];
  readonly flame: Flame;
  readonly sandwich: Sandwich;
  private readonly table: Table;
  private readonly source: Source;
  private readonly modules: Modules;
  private readonly timeline: Timeline | null;
  readonly help = new Help();
  private readonly main = el("main");
  private readonly status = el("footer", { role: "status" });
  private readonly tip = el("div", { class: "tip", hidden: true });
  readonly box: HTMLInputElement;
  private readonly result = el("span", { class: "result", role: "status" });
  private readonly tabs = new Map<Tab, HTMLElement>();
  private readonly choices: { set(): void; element: HTMLElement; tabs: readonly Tab[] | null }[] = [];
  private readonly systemDark = matchMedia("(prefers-color-scheme: dark)");
  private readonly showSoon = oncePerFrame(() => this.show());

  constructor(readonly profile: Profile) {
    this.state = this.read();
    this.packages = this.rankedPackages();
    this.restyle();
    const look = this.look();
    const events: Events = {
      point: (box, x, y) => this.point(box, x, y),
      select: (box) => this.selectBox(box),
      moved: (window) => this.update({ window }),
      open: (box) => this.update({ func: box.key, tab: "source" }),
    };
    this.flame = new Flame("Flame graph", look, events);
    this.sandwich = new Sandwich(profile, look, events, (func) => this.update({ func }));
    this.table = new Table(profile, (func) => this.update({ func }, false), (func, tab) => this.update({ func, tab }), (sort, down) => this.update({ sort, down }, false));
    this.source = new Source(profile, (func) => this.update({ func }), (file) => this.openFile(file));
    this.modules = new Modules(profile, (what, name) => this.toggle(what, name), () => this.update({ hidden: [], focus: [] }));
    this.timeline = profile.facts.timed && profile.facts.duration_ns > 0
      ? new Timeline(profile, this.colours.theme, (range) => this.update({ range }), (thread) => this.update({ thread, window: [0, 1] }))
      : null;
    this.box = el("input", { type: "search", placeholder: "search: a regular expression", "aria-label": "Search", spellcheck: "false", oninput: () => this.update({ search: this.box.value.slice(0, 200) }) });
    this.build();
    this.flame.window = this.state.window;
    this.show();
    addEventListener("hashchange", () => {
      const hash = location.hash.replace(/^#/, "");
      if (hash === toHash(this.state)) return;
      this.state = this.read();
      this.flame.window = this.state.window;
      this.show();
    });
    this.systemDark.addEventListener("change", () => this.show());
    document.addEventListener("keydown", (event) => pressed(this, event));
  }

  private read(): State {
    const { threads, functions, facts } = this.profile;
    const state = fromHash(location.hash, threads.length, functions.length, facts.duration_ns);
    const { state: states, cpu } = this.profile.samples;
    if (!states && state.colour === "state") state.colour = START.colour;
    if (!cpu) state.cpu = false;
    if (!facts.timed) state.order = "weight";
    if (!facts.timed) state.range = null;
    return state;
  }

  private rankedPackages(): string[] {
    const { profile } = this;
    const own = new Float64Array(profile.functions.length);
    const { node, weight, count } = profile.samples;
    for (let row = 0; row < count; row++) {
      const func = profile.frameFunction[profile.nodeFrame[node[row]!]!]!;
      if (node[row]) own[func]! += weight[row]!;
    }
    const sums = new Map<string, number>();
    for (const func of profile.functions) sums.set(func.package, (sums.get(func.package) ?? 0) + own[func.id]!);
    return [...sums].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1)).map(([name]) => name);
  }

  private build(): void {
    const { profile } = this;
    const dark = el("button", { type: "button", title: "Light, dark, or as the system has it (l)", "aria-label": "Light or dark", onclick: () => this.cycleTheme() }, "\u25d0");
    const help = el("button", { type: "button", title: "Help (?)", "aria-label": "Help", onclick: () => this.help.toggle() }, "?");
    const link = el("button", { type: "button", title: "Copy a link to this view: its state is in the address", onclick: () => this.copyLink(link) }, "copy link");
    const tabs = el("nav", { role: "tablist", "aria-label": "Views" });
    TABS.forEach(([tab, label], index) => {
      const button = el("button", { type: "button", role: "tab", title: `${label} (${index + 1})`, onclick: () => this.update({ tab }) }, label);
      this.tabs.set(tab, button);
      tabs.append(button);
    });
    const options: HTMLElement[] = [];
    const add = (label: string, values: [string, string][], get: (state: State) => string, put: (value: string) => Partial<State>, only: readonly Tab[] | null = null): void => {
      const made = choice(label, values, get(this.state), (value) => this.update(put(value)));
      this.choices.push({ set: () => made.set(get(this.state)), element: made.element, tabs: only });
      options.push(made.element);
    };
    const threads: [string, string][] = [["-1", "all, merged"]];
    if (profile.threads.length > 1) threads.push(["-2", "all, side by side"]);
    profile.threads.forEach((thread, index) => threads.push([String(index), thread.name]));
    add("Thread", threads, (state) => String(state.thread), (value) => ({ thread: Number(value), window: [0, 1] }));
    if (profile.facts.timed) {
      add("Order", [["weight", "left-heavy"], ["time", "time"]], (state) => state.order, (value) => ({ order: value as State["order"], window: [0, 1] }), ["graph"]);
    }
    add("Shape", [["top", "icicle"], ["bottom", "flame"]], (state) => (state.bottom ? "bottom" : "top"), (value) => ({ bottom: value === "bottom" }), ["graph"]);
    const colourings = COLOURINGS.filter(([by]) => by !== "state" || profile.samples.state);
    add("Colour", colourings, (state) => state.colour, (value) => ({ colour: value as ColourBy }), ["graph", "callers"]);
    if (profile.samples.cpu) {
      const measure = profile.facts.mode === "gil" ? "with the GIL" : "elapsed time";
      add("Measure", [["", measure], ["cpu", "CPU time"]], (state) => (state.cpu ? "cpu" : ""), (value) => ({ cpu: value === "cpu", window: [0, 1] }));
    }
    document.body.append(el("div", { class: "page" },
      header(profile, link, dark, help),
      this.timeline?.element,
      el("div", { class: "toolbar" }, tabs, el("div", { class: "options" }, ...options), el("div", { class: "search" }, this.box, this.result)),
      el("div", { class: "body" }, this.main, this.modules.element), this.status), this.tip, this.help.element);
  }

  /** Changes the state and shows it. *all* false: what is on the screen follows by itself. */
  update(changes: Partial<State>, all = true): void {
    Object.assign(this.state, changes);
    if (changes.window) this.flame.window = changes.window;
    if (changes.range !== undefined || changes.hidden || changes.focus || changes.order) this.state.window = this.flame.window = [0, 1];
    this.writeHash();
    if (all && !(changes.window && Object.keys(changes).length === 1)) this.showSoon();
    else this.describe(this.flame.selected);
  }

  private readonly writeHash = ((): (() => void) => {
    let timer = 0; // browsers limit how often the address may change
    return () => {
      clearTimeout(timer);
      timer = window.setTimeout(() => {
        try {
          history.replaceState(null, "", `#${toHash(this.state)}`);
        } catch {
          // Within a frame without an address of its own there is no link to keep.
        }
      }, 150);
    };
  })();

  private get dark(): boolean {
    return this.state.theme ? this.state.theme === "dark" : this.systemDark.matches;
  }

  private restyle(): void {
    const key = `${this.dark} ${this.state.colour}`;
    document.documentElement.dataset["theme"] = this.dark ? "dark" : "light";
    if (key === this.coloursKey) return;
    this.coloursKey = key;
    this.colours = new Colours(this.profile, this.state.colour, this.dark, this.packages);
  }

  private look(sandwich = false): Look {
    const { colours, found, profile } = this;
    const { theme } = colours;
    return {
      fill: (box) => (sandwich && this.state.colour === "state" ? (box.key < 0 ? theme.thread : theme.other) : colours.fill(box)),
      text: (box) => (box.key >= 0 && profile.functions[box.key]!.kind === MARK ? theme.text : box.key < 0 ? theme.text : theme.dark ? "#eef0f3" : "#1b1f24"),
      name: (key) => this.name(key),
      match: (key) => (!found.fits ? 0 : key >= 0 && found.fits[key] ? 1 : 2),
      background: theme.background, dim: theme.dim, hit: theme.hit, hitText: theme.hitText, outline: theme.text,
    };
  }

  name(key: number): string {
    if (key >= 0) return this.profile.functions[key]!.name;
    if (key === MERGED) return "several thin ones";
    return key === -1 ? "all" : this.profile.threads[-2 - key]!.name;
  }

  private refresh(): void {
    const { state, profile } = this;
    const rows = state.order === "time" || state.colour === "state";
    // Time is shown thread by thread, so that there is one thing at a time.
    const thread = state.order === "time" && state.tab === "graph" && state.thread === -1 ? -2 : state.thread;
    const key = JSON.stringify([thread, state.range, state.cpu, state.hidden, state.focus, rows]);
    if (key !== this.viewKey) {
      const member = (names: string[]) => (func: number): boolean => names.some((name) => belongs(profile.functions[func]!, name));
      this.viewKey = key;
      this.view = new View(profile, {
        thread, range: state.range, cpu: state.cpu, rows, hidden: state.hidden.length ? member(state.hidden) : () => false,
        focus: state.focus.length ? member(state.focus) : null,
      });
      this.sums = this.view.tree.sums(profile.functions.length);
    }
    if (state.colour === "state") this.colours.nodeStates = this.view.states(profile.states.length);
    const order = `${key} ${state.order}`;
    if (order !== this.boxesKey) {
      this.boxesKey = order;
      this.boxes = state.order === "time" ? new TimeBoxes(this.view) : new TreeBoxes(this.view.tree);
    }
  }

  private show(): void {
    const { state, profile } = this;
    this.restyle();
    this.refresh();
    this.found = search(profile.functions, state.search);
    const whole = this.view.tree.total[0]!;
    if (this.box.value !== state.search) this.box.value = state.search;
    this.box.classList.toggle("wrong", !!this.found.error);
    this.box.title = this.found.error ? `Not a regular expression: ${this.found.error}` : "Names, modules and files; a regular expression (/)";
    this.result.textContent = this.found.error
      ? "not an expression"
      : this.found.fits ? `${plural(this.found.count, "function")}, ${percent(this.view.matched(this.found.fits), whole)}` : "";
    for (const [tab, button] of this.tabs) button.setAttribute("aria-selected", String(tab === state.tab));
    for (const each of this.choices) {
      each.set();
      each.element.hidden = !!each.tabs && !each.tabs.includes(state.tab);
    }
    this.timeline?.set(state.range, state.thread, this.colours.theme);
    this.modules.show(this.sums.own, whole, this.colours, state.hidden, state.focus);
    if (state.tab === "callers" && state.func < 0) state.func = this.hottest();
    const parts: Record<Tab, HTMLElement> = { graph: this.flame.element, functions: this.table.element, callers: this.sandwich.element, source: this.source.element };
    if (this.main.firstChild !== parts[state.tab]) this.main.replaceChildren(parts[state.tab]);
    if (state.tab === "graph") {
      this.flame.rootAtBottomIf(state.bottom);
      this.flame.show(this.boxes, this.look());
      this.main.classList.toggle("empty", !(whole > 0));
    } else if (state.tab === "functions") {
      this.table.show(this.sums, whole, this.found.fits, state.func, state.sort, state.down);
    } else if (state.tab === "callers") this.sandwich.show(this.view.tree, state.func, this.look(true));
    else this.source.show(this.view, state.func);
    this.describe(null);
  }

  private hottest(): number {
    const { own } = this.sums;
    let best = -1;
    for (const func of this.profile.functions) {
      if (func.kind !== MARK && own[func.id]! > (best < 0 ? 0 : own[best]!)) best = func.id;
    }
    return best;
  }

  private openFile(file: string): void {
    const { total } = this.sums;
    const first = this.profile.functions.filter((func) => func.file === file).sort((a, b) => this.sums.own[b.id]! - this.sums.own[a.id]! || total[b.id]! - total[a.id]!)[0];
    if (first) this.update({ func: first.id });
  }

  toggle(what: "hidden" | "focus", name: string): void {
    const now = this.state[what];
    const other = what === "hidden" ? "focus" : "hidden";
    const changed = now.includes(name) ? now.filter((each) => each !== name) : [...now, name];
    this.update({ [what]: changed, [other]: this.state[other].filter((each) => each !== name) });
  }

  private selectBox(box: Box | null): void {
    if (box && box.key >= 0) this.update({ func: box.key }, false);
    this.describe(box);
  }

  /** Figures of a box, in words. */
  private lines(box: Box): string[] {
    const whole = this.view.tree.total[0]!;
    const lines = [`${duration(box.end - box.start)} (${percent(box.end - box.start, whole)})`];
    const samples = (number: number): void => void (lines[0] += `, ${plural(number, "sample")}`); // tells how sure it is
    if (this.boxes instanceof TimeBoxes && this.state.tab === "graph" && box.row >= 0) {
      const [from, to, number] = this.boxes.times(this.profile, this.boxes.whole(box));
      samples(number);
      lines.push(to > from ? `from ${instant(from, 1e6)} to ${instant(to, 1e6)}` : `at ${instant(from, 1e6)}`);
    } else if (this.state.tab === "graph" && box.key !== MERGED) {
      samples(this.view.counts[box.node]!);
      lines.push(`self ${duration(this.view.tree.own[box.node]!)} (${percent(this.view.tree.own[box.node]!, whole)})`);
    }
    const func = this.profile.functions[box.key];
    if (func) lines.push(`function in all: self ${duration(this.sums.own[box.key]!)}, total ${duration(this.sums.total[box.key]!)}`);
    return lines;
  }

  private point(box: Box | null, x: number, y: number): void {
    const { tip } = this;
    tip.hidden = !box;
    if (!box) return;
    const func = this.profile.functions[box.key];
    tip.replaceChildren(el("strong", {}, this.name(box.key)),
      ...(func?.file ? [el("div", { class: "path" }, `${place(func, 3)}${func.module ? ` (${func.module})` : ""}`)] : []),
      ...this.lines(box).map((line) => el("div", {}, line)));
    const { width, height } = tip.getBoundingClientRect();
    tip.style.left = `${Math.max(4, Math.min(x + 14, innerWidth - width - 8))}px`;
    tip.style.top = `${y + 18 + height > innerHeight ? Math.max(4, y - height - 10) : y + 18}px`;
  }

  private describe(box: Box | null): void {
    const { view, profile, state } = this;
    const all = profile.threads.reduce((sum, thread) => sum + thread.time_ns, 0);
    const whole = view.tree.total[0]!;
    const words = [`${duration(whole)}${!state.cpu && whole < all ? ` of ${duration(all)} (${percent(whole, all)})` : ""} in ${plural(view.samples, "sample")}`];
    if (state.thread >= 0) words.push(`thread ${profile.threads[state.thread]!.name}`);
    if (state.range) words.push(`${instant(state.range[0], 1e7)} to ${instant(state.range[1], 1e7)}`);
    if (state.hidden.length) words.push(`without ${state.hidden.join(", ")}`);
    if (state.focus.length) words.push(`only through ${state.focus.join(", ")}`);
    const shown: (Node | string)[] = [el("span", { class: "selection" }, words.join(" \u00b7 "))];
    const func = profile.functions[box?.key ?? state.func];
    if (func) {
      const open = (tab: Tab, text: string): HTMLElement => el("button", { type: "button", onclick: () => this.update({ func: func.id, tab }) }, text);
      const line = box ? this.lines(box)[0]! : `self ${duration(this.sums.own[func.id]!)}, total ${duration(this.sums.total[func.id]!)}`;
      shown.push(el("span", { class: "chosen" }, el("strong", {}, func.name), el("span", { class: "path" }, place(func, 2)), el("span", {}, line),
        open("callers", "callers & callees"), open("source", "source")));
    }
    this.status.replaceChildren(...shown);
  }

  cycleTheme(): void {
    const next = { "": this.systemDark.matches ? "light" : "dark", light: this.systemDark.matches ? "dark" : "", dark: this.systemDark.matches ? "" : "light" } as const;
    this.update({ theme: next[this.state.theme] });
  }

  private copyLink(button: HTMLElement): void {
    const text = `${location.href.replace(/#.*/, "")}#${toHash(this.state)}`;
    const say = (word: string): void => {
      button.textContent = word;
      setTimeout(() => (button.textContent = "copy link"), 1500);
    };
    if (navigator.clipboard) navigator.clipboard.writeText(text).then(() => say("copied"), () => say("see the address"));
    else say("see the address");
  }

  focusMain(): void {
    this.main.querySelector<HTMLElement>("[tabindex='0']")?.focus({ preventScroll: true });
  }
}

declare global {
  interface Window {
    /** For tests and for the curious: the page's state and what it shows. Not an interface to build on. */
    spprof?: App;
  }
}

async function start(): Promise<void> {
  const data = document.getElementById("profile")!;
  try {
    const profile = await load(data.textContent!);
    data.textContent = ""; // has been read, and is large
    window.spprof = new App(profile);
  } catch (error) {
    document.body.append(el("p", { class: "failure" }, `This report can't be shown: ${error instanceof Error ? error.message : String(error)}. It needs a browser of 2023 or newer, and a file that was not changed or cut off.`));
    throw error;
  }
}

void start();
