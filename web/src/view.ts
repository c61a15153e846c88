// What is looked at of a profile: the tree of some samples' stacks, some modules folded away, merged or by thread.

import { Children, type Profile } from "./model";
import { Tree } from "./tree";

/** Which samples, and what of their stacks. */
export interface Choice {
  /** -1: all, in one tree; -2: all, each in a tree of its own. */
  thread: number;
  /** Time from, to (ns); null: all. */
  range: [number, number] | null;
  cpu: boolean; // CPU time instead of elapsed time
  hidden: (func: number) => boolean;
  /** Only stacks with such a function; null: all. */
  focus: ((func: number) => boolean) | null;
  /** Whether `View.rowNode` is wanted. */
  rows: boolean;
}

/** The rows of a choice, thread by thread, in the order of time: [first, end) of rows. */
export function rowsOf(profile: Profile, choice: Choice, thread: number): Int32Array {
  const rows = profile.byThread[thread]!;
  if (!choice.range) return rows;
  const time = profile.samples.time;
  const at = (limit: number): number => {
    let low = 0;
    let high = rows.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (time[rows[middle]!]! < limit) low = middle + 1;
      else high = middle;
    }
    return low;
  };
  return rows.subarray(at(choice.range[0]), at(choice.range[1]));
}

export function weightsOf(profile: Profile, choice: Choice): Float64Array {
  return choice.cpu && profile.samples.cpu ? profile.samples.cpu : profile.samples.weight;
}

function copied<T extends Float64Array | Int32Array>(from: T, into: T): T {
  into.set(from);
  return into;
}

/** What is in the tree of functions for a choice: by node of the profile's tree one of a tree for showing. */
export class View {
  readonly tree: Tree;
  readonly inFocus: Uint8Array | null;
  readonly hiddenFunctions: Uint8Array;
  /** Number of samples in it. */
  samples = 0;
  /** By node of the tree the number of samples that it stands for. */
  readonly counts: Int32Array;
  /** By row the node of the tree that its stack ends in, -1 for rows that are not in it. */
  readonly rowNode: Int32Array | null;

  constructor(readonly profile: Profile, readonly choice: Choice) {
    const { treeParent, treeFunction, functions } = profile;
    const size = treeParent.length;
    this.hiddenFunctions = Uint8Array.from(functions, (each) => (choice.hidden(each.id) ? 1 : 0));
    this.inFocus = choice.focus ? new Uint8Array(size) : null;
    if (this.inFocus) {
      const wanted = functions.map((each) => (choice.focus!(each.id) ? 1 : 0));
      for (let node = 1; node < size; node++) {
        this.inFocus[node] = this.inFocus[treeParent[node]!]! | wanted[treeFunction[node]!]!;
      }
    }
    this.rowNode = choice.rows ? new Int32Array(profile.samples.count).fill(-1) : null;
    const nodes = new Children(choice.range ? 1024 : size);
    let own = new Float64Array(size + profile.threads.length + 2);
    let counts = new Int32Array(own.length);
    const into = new Int32Array(size);
    const stamp = new Int32Array(size).fill(-1);
    const sums = new Float64Array(size);
    const numbers = new Int32Array(size);
    const seen = new Uint8Array(size);
    const path: number[] = [];
    const threads = choice.thread >= 0 ? [choice.thread] : profile.threads.map((_, index) => index);
    const weights = weightsOf(profile, choice);
    const { node: nodeOf, number } = profile.samples;
    let group = 0;
    let leaves: number[] = [];
    const flush = (root: number): void => {
      for (const leaf of leaves) {
        const weight = sums[leaf]!;
        const samples = numbers[leaf]!;
        sums[leaf] = numbers[leaf] = seen[leaf] = 0;
        if (!(weight > 0)) continue;
        let at = leaf;
        while (at && stamp[at] !== group) {
          path.push(at);
          at = treeParent[at]!;
        }
        let target = at ? into[at]! : root;
        while (path.length) {
          const node = path.pop()!;
          const func = treeFunction[node]!;
          if (!this.hiddenFunctions[func]) target = nodes.child(target, func);
          into[node] = target;
          stamp[node] = group;
        }
        if (target >= own.length) {
          own = copied(own, new Float64Array(2 * target));
          counts = copied(counts, new Int32Array(2 * target));
        }
        own[target]! += weight;
        counts[target]! += samples;
      }
      leaves = [];
      group++;
    };
    for (const thread of threads) {
      for (const row of rowsOf(profile, choice, thread)) {
        const leaf = profile.treeOf[nodeOf[row]!]!;
        if (this.inFocus && !this.inFocus[leaf]) continue;
        this.samples += number[row]!;
        if (!seen[leaf]) {
          seen[leaf] = 1;
          leaves.push(leaf);
        }
        sums[leaf]! += weights[row]!;
        numbers[leaf]! += number[row]!;
      }
      if (choice.thread === -2 && leaves.length) {
        const root = nodes.child(0, -2 - thread);
        flush(root);
        this.fillRows(thread, into, root);
      }
    }
    if (leaves.length) flush(0);
    if (choice.thread !== -2) for (const thread of threads) this.fillRows(thread, into, 0);
    if (own.length < nodes.size) {
      own = copied(own, new Float64Array(nodes.size));
      counts = copied(counts, new Int32Array(nodes.size));
    }
    this.tree = new Tree(nodes, own);
    for (let node = nodes.size - 1; node > 0; node--) counts[this.tree.parent[node]!]! += counts[node]!;
    this.counts = counts;
  }

  private fillRows(thread: number, into: Int32Array, root: number): void {
    if (!this.rowNode) return;
    const { profile, choice } = this;
    const weights = weightsOf(profile, choice);
    for (const row of rowsOf(profile, choice, thread)) {
      const leaf = profile.treeOf[profile.samples.node[row]!]!;
      if (weights[row]! > 0 && (!this.inFocus || this.inFocus[leaf])) this.rowNode[row] = leaf ? into[leaf]! : root;
    }
  }

  /** By node of the tree the state that has most of its time. */
  states(count: number): Uint8Array {
    const { tree, profile, rowNode } = this;
    const sums = new Float64Array(tree.size * count);
    const weights = weightsOf(profile, this.choice);
    const state = profile.samples.state!;
    for (let row = 0; row < weights.length; row++) {
      const node = rowNode![row]!;
      if (node >= 0) sums[node * count + state[row]!]! += weights[row]!;
    }
    const result = new Uint8Array(tree.size);
    for (let node = tree.size - 1; node >= 0; node--) {
      let best = 0;
      for (let each = 1; each < count; each++) if (sums[node * count + each]! > sums[node * count + best]!) best = each;
      result[node] = best;
      const above = tree.parent[node]!;
      if (node) for (let each = 0; each < count; each++) sums[above * count + each]! += sums[node * count + each]!;
    }
    return result;
  }

  /** The weight of stacks with a function that fits. */
  matched(fits: Uint8Array): number {
    const { parent, key, own, size } = this.tree;
    const hit = new Uint8Array(size);
    let sum = 0;
    for (let node = 1; node < size; node++) {
      hit[node] = hit[parent[node]!]! | (key[node]! >= 0 ? fits[key[node]!]! : 0);
      if (hit[node]) sum += own[node]!;
    }
    return sum;
  }
}
