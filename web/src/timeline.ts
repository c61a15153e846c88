// The strip on top: how busy each thread was over time, and the range of time that everything else is about.

import { el, fit, oncePerFrame } from "./dom";
import { duration, instant, roundStep } from "./format";
import { type Profile } from "./model";
import { type Theme } from "./colours";

const LANE = 24;
const AXIS = 18;
const MOST_BINS = 2000;
const MOST_LANES = 200; // a canvas can't be of any height
const GIL_WAIT = 1; // index of spprof.STATES
const FONT = '11px system-ui, "Segoe UI", "DejaVu Sans", sans-serif';

/** By lane and bin: CPU time, or time with the GIL, and time of waiting for the GIL. */
function densities(profile: Profile, lanes: number[], bins: number): { busy: Float64Array; waiting: Float64Array | null } {
  const { samples, facts, byThread } = profile;
  const width = Math.max(facts.duration_ns, 1) / bins;
  const busy = new Float64Array(lanes.length * bins);
  const waiting = samples.state ? new Float64Array(lanes.length * bins) : null;
  const spread = (into: Float64Array, base: number, from: number, to: number, weight: number): void => {
    const first = Math.min(Math.max(Math.floor(from / width), 0), bins - 1);
    const last = Math.min(Math.max(Math.floor(to / width), first), bins - 1);
    for (let bin = first; bin <= last; bin++) into[base + bin]! += weight / (last - first + 1);
  };
  lanes.forEach((thread, lane) => {
    const base = lane * bins;
    for (const row of byThread[thread]!) {
      if (!samples.number[row]) continue;
      const time = samples.time[row]!;
      const weight = samples.weight[row]!;
      const state = samples.state ? samples.state[row]! : 0;
      const cpu = samples.cpu ? samples.cpu[row]! : weight;
      // A sample stands for the time before it; only a sleep for the time from its beginning.
      if (cpu > 0) spread(busy, base, time - Math.max(cpu, Math.min(weight, 1e9)), time, cpu);
      if (waiting && state === GIL_WAIT) spread(waiting, base, time - weight, time, weight);
    }
  });
  return { busy, waiting };
}

export class Timeline {
  readonly element: HTMLElement;
  private readonly canvas: HTMLCanvasElement;
  private readonly note: HTMLElement;
  private readonly clear: HTMLButtonElement;
  private readonly busy: Float64Array;
  private readonly bins: number;
  private readonly lanes: number[]; // the threads shown
  private readonly waiting: Float64Array | null;
  private range: [number, number] | null = null;
  private gutter = 120;
  private thread = -1;
  private dragging = false;
  private readonly draw = oncePerFrame(() => this.drawNow());

  constructor(
    private readonly profile: Profile, private theme: Theme,
    private readonly change: (range: [number, number] | null) => void, private readonly choose: (thread: number) => void,
  ) {
    // With less than a few samples each, bins would show their chance.
    const { duration_ns: end, interval_ns: interval } = profile.facts;
    this.bins = Math.max(1, Math.min(MOST_BINS, Math.floor(end / Math.max(4 * interval, 1))));
    const { threads } = profile;
    const busiest = [...threads.keys()].sort((a, b) => threads[b]!.time_ns - threads[a]!.time_ns || a - b);
    this.lanes = busiest.slice(0, MOST_LANES).sort((a, b) => a - b);
    const found = densities(profile, this.lanes, this.bins);
    this.busy = found.busy;
    this.waiting = found.waiting;
    this.canvas = el("canvas", {
      tabindex: 0, role: "img",
      "aria-label": "CPU time of each thread over time. Left and right move the selected range, with Shift they change its end, Escape clears it.",
    });
    this.canvas.style.height = `${AXIS + LANE * this.lanes.length + 2}px`;
    this.note = el("span", { class: "range" });
    this.clear = el("button", { type: "button", title: "All of the time (Escape)", onclick: () => this.pick(null) }, "\u2715 all of the time");
    const what = profile.facts.mode === "gil" ? "Time with the GIL" : "CPU";
    const whose = this.lanes.length < threads.length ? `the ${MOST_LANES} busiest threads` : "each thread";
    this.element = el("section", { class: "timeline", "aria-label": "Timeline" },
      el("div", { class: "caption" }, el("span", {}, `${what} of ${whose} over time`), this.note, this.clear),
      el("div", { class: "lanes" }, this.canvas));
    new ResizeObserver(() => this.draw()).observe(this.canvas);
    this.listen();
    this.say();
  }

