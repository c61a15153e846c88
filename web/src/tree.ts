// Trees to look at: the profile's tree with some samples' weights, some modules folded away, merged or by thread; and
// the trees of callers and callees of one function.

import { Children, type Profile } from "./model";

/** A tree with weights. Node 0 is the root; parents have smaller numbers than their children. */
export class Tree {
  readonly size: number;
  readonly parent: Int32Array;
  /** A function, or below -1 a thread: -2 - its number. -1: the root. */
  readonly key: Int32Array;
  readonly own: Float64Array;
  readonly total: Float64Array;
  readonly depth: Uint16Array;
  private first: Int32Array | null = null; // children of node n: child[first[n] .. first[n + 1]]
  private child: Int32Array = new Int32Array(0);
  private start: Float64Array = new Float64Array(0);
  private placed: Uint8Array = new Uint8Array(0);
  maxDepth = 0;

  constructor(nodes: Children, own: Float64Array) {
    const size = (this.size = nodes.size);
    this.parent = nodes.parent.subarray(0, size);
    this.key = nodes.key.subarray(0, size);
    this.own = own.subarray(0, size);
    this.total = this.own.slice();
    this.depth = new Uint16Array(size);
    for (let node = size - 1; node > 0; node--) this.total[this.parent[node]!]! += this.total[node]!;
    for (let node = 1; node < size; node++) {
      const depth = this.depth[this.parent[node]!]! + 1;
      this.depth[node] = depth;
      if (depth > this.maxDepth) this.maxDepth = depth;
    }
  }

  private link(): Int32Array {
    if (this.first) return this.first;
    const first = new Int32Array(this.size + 1);
    for (let node = 1; node < this.size; node++) first[this.parent[node]! + 1]!++;
    for (let node = 0; node < this.size; node++) first[node + 1]! += first[node]!;
    this.child = new Int32Array(Math.max(this.size - 1, 0));
    const next = first.slice();
    for (let node = 1; node < this.size; node++) this.child[next[this.parent[node]!]!++] = node;
    this.start = new Float64Array(this.size);
    this.placed = new Uint8Array(this.size);
    return (this.first = first);
  }

  /** Children of a node, the heaviest first. Sorted when somebody looks, which nobody does at most nodes. */
  children(node: number): Int32Array {
    const first = this.link();
    const found = this.child.subarray(first[node]!, first[node + 1]!);
    if (!this.placed[node]) {
      this.placed[node] = 1;
      const total = this.total;
      // Threads stay in their order, whatever they weigh.
      if (found.length > 1 && this.key[found[0]!]! > -2) found.sort((a, b) => total[b]! - total[a]! || a - b);
      let at = this.start[node]!;
      for (const each of found) {
        this.start[each] = at;
        at += total[each]!;
      }
    }
    return found;
  }

  /** Where a node begins, in units of weight from the left edge. Known once its parent's children were asked for. */
  startOf(node: number): number {
    const path: number[] = [];
    for (let at = node; at; at = this.parent[at]!) path.push(this.parent[at]!);
    for (const each of path.reverse()) this.children(each);
    return this.start[node]!;
  }

  /** As `startOf`, of a node whose parent's children are known to have been asked for. */
  placedStart(node: number): number {
    return this.start[node]!;
  }

  /** Own and total time of each function; in recursion only the outermost call counts to the total. */
  sums(functions: number): { own: Float64Array; total: Float64Array } {
    const own = new Float64Array(functions);
    const total = new Float64Array(functions);
    const outer = this.outermost(functions);
    for (let node = 1; node < this.size; node++) {
      const key = this.key[node]!;
      if (key < 0) continue;
      own[key]! += this.own[node]!;
      if (outer[node]) total[key]! += this.total[node]!;
    }
    return { own, total };
  }

  /** By node whether no other one above it is of the same function. */
  outermost(functions: number): Uint8Array {
    const first = this.link();
    const open = new Int32Array(functions);
    const result = new Uint8Array(this.size);
    const waiting = new Int32Array(2 * this.size + 2);
    let count = 0;
    waiting[count++] = 0;
    while (count) {
      const node = waiting[--count]!;
      if (node < 0) {
        open[this.key[~node]!]!--;
        continue;
      }
      const key = this.key[node]!;
      if (key >= 0) {
        if (!open[key]) result[node] = 1;
        open[key]!++;
        waiting[count++] = ~node;
      }
      for (let i = first[node]!; i < first[node + 1]!; i++) waiting[count++] = this.child[i]!;
    }
    return result;
  }
}

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

/** The outermost calls of a function, and what they call, as one tree: its only branch is the function. */
export function callees(tree: Tree, functions: number, func: number): Tree {
  const outer = tree.outermost(functions);
  const nodes = new Children(1024);
  const into = new Int32Array(tree.size);
  const own: number[] = [0];
  for (let node = 1; node < tree.size; node++) {
    const key = tree.key[node]!;
    const above = into[tree.parent[node]!]!;
    if (above) into[node] = nodes.child(above, key);
    else if (key === func && outer[node]) into[node] = nodes.child(0, key);
    else continue;
    own[into[node]!] = (own[into[node]!] ?? 0) + tree.own[node]!;
  }
  return new Tree(nodes, Float64Array.from(own));
}

/** Who calls a function, as a tree that begins with it: below a node are its callers. */
export function callers(tree: Tree, functions: number, func: number): Tree {
  const outer = tree.outermost(functions);
  const nodes = new Children(1024);
  const own: number[] = [0];
  for (let node = 1; node < tree.size; node++) {
    if (tree.key[node] !== func || !outer[node]) continue;
    let target = 0;
    for (let at = node; at; at = tree.parent[at]!) target = nodes.child(target, tree.key[at]!);
    own[target] = (own[target] ?? 0) + tree.total[node]!;
  }
  return new Tree(nodes, Float64Array.from({ length: nodes.size }, (_, node) => own[node] ?? 0));
}
