// The flame graph on a canvas: a window on boxes that is moved, zoomed, searched and pointed at.

import { MERGED, type Box, type Boxes } from "./boxes";
import { el, fit, oncePerFrame } from "./dom";
import { Pixels } from "./pixels";

export const ROW = 19;
const FONT = '11.5px ui-monospace, "SF Mono", "Cascadia Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace';
const THINNEST = 1.4; // pixels; thinner boxes are merged

export interface Look {
  fill(box: Box): string;
  text(box: Box): string;
  name(key: number): string;
  /** 0: no search, 1: a match, 2: none. */
  match(key: number): number;
  background: string;
  dim: string;
  hit: string;
  hitText: string;
  outline: string;
}

export interface Events {
  point(box: Box | null, x: number, y: number): void;
  select(box: Box | null): void;
  moved(window: [number, number]): void;
  open(box: Box): void;
}

export class Flame {
  readonly element: HTMLElement;
  readonly canvas: HTMLCanvasElement;
  private boxes: Boxes | null = null;
  private drawn: Box[] = [];
  private from = 0;
  private to = 1;
  private scroll = 0;
  private upward = false; // root at the bottom
  private pointed: Box | null = null;
  selected: Box | null = null;
  /** Figures for tests and benchmarks: how long the last picture took (ms), and how many there were. */
  readonly drawing = { ms: 0, frames: 0 };
  private characterWidth = 7;
  private readonly pixels = new Pixels();
  private readonly draw = oncePerFrame(() => this.drawNow());
  private animation = 0;

  constructor(label: string, private look: Look, private readonly events: Events) {
    this.canvas = el("canvas", { tabindex: 0, role: "img", "aria-label": label });
    this.element = el("div", { class: "flame" }, this.canvas);
    new ResizeObserver(() => this.draw()).observe(this.canvas);
    this.listen();
  }

  /** Shows other boxes; the window stays where it is in shares of the whole. */
  show(boxes: Boxes, look: Look): void {
    this.boxes = boxes;
    this.look = look;
    this.pointed = this.selected = null;
    this.draw();
  }

  restyle(look: Look): void {
    this.look = look;
    this.draw();
  }

  rootAtBottomIf(value: boolean): void {
    if (value === this.upward) return;
    this.upward = value;
    this.scroll = 0;
    this.draw();
  }

  /** The window, in shares of the whole. */
  get window(): [number, number] {
    return [this.from, this.to];
  }

  set window([from, to]: [number, number]) {
    cancelAnimationFrame(this.animation);
    this.place(from, to);
  }

  get shown(): readonly Box[] {
    return this.drawn;
  }

  private place(from: number, to: number): void {
    const span = Math.min(Math.max(to - from, 1e-9), 1);
    this.from = Math.min(Math.max(from, 0), 1 - span);
    this.to = this.from + span;
    this.draw();
  }

  /** Moves the window smoothly. */
  private glide(from: number, to: number): void {
    cancelAnimationFrame(this.animation);
    const done = (): void => this.events.moved(this.window);
    if (matchMedia("(prefers-reduced-motion: reduce)").matches) {
      this.place(from, to);
      return done();
    }
    const [fromBefore, toBefore] = this.window;
    const begin = performance.now();
    const step = (now: number): void => {
      const t = Math.min(1, Math.max(0, now - begin) / 160);
      const ease = t * (2 - t);
      this.place(fromBefore + (from - fromBefore) * ease, toBefore + (to - toBefore) * ease);
      if (t < 1) this.animation = requestAnimationFrame(step);
      else done();
    };
    this.animation = requestAnimationFrame(step);
  }

  zoomTo(box: Box | null): void {
    if (!this.boxes) return;
    if (!box || box.depth === 0) return this.glide(0, 1);
    const whole = this.boxes.whole(box);
    this.glide(whole.start / this.boxes.total, whole.end / this.boxes.total);
  }

  zoomBy(factor: number, center = (this.from + this.to) / 2): void {
    this.place(center - (center - this.from) * factor, center + (this.to - center) * factor);
    this.events.moved(this.window);
  }

  panBy(share: number): void {
    const shift = share * (this.to - this.from);
    this.place(this.from + shift, this.to + shift);
    this.events.moved(this.window);
  }

  scrollBy(rows: number): void {
    this.scrollPixels(rows * ROW);
  }

  private scrollPixels(pixels: number): void {
    const room = Math.max(0, (this.boxes?.depth ?? 0) * ROW - this.canvas.clientHeight + 4);
    this.scroll = Math.min(Math.max(this.scroll + (this.upward ? -pixels : pixels), 0), room);
    this.draw();
  }