  set(range: [number, number] | null, thread: number, theme: Theme): void {
    if (!this.dragging) this.range = range; // what is shown may be older than what is being dragged
    this.thread = thread;
    this.theme = theme;
    this.say();
    this.draw();
  }

  private say(): void {
    const { range } = this;
    this.note.textContent = range
      ? `${instant(range[0], 1e7)} \u2013 ${instant(range[1], 1e7)}  (${duration(range[1] - range[0])})`
      : "drag to select a range";
    this.note.classList.toggle("on", !!range);
    this.clear.hidden = !range;
  }

  private pick(range: [number, number] | null): void {
    const end = this.profile.facts.duration_ns;
    this.range = range && [Math.max(0, Math.min(range[0], range[1])), Math.min(end + 2, Math.max(range[0], range[1]))];
    this.say();
    this.draw();
    this.change(this.range);
  }

  private x(time: number): number {
    return this.gutter + (time / this.profile.facts.duration_ns) * (this.canvas.clientWidth - this.gutter);
  }

  private time(x: number): number {
    const share = (x - this.gutter) / Math.max(1, this.canvas.clientWidth - this.gutter);
    return Math.min(Math.max(share, 0), 1) * this.profile.facts.duration_ns;
  }

  private drawNow(): void {
    const { canvas, theme, profile } = this;
    const width = canvas.clientWidth;
    const height = canvas.clientHeight;
    if (!width || !height) return;
    this.gutter = Math.min(150, Math.max(70, width * 0.12));
    const context = fit(canvas);
    context.fillStyle = theme.background;
    context.fillRect(0, 0, width, height);
    context.font = FONT;
    context.textBaseline = "middle";
    const end = profile.facts.duration_ns;
    const step = roundStep(end, (width - this.gutter) / 110);
    context.fillStyle = theme.muted;
    for (let at = 0; at <= end; at += step) {
      const x = Math.round(this.x(at));
      context.fillRect(x, AXIS - 5, 1, 5);
      if (x < width - 45) context.fillText(instant(at, step), x + 4, AXIS / 2);
    }
    const { bins } = this;
    const plot = width - this.gutter;
    const binWidth = end / bins;
    this.lanes.forEach((number, index) => {
      const thread = profile.threads[number]!;
      const y = AXIS + index * LANE;
      const chosen = this.thread === number;
      context.fillStyle = chosen ? theme.accent : theme.text;
      context.globalAlpha = this.thread >= 0 && !chosen ? 0.5 : 1;
      let name = thread.name;
      while (name.length > 2 && context.measureText(name).width > this.gutter - 12) name = name.slice(0, -2) + "\u2026";
      context.fillText(name, 4, y + LANE / 2);
      context.fillStyle = theme.line;
      context.fillRect(this.gutter, y + LANE - 1, plot, 1);
      for (const [layer, colour] of [[this.busy, theme.accent], [this.waiting, "#d64545"]] as const) {
        if (!layer) continue;
        context.fillStyle = colour;
        for (let x = 0; x < plot; x++) {
          const first = Math.floor((x / plot) * bins);
          const last = Math.max(first + 1, Math.floor(((x + 1) / plot) * bins));
          let sum = 0;
          for (let bin = first; bin < last; bin++) sum += layer[index * bins + bin]!;
          const share = Math.min(1, sum / (binWidth * (last - first)));
          if (share > 0.004) {
            const tall = Math.max(1, share * (LANE - 5));
            context.fillRect(this.gutter + x, y + LANE - 1 - tall, 1, tall);
          }
        }
      }
      context.globalAlpha = 1;
    });
    if (this.range) {
      const from = this.x(this.range[0]);
      const to = Math.max(this.x(this.range[1]), from + 1);
      context.fillStyle = theme.dark ? "rgba(0,0,0,.55)" : "rgba(255,255,255,.68)";
      context.fillRect(this.gutter, AXIS, from - this.gutter, height);
      context.fillRect(to, AXIS, width - to, height);
      context.fillStyle = theme.accent;
      context.fillRect(from - 1, AXIS - 5, 2, height);
      context.fillRect(to - 1, AXIS - 5, 2, height);
    }
  }

