// Making elements. Text is only ever set as text: nothing of a profile becomes markup.

type Child = Node | string | null | undefined | false;
type Properties = Record<string, string | number | boolean | EventListener | ((event: never) => void) | undefined>;

/** An element: properties that begin with "on" are listeners, "class" is the class, all others are attributes. */
export function el<K extends keyof HTMLElementTagNameMap>(
  tag: K, properties: Properties = {}, ...children: Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === false) continue;
    if (typeof value === "function") element.addEventListener(name.slice(2), value as EventListener);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  for (const child of children) if (child) element.append(child);
  return element;
}

export function choice(
  label: string, options: [string, string][], value: string, change: (value: string) => void,
): { element: HTMLElement; set(value: string): void } {
  const select = el("select", { "aria-label": label, title: label, onchange: () => change(select.value) });
  for (const [id, text] of options) select.append(el("option", { value: id }, text));
  select.value = value;
  return { element: el("label", { class: "choice" }, el("span", {}, label), select), set: (next) => void (select.value = next) };
}

/** Sizes a canvas to its element; the context draws in CSS pixels. */
export function fit(canvas: HTMLCanvasElement): CanvasRenderingContext2D {
  const ratio = window.devicePixelRatio || 1;
  const width = Math.max(1, Math.round(canvas.clientWidth * ratio));
  const height = Math.max(1, Math.round(canvas.clientHeight * ratio));
  if (canvas.width !== width || canvas.height !== height) {
    canvas.width = width;
    canvas.height = height;
  }
  const context = canvas.getContext("2d", { alpha: false })!;
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  return context;
}

/** Calls at most once a frame. */
export function oncePerFrame(call: () => void): () => void {
  let asked = false;
  return () => {
    if (asked) return;
    asked = true;
    requestAnimationFrame(() => {
      asked = false;
      call();
    });
  };
}