  /** Whether the wheel has somewhere to go within the graph. */
  private scrolls(): boolean {
    return (this.boxes?.depth ?? 0) * ROW > this.canvas.clientHeight;
  }

  private top(depth: number): number {
    const y = depth * ROW - this.scroll;
    return this.upward ? this.canvas.clientHeight - y - ROW : y;
  }

  drawNow(): void {
    const { boxes, look } = this;
    const width = this.canvas.clientWidth;
    const height = this.canvas.clientHeight;
    if (!boxes || !width || !height) return;
    const began = performance.now();
    const context = fit(this.canvas);
    const from = this.from * boxes.total;
    const span = (this.to - this.from) * boxes.total;
    const scale = width / span;
    this.drawn = boxes.visible(from, from + span, THINNEST / scale);
    context.font = FONT;
    context.textBaseline = "middle";
    this.characterWidth = context.measureText("0").width;
    let style = "";
    const texts: [Box, number, number, number][] = [];
    const wide: [string, number, number, number][] = [];
    const pixels = this.pixels.begin(context, look.background);
    for (const box of this.drawn) {
      const y = this.top(box.depth);
      if (y <= -ROW || y >= height) continue;
      const left = Math.max((box.start - from) * scale, 0);
      const right = Math.min((box.end - from) * scale, width);
      const room = right - left;
      const match = box.key === MERGED ? 2 * Math.sign(look.match(-1)) : look.match(box.key);
      const fill = match === 1 ? look.hit : match === 2 ? look.dim : look.fill(box);
      if (room < 6) pixels.fill(left, y, room - (room > 3 ? 1 : 0), ROW - 1, fill);
      else wide.push([fill, left, y, room - 1]);
      if (room > 24 && box.key !== MERGED) texts.push([box, left, room, y]);
    }
    pixels.end();
    for (const [fill, left, y, room] of wide) {
      if (fill !== style) context.fillStyle = style = fill;
      context.fillRect(left, y, room, ROW - 1);
    }
    style = "";
    for (const [box, left, room, y] of texts) {
      const match = look.match(box.key);
      const colour = match === 1 ? look.hitText : look.text(box);
      if (colour !== style) context.fillStyle = style = colour;
      const shown = this.fitted(context, look.name(box.key), room - 7);
      if (shown) context.fillText(shown, left + 4, y + ROW / 2);
    }
    for (const [box, wide] of [[this.pointed, 1], [this.selected, 2]] as const) {
      if (!box) continue;
      const left = Math.max((box.start - from) * scale, 0) + wide / 2;
      const right = Math.min((box.end - from) * scale, width) - wide / 2;
      if (right < 0 || left > width) continue;
      context.strokeStyle = look.outline;
      context.lineWidth = wide;
      context.strokeRect(left, this.top(box.depth) + wide / 2, Math.max(right - left - 1, 1), ROW - 1 - wide);
    }
    this.drawing.ms = performance.now() - began;
    this.drawing.frames++;
  }

  /** A name cut to its room. */
  private fitted(context: CanvasRenderingContext2D, name: string, room: number): string {
    const fits = Math.floor(room / this.characterWidth);
    const plain = /^[\x20-\x7e]*$/.test(name);
    if (plain ? name.length <= fits : context.measureText(name).width <= room) return name;
    if (fits < 3) return "";
    let shown = [...name].slice(0, fits - 1).join("") + "\u2026";
    while (!plain && shown.length > 2 && context.measureText(shown).width > room) shown = [...shown].slice(0, -2).join("") + "\u2026";
    return shown;
  }

  /** The box at a place of the canvas. */
  boxAt(x: number, y: number): Box | null {
    const { boxes } = this;
    if (!boxes) return null;
    const down = this.upward ? this.canvas.clientHeight - y : y;
    const depth = Math.floor((down + this.scroll) / ROW);
    const place = (this.from + (x / this.canvas.clientWidth) * (this.to - this.from)) * boxes.total;
    return this.drawn.find((box) => box.depth === depth && box.start <= place && place < box.end) ?? null;
  }

  choose(box: Box | null): void {
    this.selected = box && this.boxes ? this.boxes.whole(box) : null;
    if (this.selected) this.reveal(this.selected);
    this.events.select(this.selected);
    this.draw();
  }

  private reveal(box: Box): void {
    const y = this.top(box.depth);
    const over = y < 0 ? y : y > this.canvas.clientHeight - ROW ? y - this.canvas.clientHeight + ROW : 0;
    if (over) this.scrollPixels(over);
  }

