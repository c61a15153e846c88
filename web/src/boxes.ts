// What a flame graph shows: boxes on rows, by weight or in the order of time. Only what a window on it needs is ever made,
// so that the cost of a picture is that of its pixels, not of the profile.

import { type Profile } from "./model";
import { type Tree } from "./tree";
import { type View, rowsOf, weightsOf } from "./view";

export interface Box {
  depth: number;
  start: number; // in units of weight from the left edge
  end: number;
  key: number; // as `Tree.key`; MERGED: several that are too thin
  node: number;
  row: number; // in the order of time: index of the first of its samples in `TimeBoxes.rows`; else -1
}

export const MERGED = -(2 ** 30);

export interface Boxes {
  readonly tree: Tree;
  readonly total: number;
  readonly depth: number; // number of rows
  /** Boxes that a window shows, parents before children. What is thinner than *thinnest* is merged. */
  visible(from: number, to: number, thinnest: number): Box[];
  /** A box with its true edges: those in a picture may be cut off. */
  whole(box: Box): Box;
}

/** By weight, the heaviest child on the left. */
export class TreeBoxes implements Boxes {
  readonly total: number;
  readonly depth: number;

  /** *rootless*: the root is not shown (the tree of one function has that one for a root). */
  constructor(readonly tree: Tree, private readonly rootless = false) {
    this.total = tree.total[0]!;
    this.depth = tree.maxDepth + (rootless ? 0 : 1);
  }

  visible(from: number, to: number, thinnest: number): Box[] {
    const { tree } = this;
    const lift = this.rootless ? 1 : 0;
    const found: Box[] = [];
    if (!(this.total > 0)) return found;
    if (!lift) found.push({ depth: 0, start: 0, end: this.total, key: -1, node: 0, row: -1 });
    const waiting = [0];
    while (waiting.length) {
      const parent = waiting.pop()!;
      const children = tree.children(parent);
      const depth = tree.depth[parent]! + 1 - lift;
      const byWeight = children.length > 0 && tree.key[children[0]!]! > -2;
      let low = 0;
      let high = children.length; // the first one that reaches into the window
      while (low < high) {
        const middle = (low + high) >> 1;
        const child = children[middle]!;
        // Sums are not exact to the last digit: a neighbour that ends where the window begins is not in it.
        if (tree.placedStart(child) + tree.total[child]! <= from + thinnest / 1000) low = middle + 1;
        else high = middle;
      }
      for (let i = low; i < children.length; i++) {
        const node = children[i]!;
        const start = tree.placedStart(node);
        if (start >= to - thinnest / 1000) break;
        const end = start + tree.total[node]!;
        if (end - start < thinnest) {
          if (!byWeight) continue;
          const last = children[children.length - 1]!; // the rest is as thin, or thinner
          const restEnd = tree.placedStart(last) + tree.total[last]!;
          if (restEnd - start >= thinnest) {
            found.push({ depth, start, end: restEnd, key: i === children.length - 1 ? tree.key[node]! : MERGED, node, row: -1 });
          }
          break;
        }
        found.push({ depth, start, end, key: tree.key[node]!, node, row: -1 });
        waiting.push(node);
      }
    }
    return found;
  }

  whole(box: Box): Box {
    if (box.key === MERGED || !box.node) return box;
    const start = this.tree.startOf(box.node);
    return { ...box, start, end: start + this.tree.total[box.node]! };
  }
}

/** In the order of time, thread beside thread; width is weight here too, so that sums can be compared. */
export class TimeBoxes implements Boxes {
  readonly tree: Tree;
  readonly total: number;
  readonly depth: number;
  readonly rows: Int32Array;
  private readonly nodes: Int32Array; // by index in rows
  private readonly edges: Float64Array;

