// The profile as the page holds it: columns, tables and names, made once from what is embedded in the file.

import { unpacked } from "./unpack";

export const MARK = 0;
export const NATIVE = 2;
export const SUSPENDED = 3;

export interface Facts {
  program: string; mode: string; measure: string; spprof: string; python: string; platform: string;
  start: number; duration_ns: number; interval_ns: number; cpu_ns: number;
  samples: number; dropped: number; invalid: number; timed: boolean;
}

export interface ThreadFacts {
  name: string; samples: number; cpu_ns: number; time_ns: number; dropped_ns: number; unsampled_ns: number;
  start_ns: number; end_ns: number | null;
}

export interface SourceFile {
  file: string;
  parts?: [number, string][];
  missing?: string;
  changed?: boolean;
}

interface Head {
  facts: Facts;
  threads: ThreadFacts[];
  texts: string[];
  functions: { name: number[]; file: number[]; module: number[]; line: number[]; kind: number[] };
  states: [string, string][];
  sources: SourceFile[];
  columns: Record<string, string>;
}

export interface Func {
  id: number;
  name: string;
  file: string;
  module: string;
  package: string; // what it is coloured by
  line: number;
  kind: number;
}

export interface Profile {
  facts: Facts;
  threads: ThreadFacts[];
  functions: Func[];
  states: string[];
  sources: Map<string, SourceFile>;
  frameFunction: Int32Array;
  frameLine: Int32Array;
  /** The tree of frames (functions at lines); node 0 is the root. Parents have smaller numbers than their children. */
  nodeParent: Int32Array;
  nodeFrame: Int32Array;
  /** The tree of functions that it makes when lines are merged, and by node of the first one that of this one. */
  treeParent: Int32Array;
  treeFunction: Int32Array;
  treeOf: Int32Array;
  samples: {
    count: number;
    time: Float64Array;
    weight: Float64Array;
    node: Int32Array; // of the tree of frames
    thread: Int32Array;
    number: Int32Array; // of samples that it stands for; 0: a loss
    state: Uint8Array | null;
    cpu: Float64Array | null;
  };
  /** By thread its samples in the order of time. */
  byThread: Int32Array[];
}

const HIDDEN = /[\u0000-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]/gu;

/** A name for showing: characters that can't be seen, or that turn others around, are spelled out. */
export function clean(text: string): string {
  return text.replace(HIDDEN, (c) => "\\u" + c.charCodeAt(0).toString(16).padStart(4, "0"));
}

function functionsOf(head: Head): Func[] {
  const texts = head.texts.map(clean);
  const { name, file, module, line, kind } = head.functions;
  return name.map((_, id) => {
    const mod = texts[module[id]!]!;
    const path = texts[file[id]!]!;
    const dot = kind[id] === NATIVE ? -1 : mod.indexOf("."); // of native code it is the name of a library
    const folder = path.split("/").slice(-2, -1)[0]; // where no module is known, as in other profilers' files
    const fallback = kind[id] === MARK ? "[marks]" : folder ? `${folder}/` : kind[id] === NATIVE ? "[native]" : "[no module]";
    return {
      id, name: texts[name[id]!]! || "(no name)", file: path, module: mod, line: line[id]!, kind: kind[id]!,
      package: mod ? (dot < 0 ? mod : mod.slice(0, dot)) : fallback,
    };
  });
}

/** Hash table from (parent, key) to a child's number, for growing trees. */
export class Children {
  private mask: number;
  private slots: Int32Array;
  parent: Int32Array;
  key: Int32Array;
  size = 1; // node 0 is the root

  constructor(expected: number) {
    let capacity = 1024;
    while (capacity < expected * 2) capacity *= 2;
    this.mask = capacity - 1;
    this.slots = new Int32Array(capacity);
    this.parent = new Int32Array(capacity / 2);
    this.key = new Int32Array(capacity / 2);
    this.key[0] = -1;
  }