  private listen(): void {
    const { canvas } = this;
    let anchor: number | null = null;
    let drag: { from: number; to: number; at: number } | null = null; // a range that is moved as a whole
    let moved = false;
    canvas.addEventListener("pointerdown", (event) => {
      if (event.button !== 0 || event.offsetX < this.gutter) return;
      canvas.setPointerCapture(event.pointerId);
      moved = false;
      this.dragging = true;
      const at = this.time(event.offsetX);
      const near = (limit: number): boolean => Math.abs(this.x(limit) - event.offsetX) < 6;
      if (this.range && near(this.range[0])) anchor = this.range[1];
      else if (this.range && near(this.range[1])) anchor = this.range[0];
      else if (this.range && at > this.range[0] && at < this.range[1] && !event.shiftKey) drag = { from: this.range[0], to: this.range[1], at };
      else anchor = at;
    });
    const update = oncePerFrame(() => this.change(this.range));
    // Also when the button is let go: moves just before may not have been told.
    const follow = (event: PointerEvent): void => {
      const at = this.time(event.offsetX);
      if (drag) {
        if (!moved && Math.abs(this.x(drag.at) - event.offsetX) < 3) return;
        const span = drag.to - drag.from;
        const from = Math.min(Math.max(drag.from + at - drag.at, 0), Math.max(0, this.profile.facts.duration_ns - span));
        this.range = [from, from + span];
      } else if (anchor !== null) {
        if (!moved && Math.abs(this.x(anchor) - event.offsetX) < 3) return;
        this.range = [Math.min(anchor, at), Math.max(anchor, at)];
      } else {
        const handle = this.range?.some((limit) => Math.abs(this.x(limit) - event.offsetX) < 6);
        canvas.style.cursor = event.offsetX < this.gutter ? "pointer" : handle ? "ew-resize" : "crosshair";
        return;
      }
      moved = true;
      this.say();
      this.draw();
      update();
    };
    canvas.addEventListener("pointermove", follow);
    canvas.addEventListener("pointerup", (event) => {
      if (anchor !== null || drag) follow(event);
      this.dragging = false;
      if (event.offsetX < this.gutter && anchor === null && !drag) {
        const thread = this.lanes[Math.floor((event.offsetY - AXIS) / LANE)];
        if (thread !== undefined) this.choose(thread === this.thread ? -1 : thread);
      }
      if (anchor !== null || drag) {
        if (!moved && this.range) this.pick(null);
        else if (moved) this.pick(this.range);
      }
      anchor = drag = null;
    });
    canvas.addEventListener("pointercancel", () => {
      anchor = drag = null;
      this.dragging = false;
    });
    canvas.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const end = this.profile.facts.duration_ns;
      const [from, to] = this.range ?? [0, end / 10];
      const shift = (event.key === "ArrowLeft" ? -1 : event.key === "ArrowRight" ? 1 : 0) * (end / 100);
      if (event.key === "Escape" && this.range) this.pick(null);
      else if (shift && event.shiftKey) this.pick([from, Math.min(end, Math.max(from + end / 1000, to + shift))]);
      else if (shift) {
        const by = Math.min(Math.max(shift, -from), end - to);
        this.pick(this.range ? [from + by, to + by] : [from, to]);
      } else return;
      event.preventDefault();
      event.stopPropagation();
    });
  }
}
