// Source text with the time of each line.

import { el } from "./dom";
import { duration, percent } from "./format";
import { type Profile } from "./model";
import { rowsOf, weightsOf, type View } from "./view";

interface LineSums {
  own: Map<number, number>;
  total: Map<number, number>;
}

/** By line of a file the time that it ran itself, and the time that it or what it called did. */
export function lineSums(view: View, file: string): LineSums {
  const { profile, choice } = view;
  const { nodeParent, nodeFrame, frameFunction, frameLine, functions, treeOf, samples } = profile;
  const size = nodeParent.length;
  const weight = new Float64Array(size);
  const weights = weightsOf(profile, choice);
  const threads = choice.thread >= 0 ? [choice.thread] : profile.threads.map((_, index) => index);
  for (const thread of threads) {
    for (const row of rowsOf(profile, choice, thread)) {
      const node = samples.node[row]!;
      if (!view.inFocus || view.inFocus[treeOf[node]!]) weight[node]! += weights[row]!;
    }
  }
  const lines = new Int32Array(frameLine.length); // by frame its line, if it is of this file
  for (let frame = 0; frame < lines.length; frame++) {
    if (functions[frameFunction[frame]!]!.file === file) lines[frame] = frameLine[frame]!;
  }
  const own = new Map<number, number>();
  const total = new Map<number, number>();
  const sum = weight.slice();
  for (let node = size - 1; node > 0; node--) sum[nodeParent[node]!]! += sum[node]!;
  for (let node = 1; node < size; node++) {
    const line = lines[nodeFrame[node]!]!;
    if (!line || !(sum[node]! > 0)) continue;
    if (weight[node]) own.set(line, (own.get(line) ?? 0) + weight[node]!);
    // In recursion a line counts where it is met first.
    let above = nodeParent[node]!;
    while (above && lines[nodeFrame[above]!] !== line) above = nodeParent[above]!;
    if (!above) total.set(line, (total.get(line) ?? 0) + sum[node]!);
  }
  return { own, total };
}

const WORDS = /("""|'''|"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|#.*|\b(?:False|None|True|and|as|assert|async|await|break|case|class|continue|def|del|elif|else|except|finally|for|from|global|if|import|in|is|lambda|match|nonlocal|not|or|pass|raise|return|try|while|with|yield)\b|\b\d[\w.]*)/g;

/** Marks strings, comments, keywords and numbers of Python, line after line: hints, nothing more. */
class Highlighter {
  private open = ""; // the quotes of a string that goes on

  constructor(private readonly python: boolean) {}

  line(text: string): (Node | string)[] {
    if (!this.python) return [text];
    const result: (Node | string)[] = [];
    let done = 0;
    if (this.open) {
      const end = text.indexOf(this.open);
      done = end < 0 ? text.length : end + 3;
      result.push(el("span", { class: "s" }, text.slice(0, done)));
      if (end < 0) return result;
      this.open = "";
    }
    WORDS.lastIndex = done;
    for (let found = WORDS.exec(text); found; found = WORDS.exec(text)) {
      let word = found[0];
      result.push(text.slice(done, found.index));
      if (word === '"""' || word === "'''") {
        const end = text.indexOf(word, found.index + 3);
        if (end < 0) this.open = word;
        word = text.slice(found.index, end < 0 ? text.length : end + 3);
      }
      const kind = word[0] === "#" ? "c" : word[0] === '"' || word[0] === "'" ? "s" : /\d/.test(word[0]!) ? "n" : "k";
      result.push(el("span", { class: kind }, word));
      done = WORDS.lastIndex = found.index + word.length;
    }
    result.push(text.slice(done));
    return result;
  }
}

export class Source {
  readonly element = el("div", { class: "source" });
  private shownFile = "";

  constructor(private readonly profile: Profile, private readonly select: (func: number) => void, private readonly openFile: (file: string) => void) {}

