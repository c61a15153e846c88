// What was profiled, and what is missing of it.

import { el } from "./dom";
import { count, duration, percent, plural } from "./format";
import { type Profile } from "./model";

export function header(profile: Profile, ...buttons: HTMLElement[]): HTMLElement {
  const { facts, threads } = profile;
  const whole = threads.reduce((sum, thread) => sum + thread.time_ns, 0);
  const words = [
    `${duration(whole)} of ${facts.measure} in ${plural(threads.length, "thread")}`, `${duration(facts.duration_ns)} elapsed`,
    `${plural(facts.samples, "sample")}, one every ${facts.interval_ns / 1e6} ms`, facts.python && `Python ${facts.python}`,
    facts.start > 0 ? new Date(facts.start * 1000).toLocaleString() : "",
  ];
  return el("header", {},
    el("div", { class: "about" },
      el("h1", {}, facts.program || "python"), el("p", { class: "facts", title: `${facts.platform}, spprof ${facts.spprof}` }, words.filter(Boolean).join(" \u00b7 ")), losses(profile, whole)),
    el("div", { class: "buttons" }, ...buttons));
}

function losses(profile: Profile, whole: number): HTMLElement | null {
  const sum = (name: "dropped_ns" | "unsampled_ns"): number => profile.threads.reduce((before, thread) => before + thread[name], 0);
  const dropped = sum("dropped_ns");
  const unsampled = sum("unsampled_ns");
  const words: string[] = [];
  if (dropped || profile.facts.dropped) words.push(`${percent(dropped, whole)} dropped (${count(profile.facts.dropped)} samples lost)`);
  if (unsampled) words.push(`${percent(unsampled, whole)} unsampled`);
  if (profile.facts.invalid) words.push(`${count(profile.facts.invalid)} stacks refused`);
  if (!words.length) return null;
  const much = dropped + unsampled > whole / 50;
  return el("p", { class: `losses${much ? " much" : ""}`, title: "Time that no sample shows. It is part of all sums, as [dropped] and [unsampled]." },
    `${much ? "\u26a0 " : ""}${words.join(", ")}`);
}