  constructor(view: View) {
    const { profile, choice, rowNode } = view;
    this.tree = view.tree;
    this.depth = view.tree.maxDepth + 1;
    const weights = weightsOf(profile, choice);
    const threads = choice.thread >= 0 ? [choice.thread] : profile.threads.map((_, index) => index);
    const kept: Int32Array[] = threads.map((each) => rowsOf(profile, choice, each).filter((row) => rowNode![row]! >= 0));
    this.rows = new Int32Array(kept.reduce((sum, each) => sum + each.length, 0));
    let at = 0;
    for (const each of kept) {
      this.rows.set(each, at);
      at += each.length;
    }
    this.nodes = this.rows.map((row) => rowNode![row]!);
    this.edges = new Float64Array(this.rows.length + 1);
    for (let i = 0; i < this.rows.length; i++) this.edges[i + 1] = this.edges[i]! + weights[this.rows[i]!]!;
    this.total = this.edges[this.rows.length]!;
  }

  /** The row at a place. */
  private at(place: number): number {
    let low = 0;
    let high = this.rows.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.edges[middle]! <= place) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  visible(from: number, to: number, thinnest: number): Box[] {
    const found: Box[] = [];
    if (!this.rows.length || !(this.total > 0)) return found;
    const { tree, nodes, edges } = this;
    const first = this.at(Math.max(from, 0));
    const last = this.at(Math.min(to, this.total));
    const step = Math.max(1.5 * thinnest, (to - from) / 4000); // most boxes are as thin as that: fewer than by weight
    const exact = last - first < (to - from) / step;
    const open: Box[] = [];
    let node = -1;
    let edge = from;
    const visit = (index: number, start: number): void => {
      edge = start;
      const next = nodes[index]!;
      if (next === node) return;
      let common = node < 0 ? -1 : node; // the deepest node that both stacks have
      let other = next;
      if (common >= 0) {
        while (tree.depth[common]! > tree.depth[other]!) common = tree.parent[common]!;
        while (tree.depth[other]! > tree.depth[common]!) other = tree.parent[other]!;
        while (common !== other) {
          common = tree.parent[common]!;
          other = tree.parent[other]!;
        }
      }
      const keep = common < 0 ? 0 : tree.depth[common]! + 1;
      while (open.length > keep) open.pop()!.end = start;
      const path: number[] = [];
      for (let each = next, depth = tree.depth[next]!; depth >= keep; depth--) {
        path.push(each);
        each = tree.parent[each]!;
      }
      while (path.length) {
        const each = path.pop()!;
        const box = { depth: tree.depth[each]!, start, end: to, key: tree.key[each]!, node: each, row: index };
        open.push(box);
        found.push(box);
      }
      node = next;
    };
    if (exact) for (let index = first; index <= last; index++) visit(index, edges[index]!);
    else {
      let index = first;
      for (let place = Math.max(from, 0); place < Math.min(to, this.total); place += step) {
        const wanted = place + step / 2;
        if (edges[index + 1]! <= wanted) index = this.at(Math.min(wanted, this.total));
        visit(index, place);
      }
    }
    edge = exact ? edges[last + 1]! : Math.min(to, this.total);
    for (const box of open) box.end = edge;
    return found;
  }

  whole(box: Box): Box {
    if (box.row < 0) return box;
    const { nodes, edges, tree } = this;
    const inside = (index: number): boolean => {
      let node = nodes[index]!;
      while (tree.depth[node]! > box.depth) node = tree.parent[node]!;
      return node === box.node;
    };
    let first = box.row;
    let last = box.row;
    while (first > 0 && inside(first - 1)) first--;
    while (last < nodes.length - 1 && inside(last + 1)) last++;
    return { ...box, row: first, start: edges[first]!, end: edges[last + 1]! };
  }

  /** When a whole box begins and ends (ns), and how many samples it has. */
  times(profile: Profile, box: Box): [number, number, number] {
    const { time, number } = profile.samples;
    const end = this.at(box.end - (box.end - box.start) * 1e-9);
    let count = 0;
    for (let index = box.row; index <= end; index++) count += number[this.rows[index]!]!;
    return [time[this.rows[box.row]!]!, time[this.rows[end]!]!, count];
  }
}