  /** From the selected box to a neighbour: its parent, its heaviest child, or the next one on its row. */
  step(direction: "parent" | "child" | "left" | "right"): void {
    const from = this.selected;
    const all = this.drawn.filter((box) => box.key !== MERGED);
    if (!from) return this.choose(all[0] ?? null);
    const middle = (Math.max(from.start, this.from * this.boxes!.total) + Math.min(from.end, this.to * this.boxes!.total)) / 2;
    let found: Box | undefined;
    if (direction === "parent") found = all.find((box) => box.depth === from.depth - 1 && box.start <= middle && middle < box.end);
    else if (direction === "child") {
      for (const box of all) {
        const inside = box.depth === from.depth + 1 && box.start >= from.start - 1e-6 * from.start && box.start < from.end;
        if (inside && (!found || box.end - box.start > found.end - found.start)) found = box;
      }
    } else if (direction === "left") {
      for (const box of all) if (box.depth === from.depth && box.start < from.start && (!found || box.start > found.start)) found = box;
    } else {
      for (const box of all) if (box.depth === from.depth && box.start > from.start && (!found || box.start < found.start)) found = box;
    }
    if (found) this.choose(found);
  }

  private listen(): void {
    const { canvas } = this;
    let drag: { x: number; y: number; from: number; moved: boolean; scroll: number } | null = null;
    canvas.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      cancelAnimationFrame(this.animation);
      drag = { x: event.offsetX, y: event.offsetY, from: this.from, moved: false, scroll: this.scroll };
      canvas.setPointerCapture(event.pointerId);
    });
    canvas.addEventListener("pointermove", (event) => {
      if (drag) {
        const dx = event.offsetX - drag.x;
        const dy = event.offsetY - drag.y;
        if (!drag.moved && Math.hypot(dx, dy) < 4) return;
        drag.moved = true;
        canvas.classList.add("dragged");
        this.point(null, event);
        const shift = (-dx / canvas.clientWidth) * (this.to - this.from);
        this.place(drag.from + shift, drag.from + shift + (this.to - this.from));
        this.scroll = drag.scroll;
        this.scrollPixels(-dy);
        return;
      }
      this.point(this.boxAt(event.offsetX, event.offsetY), event);
    });
    canvas.addEventListener("pointerup", (event) => {
      canvas.classList.remove("dragged");
      const was = drag;
      drag = null;
      if (!was) return;
      if (was.moved) return this.events.moved(this.window);
      const box = this.boxAt(event.offsetX, event.offsetY);
      if (!box) return this.choose(null);
      if (box.key !== MERGED) this.choose(box);
      this.zoomTo(box);
    });
    canvas.addEventListener("pointercancel", () => {
      drag = null;
      canvas.classList.remove("dragged");
    });
    canvas.addEventListener("dblclick", (event) => {
      const box = this.selected ?? this.boxAt(event.offsetX, event.offsetY);
      if (box && box.key >= 0) this.events.open(box);
    });
    canvas.addEventListener("pointerleave", (event) => this.point(null, event));
    canvas.addEventListener("wheel", (event) => {
      const unit = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? ROW : 1;
      if (event.ctrlKey || event.metaKey || (!this.scrolls() && !event.shiftKey && !event.deltaX)) {
        const center = this.from + (event.offsetX / canvas.clientWidth) * (this.to - this.from);
        this.zoomBy(Math.exp((event.deltaY * unit) / 400), center);
      } else if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
        this.panBy(((event.deltaX || event.deltaY) * unit) / canvas.clientWidth);
      } else this.scrollPixels(event.deltaY * unit);
      event.preventDefault();
    }, { passive: false });
    canvas.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const upward = this.upward;
      const actions: Record<string, () => void> = {
        ArrowUp: () => this.step(upward ? "child" : "parent"),
        ArrowDown: () => this.step(upward ? "parent" : "child"),
        ArrowLeft: () => this.step("left"),
        ArrowRight: () => this.step("right"),
        Enter: () => this.zoomTo(this.selected),
        Backspace: () => this.glide(0, 1),
        Home: () => this.glide(0, 1),
        a: () => this.panBy(-0.15),
        d: () => this.panBy(0.15),
        w: () => this.zoomBy(1 / 1.3),
        s: () => this.zoomBy(1.3),
        PageUp: () => this.scrollBy(-10),
        PageDown: () => this.scrollBy(10),
      };
      const action = actions[event.key];
      if (!action) return;
      action();
      event.preventDefault();
      event.stopPropagation();
    });
  }

  private point(box: Box | null, event: PointerEvent): void {
    const changed = box !== this.pointed && !(box && this.pointed && box.node === this.pointed.node && box.start === this.pointed.start);
    this.pointed = box;
    this.canvas.classList.toggle("pointed", !!box);
    this.events.point(box, event.clientX, event.clientY);
    if (changed) this.draw();
  }
}
