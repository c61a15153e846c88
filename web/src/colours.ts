// Colours of boxes: by module, by kind of code, or by what the thread was doing. Told apart by the colour-blind, and
// each with text on it that can be read, light and dark.

import { MARK, NATIVE, SUSPENDED, type Profile } from "./model";
import { type Box, MERGED } from "./boxes";

export type ColourBy = "module" | "kind" | "state";

export interface Theme {
  dark: boolean;
  background: string;
  text: string;
  muted: string;
  line: string;
  accent: string;
  mark: string;
  thread: string;
  other: string;
  hit: string;
  hitText: string;
  dim: string;
}

const LIGHT: Theme = {
  dark: false, background: "#ffffff", text: "#1b1f24", muted: "#667080", line: "#d9dee5", accent: "#0b63c5",
  mark: "#d5d8dd", thread: "#e4e8ee", other: "#d9d3c5", hit: "#c2257f", hitText: "#ffffff", dim: "#eceef1",
};
const DARK: Theme = {
  dark: true, background: "#15181d", text: "#e4e7eb", muted: "#98a2b0", line: "#333a44", accent: "#6aabff",
  mark: "#454b54", thread: "#2a3039", other: "#57503f", hit: "#f06fb4", hitText: "#1b0f16", dim: "#23272e",
};

export function theme(dark: boolean): Theme {
  return dark ? DARK : LIGHT;
}

// Hue, saturation, lightness on white; the packages with the most time get them in this order.
const HUES: [number, number, number][] = [
  [29, 86, 66], [206, 62, 68], [138, 40, 66], [48, 80, 60], [278, 48, 76], [4, 78, 74], [173, 44, 62],
  [84, 44, 60], [226, 70, 79], [328, 58, 78], [36, 36, 64], [190, 52, 58],
];
const KINDS: [string, number, [number, number, number]][] = [
  ["Python", 1, [206, 62, 68]],
  ["native", NATIVE, [29, 86, 66]],
  ["awaiting (coroutine)", SUSPENDED, [278, 48, 76]],
];
const STATES: [number, number, number][] = [
  [138, 40, 66], [4, 78, 74], [278, 48, 76], [206, 62, 68], [226, 40, 82], [190, 40, 66], [48, 60, 66], [210, 16, 80], [29, 86, 66],
  [328, 58, 78],
];

function shade([hue, saturation, lightness]: [number, number, number], variation: number, dark: boolean): string {
  const l = (dark ? 38 + (lightness - 66) * 0.3 + variation * 4 : lightness + variation * 5) / 100;
  const s = (dark ? saturation * 0.66 : saturation) / 100;
  const channel = (n: number): string => {
    const k = (n + hue / 30) % 12;
    const value = l - s * Math.min(l, 1 - l) * Math.max(-1, Math.min(k - 3, 9 - k, 1));
    return Math.round(255 * value).toString(16).padStart(2, "0");
  };
  return `#${channel(0)}${channel(8)}${channel(4)}`;
}

/** A number from -1 to 1 that depends on the name alone: neighbours can be told apart. */
function variation(name: string): number {
  let hash = 2166136261;
  for (let i = 0; i < name.length; i++) hash = Math.imul(hash ^ name.charCodeAt(i), 16777619);
  return (((hash >>> 8) & 7) - 3.5) / 3.5;
}

export interface Key {
  name: string;
  colour: string;
}

export class Colours {
  readonly theme: Theme;
  private readonly fills: string[];
  private states: Uint8Array | null = null;
  private readonly stateFills: string[];
  readonly legend: Key[] = [];
  private readonly packages: Map<string, string>;

  /** *packages*: by own time, the largest first. */
  constructor(private readonly profile: Profile, readonly by: ColourBy, dark: boolean, packages: string[]) {
    this.theme = theme(dark);
    const hues = new Map(packages.filter((name) => name !== "[marks]").slice(0, HUES.length).map((name, i) => [name, HUES[i]!]));
    this.packages = new Map([...hues].map(([name, hue]) => [name, shade(hue, 0, dark)]));
    this.fills = profile.functions.map((func) => {
      if (func.kind === MARK) return this.theme.mark;
      const hue = by === "kind" ? KINDS.find(([, kind]) => kind === func.kind)?.[2] : hues.get(func.package);
      return hue ? shade(hue, variation(func.name), dark) : this.theme.other;
    });
    this.stateFills = profile.states.map((_, index) => shade(STATES[index % STATES.length]!, 0, dark));
    if (by === "kind") {
      const used = new Set(profile.functions.map((func) => func.kind));
      for (const [name, kind, hue] of KINDS) if (used.has(kind)) this.legend.push({ name, colour: shade(hue, 0, dark) });
      this.legend.push({ name: "marks, losses", colour: this.theme.mark });
    } else if (by === "state") {
      const used = new Set(profile.samples.state ?? []);
      this.legend = profile.states.map((name, i) => ({ name, colour: this.stateFills[i]! })).filter((_, i) => used.has(i));
    }
  }

  /** Colour of a package, in the list of modules. */
  ofPackage(name: string): string {
    if (this.by !== "module") return "transparent";
    return this.packages.get(name) ?? (name === "[marks]" ? this.theme.mark : this.theme.other);
  }

  set nodeStates(states: Uint8Array | null) {
    this.states = states;
  }

  fill(box: Box): string {
    if (box.key === MERGED) return this.theme.mark;
    if (box.key < 0) return this.theme.thread;
    if (this.by === "state" && this.states && this.profile.functions[box.key]!.kind !== MARK) {
      return this.stateFills[this.states[box.node]!]!;
    }
    return this.fills[box.key]!;
  }
}