  /** The child of *parent* with *key*; made if it is not there. */
  child(parent: number, key: number): number {
    let slot = (Math.imul(parent, 0x9e3779b1) ^ Math.imul(key, 0x85ebca6b)) & this.mask;
    slot = (slot ^ (slot >>> 15)) & this.mask;
    for (;;) {
      const node = this.slots[slot]!;
      if (!node) break;
      if (this.parent[node] === parent && this.key[node] === key) return node;
      slot = (slot + 1) & this.mask;
    }
    if (this.size >= this.parent.length) {
      this.grow();
      return this.child(parent, key);
    }
    const made = this.size++;
    this.slots[slot] = made;
    this.parent[made] = parent;
    this.key[made] = key;
    return made;
  }

  private grow(): void {
    const old = this;
    const bigger = new Children(this.parent.length * 2);
    for (let node = 1; node < old.size; node++) bigger.child(old.parent[node]!, old.key[node]!);
    this.mask = bigger.mask;
    this.slots = bigger.slots;
    this.parent = bigger.parent;
    this.key = bigger.key;
  }
}

function byThread(threads: number, thread: Int32Array, time: Float64Array): Int32Array[] {
  const sizes = new Int32Array(threads);
  for (const t of thread) sizes[t]!++;
  const result = Array.from(sizes, (size) => new Int32Array(size));
  sizes.fill(0);
  const last = new Float64Array(threads);
  const unsorted = new Set<number>();
  for (let row = 0; row < thread.length; row++) {
    const t = thread[row]!;
    result[t]![sizes[t]!++] = row;
    if (time[row]! < last[t]!) unsorted.add(t);
    last[t] = time[row]!;
  }
  // Losses come after the samples in the file, and belong among them.
  for (const t of unsorted) result[t]!.sort((a, b) => time[a]! - time[b]! || a - b);
  return result;
}

/** The profile in the page. */
export async function load(text: string): Promise<Profile> {
  const head = JSON.parse(text) as Head;
  const doubles = (name: string): Promise<Float64Array> => unpacked(head.columns[name]!, (count) => new Float64Array(count));
  const ints = (name: string): Promise<Int32Array> => unpacked(head.columns[name]!, (count) => new Int32Array(count));
  const known = (name: string): boolean => name in head.columns;
  const [time, weight, cpu, frameFunction, frameLine, nodeParent, nodeFrame, node, thread, state, number] = await Promise.all([
    doubles("sample_time_us"), doubles("sample_weight"), known("sample_cpu") ? doubles("sample_cpu") : null,
    ints("frame_function"), ints("frame_line"), ints("node_parent"), ints("node_frame"), ints("sample_node"), ints("sample_thread"),
    known("sample_state") ? unpacked(head.columns["sample_state"]!, (count) => new Uint8Array(count)) : null, ints("sample_count"),
  ]);
  for (let row = 0; row < time.length; row++) time[row]! *= 1000;
  const tree = new Children(nodeParent.length);
  const treeOf = new Int32Array(nodeParent.length);
  for (let node = 1; node < nodeParent.length; node++) {
    treeOf[node] = tree.child(treeOf[nodeParent[node]!]!, frameFunction[nodeFrame[node]!]!);
  }
  return {
    facts: { ...head.facts, program: clean(head.facts.program) },
    threads: head.threads.map((each) => ({ ...each, name: clean(each.name) })),
    functions: functionsOf(head),
    states: head.states.map(([state, what]) => (what ? `${state}: ${what}` : state)),
    sources: new Map(head.sources.map((source) => [clean(source.file), source])),
    frameFunction,
    frameLine,
    nodeParent,
    nodeFrame,
    treeParent: tree.parent.subarray(0, tree.size),
    treeFunction: tree.key.subarray(0, tree.size),
    treeOf,
    samples: {
      count: time.length, time, thread, weight, node, number, state, cpu,
    },
    byThread: byThread(head.threads.length, thread, time),
  };
}
