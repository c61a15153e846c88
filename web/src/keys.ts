// The keyboard.

import { type ColourBy } from "./colours";
import { type App } from "./main";
import { type Tab } from "./state";

export const TABS: [Tab, string][] = [["graph", "Flame graph"], ["functions", "Functions"], ["callers", "Callers & callees"], ["source", "Source"]];
export const COLOURINGS: [ColourBy, string][] = [["module", "module"], ["kind", "kind of code"], ["state", "state"]];

/** Takes away what narrows the view, one thing at a time. */
function escape(app: App): void {
  const { state, flame } = app;
  if (state.search) app.update({ search: "" });
  else if (state.range) app.update({ range: null });
  else if (state.hidden.length || state.focus.length) app.update({ hidden: [], focus: [] });
  else if (state.window[0] > 0 || state.window[1] < 1) flame.zoomTo(null);
  else {
    flame.choose(null);
    app.update({ func: -1 });
  }
}

/** What a key does anywhere on the page. The canvases, the table and the timeline have keys of their own. */
export function pressed(app: App, event: KeyboardEvent): void {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const target = event.target as HTMLElement;
  if (target === app.box) {
    if (event.key === "Escape") {
      app.update({ search: "" });
      app.box.blur();
    } else if (event.key === "Enter") app.focusMain();
    return;
  }
  if (app.help.element.open || target instanceof HTMLSelectElement) {
    if (event.key === "?") app.help.toggle();
    return;
  }
  const { state, profile } = app;
  const cycle = <T>(values: readonly T[], now: T, by = 1): T => values[(values.indexOf(now) + by + values.length) % values.length]!;
  const threads = [-1, ...(profile.threads.length > 1 ? [-2] : []), ...profile.threads.keys()];
  const withModule = (what: "hidden" | "focus"): void => {
    const func = profile.functions[state.func];
    if (func) app.toggle(what, func.package);
  };
  const actions: Record<string, () => void> = {
    "?": () => app.help.toggle(),
    "/": () => app.box.select(),
    t: () => app.update({ thread: cycle(threads, state.thread), window: [0, 1] }),
    T: () => app.update({ thread: cycle(threads, state.thread, -1), window: [0, 1] }),
    o: () => profile.facts.timed && app.update({ order: state.order === "time" ? "weight" : "time" }),
    r: () => app.update({ bottom: !state.bottom }),
    c: () => app.update({ colour: cycle(COLOURINGS.map(([by]) => by).filter((by) => by !== "state" || profile.samples.state), state.colour) }),
    m: () => profile.samples.cpu && app.update({ cpu: !state.cpu, window: [0, 1] }),
    h: () => withModule("hidden"),
    f: () => withModule("focus"),
    l: () => app.cycleTheme(),
    Escape: () => escape(app),
  };
  TABS.forEach(([tab], index) => (actions[String(index + 1)] = () => {
    app.update({ tab });
    requestAnimationFrame(() => requestAnimationFrame(() => app.focusMain()));
  }));
  if (state.tab === "graph" && /^Arrow|^[wasd]$/.test(event.key) && target === document.body) {
    app.flame.canvas.focus();
    app.flame.canvas.dispatchEvent(new KeyboardEvent("keydown", { key: event.key }));
    event.preventDefault();
    return;
  }
  const action = actions[event.key];
  if (!action) return;
  action();
  event.preventDefault();
}
