// Trees with weights, and the trees of callers and callees of one function.

import { Children } from "./model";

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