  /** The file of a function, scrolled to it; without a function: files to choose from. */
  show(view: View, func: number): void {
    const chosen = this.profile.functions[func];
    const own = view.tree.sums(this.profile.functions.length).own;
    if (!chosen) {
      this.shownFile = "";
      this.element.replaceChildren(this.files(own, view.tree.total[0]!));
      return;
    }
    const scroll = this.shownFile === chosen.file ? this.element.querySelector(".code")?.scrollTop : undefined;
    this.shownFile = chosen.file;
    const whole = view.tree.total[0]!;
    const heading = el("div", { class: "heading" },
      el("button", { type: "button", onclick: () => this.select(-1) }, "\u2190 all files"),
      el("strong", {}, chosen.name), el("span", { class: "path" }, chosen.file ? `${chosen.file}${chosen.line ? `:${chosen.line}` : ""}` : "no file"));
    const entry = this.profile.sources.get(chosen.file);
    const parts: (Node | null)[] = [heading];
    if (entry?.changed) {
      parts.push(el("p", { class: "warning" }, "This file was changed after the profile was taken: lines may not be where they were."));
    }
    const sums = lineSums(view, chosen.file);
    if (entry?.parts) parts.push(this.code(entry.parts, sums, whole, chosen.line, chosen.file));
    else {
      const why = !chosen.file ? "This is no function of a file." : `No source text: ${entry?.missing ?? "the file has no samples with lines"}.`;
      parts.push(el("p", { class: "warning" }, why), this.bare(sums, whole));
    }
    this.element.replaceChildren(...parts.filter((part): part is Node => !!part));
    const code = this.element.querySelector<HTMLElement>(".code");
    if (!code) return;
    const target = code.querySelector<HTMLElement>(".target");
    if (scroll !== undefined && !target) code.scrollTop = scroll;
    else if (target) code.scrollTop = target.offsetTop - 40;
  }

  private files(own: Float64Array, whole: number): HTMLElement {
    const sums = new Map<string, number>();
    for (const func of this.profile.functions) if (func.file) sums.set(func.file, (sums.get(func.file) ?? 0) + own[func.id]!);
    const list = el("div", { class: "files" }, el("p", { class: "muted" }, "Choose a function in the graph or in the table, or a file:"));
    for (const [file, sum] of [...sums].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1)).slice(0, 200)) {
      const known = this.profile.sources.get(file);
      list.append(el("button", { type: "button", class: "file", onclick: () => this.openFile(file) },
        el("span", { class: "time" }, sum ? duration(sum) : "\u2013"), el("span", { class: "share" }, sum ? percent(sum, whole) : ""),
        el("span", { class: "path" }, file), el("span", { class: "muted" }, known?.parts ? "" : "no source text")));
    }
    return list;
  }

  private code(parts: [number, string][], sums: LineSums, whole: number, begins: number, file: string): HTMLElement {
    const python = !/\.(c|h|cc|hh|cpp|hpp|cxx|hxx|rs|go|f90)$/i.test(file);
    const grid = el("div", { class: "code", tabindex: 0, "aria-label": `Source of ${file}` });
    grid.append(el("div", { class: "line head" }, el("span", { class: "own" }, "Self"), el("span", { class: "total" }, "Total"), el("span", { class: "number" }, "Line"), el("span", { class: "text" }, "")));
    const most = Math.max(...sums.own.values(), 1);
    parts.forEach(([first, text], index) => {
      if (index || first > 1) grid.append(el("div", { class: "gap" }, "\u22ef"));
      const highlighter = new Highlighter(python);
      text.split("\n").forEach((content, offset) => {
        const number = first + offset;
        const own = sums.own.get(number) ?? 0;
        const total = sums.total.get(number) ?? 0;
        const marks = [own === most && own > 0 ? "hottest" : "", number === begins ? "target" : ""].join(" ");
        const line = el("div", { class: `line ${marks}`, "data-line": number },
          el("span", { class: "own", title: own ? percent(own, whole) : "" }, own ? duration(own) : ""),
          el("span", { class: "total", title: total ? percent(total, whole) : "" }, total ? duration(total) : ""),
          el("span", { class: "number" }, String(number)), el("span", { class: "text" }, ...highlighter.line(content)));
        if (own || total) line.style.setProperty("--heat", String(Math.max(own ? 0.06 + 0.5 * Math.sqrt(own / most) : 0, 0.035)));
        grid.append(line);
      });
    });
    return grid;
  }

  private bare(sums: LineSums, whole: number): HTMLElement {
    const grid = el("div", { class: "code" });
    for (const [line, total] of [...sums.total].sort((a, b) => a[0] - b[0])) {
      grid.append(el("div", { class: "line", "data-line": line },
        el("span", { class: "own" }, sums.own.get(line) ? duration(sums.own.get(line)!) : ""), el("span", { class: "total" }, duration(total)),
        el("span", { class: "number" }, String(line)), el("span", { class: "text muted" }, percent(total, whole))));
    }
    return grid;
  }
}
