/**
 * What the lists that transactions read say about the order of versions, and what is wrong with them
 * by themselves.
 *
 * Invariants:
 *  O1 Of each key the longest list that was read is the order. Where another one does not begin it, or
 *     holds an element twice, the order is unknown and makes no edges.
 *  O2 A transaction counts as committed when it was acknowledged, or when one of its elements was read.
 */
import type { Json, MicroOperation } from './history-values.js';
import type { Anomaly } from './list-append.js';
import { canonical } from './register.js';
import { nameAt, type Transaction } from './transactions.js';

/** The versions of one key: version n is the list of the first n elements. */
export interface KeyVersions {
  readonly key: string;
  /** Canonical. Empty when the order is unknown. */
  readonly elements: readonly string[];
  /** Number of the transaction that appended each element; undefined for phantoms. */
  readonly writers: readonly (number | undefined)[];
  /** Which version each transaction found, its own appends apart. */
  readonly reads: readonly { readonly reader: number; readonly version: number }[];
  /** Committed transactions with appends that no list shows: later than all of `elements`. */
  readonly unseenWriters: readonly number[];
}

export interface Versions {
  readonly keys: readonly KeyVersions[];
  readonly isCommitted: readonly boolean[];
}

interface Append {
  readonly writer: number;
  /** The writer appended to the key again later. */
  readonly isIntermediate: boolean;
}

/** A list read from outside: without what the reader itself had appended before. */
interface OuterRead {
  readonly reader: number;
  readonly elements: readonly string[];
}

interface KeyFacts {
  readonly appends: Map<string, Append>;
  readonly lists: OuterRead[];
  readonly outerReads: OuterRead[];
}

/** Adds what is wrong to `anomalies`. */
export function observeVersions(
  transactions: readonly Transaction[],
  anomalies: Anomaly[],
): Versions {
  const facts = new Map<string, KeyFacts>();
  for (const [index, transaction] of transactions.entries()) noteAppends(facts, transaction, index);
  transactions.forEach((transaction, index) => {
    if (transaction.operation.outcome !== 'ok') return;
    const complaint = noteReads(facts, transaction, index);
    if (complaint === undefined) return;
    anomalies.push({
      name: 'internal',
      explanation: `${nameAt(transactions, index)} ${complaint}`,
    });
  });
  const orders = new Map<string, readonly string[]>();
  const isCommitted = transactions.map(({ operation }) => operation.outcome === 'ok');
  for (const [key, fact] of facts) {
    const report = (name: Anomaly['name'], index: number, what: string): void => {
      anomalies.push({ name, explanation: `${nameAt(transactions, index)} read ${key}: ${what}` });
    };
    checkLists(fact, transactions, report);
    const order = orderOf(fact, report);
    orders.set(key, order);
    for (const element of order) {
      const writer = fact.appends.get(element)?.writer;
      const outcome = writer === undefined ? undefined : transactions[writer]?.operation.outcome;
      if (writer !== undefined && outcome === 'info') isCommitted[writer] = true; // O2
    }
  }
  const keys = [...facts].map(([key, fact]) =>
    versionsOf(key, fact, orders.get(key) ?? [], isCommitted),
  );
  return { keys, isCommitted };
}

function factsOf(facts: Map<string, KeyFacts>, key: string): KeyFacts {
  const known = facts.get(key);
  if (known !== undefined) return known;
  const fresh: KeyFacts = { appends: new Map(), lists: [], outerReads: [] };
  facts.set(key, fresh);
  return fresh;
}

function noteAppends(facts: Map<string, KeyFacts>, { steps }: Transaction, writer: number): void {
  const seen = new Set<string>();
  for (const step of [...steps].reverse()) {
    if (step.type !== 'append') continue;
    const isIntermediate = seen.has(step.key);
    seen.add(step.key);
    factsOf(facts, step.key).appends.set(canonical(step.element), { writer, isIntermediate });
  }
}

/** What the transaction must find at a key after its own steps so far. */
interface Expectation {
  known: readonly string[] | undefined;
  readonly own: string[];
}

/** Says where the transaction disagrees with itself; of such a one no list is taken. */
function noteReads(
  facts: Map<string, KeyFacts>,
  { steps }: Transaction,
  reader: number,
): string | undefined {
  const expectations = new Map<string, Expectation>();
  const found: { readonly key: string; readonly list: OuterRead; readonly outer?: OuterRead }[] =
    [];
  for (const step of steps) {
    const expectation = expectations.get(step.key) ?? { known: undefined, own: [] };
    expectations.set(step.key, expectation);
    if (step.type === 'append') {
      expectation.own.push(canonical(step.element));
      continue;
    }
    const elements = listOf(step);
    const { known, own } = expectation;
    const outerCount = elements.length - own.length;
    const expected = known === undefined ? own : [...known, ...own];
    const actual = known === undefined ? elements.slice(Math.max(outerCount, 0)) : elements;
    if (!isSame(expected, actual)) {
      return `read ${step.key} as [${elements}], which must ${known === undefined ? 'end with' : 'be'} [${expected}]`;
    }
    const list = { reader, elements };
    if (known !== undefined) found.push({ key: step.key, list });
    else {
      const outer = elements.slice(0, outerCount);
      const early = outer.find((element) => appendOf(facts, step.key, element)?.writer === reader);
      if (early !== undefined) return `read ${step.key} with ${early} before it appended that`;
      expectation.known = outer;
      found.push({ key: step.key, list, outer: { reader, elements: outer } });
    }
  }
  for (const { key, list, outer } of found) {
    const fact = factsOf(facts, key);
    fact.lists.push(list);
    if (outer !== undefined) fact.outerReads.push(outer);
  }
  return undefined;
}

function appendOf(
  facts: ReadonlyMap<string, KeyFacts>,
  key: string,
  element: string,
): Append | undefined {
  return facts.get(key)?.appends.get(element);
}

function listOf(step: MicroOperation & { readonly type: 'read' }): string[] {
  return (step.list ?? []).map((element: Json) => canonical(element));
}

function isSame(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((element, i) => element === b[i]);
}

type Report = (name: Anomaly['name'], index: number, what: string) => void;

function checkLists(
  { appends, lists, outerReads }: KeyFacts,
  transactions: readonly Transaction[],
  report: Report,
): void {
  for (const { reader, elements } of lists) {
    const seen = new Set<string>();
    for (const element of elements) {
      if (seen.has(element))
        report('duplicate-element', reader, `${element} twice in [${elements}]`);
      seen.add(element);
      const append = appends.get(element);
      if (append === undefined) {
        report('phantom-element', reader, `${element}, which nobody appended`);
      } else if (transactions[append.writer]?.operation.outcome === 'fail') {
        const writer = nameAt(transactions, append.writer);
        report('G1a', reader, `${element} of ${writer}, which certainly had no effect`);
      }
    }
  }
  for (const { reader, elements } of outerReads) {
    const last = elements.at(-1);
    const append = last === undefined ? undefined : appends.get(last);
    if (append === undefined || !append.isIntermediate || append.writer === reader) continue;
    const writer = nameAt(transactions, append.writer);
    report('G1b', reader, `up to ${last}, in the midst of the appends of ${writer}`);
  }
}

/** O1. */
function orderOf({ lists }: KeyFacts, report: Report): readonly string[] {
  let longest: readonly string[] = [];
  for (const { elements } of lists) {
    if (new Set(elements).size < elements.length) return [];
    if (elements.length > longest.length) longest = elements;
  }
  for (const { reader, elements } of lists) {
    if (isSame(elements, longest.slice(0, elements.length))) continue;
    report('incompatible-order', reader, `[${elements}], while another read found [${longest}]`);
    return [];
  }
  return longest;
}

function versionsOf(
  key: string,
  { appends, lists, outerReads }: KeyFacts,
  elements: readonly string[],
  isCommitted: readonly boolean[],
): KeyVersions {
  const isUnknown = elements.length === 0 && lists.some((list) => list.elements.length > 0);
  if (isUnknown) return { key, elements, writers: [], reads: [], unseenWriters: [] };
  const shown = new Set(elements);
  const unseen = new Set<number>();
  for (const [element, { writer }] of appends) {
    if (!shown.has(element) && isCommitted[writer] === true) unseen.add(writer);
  }
  return {
    key,
    elements,
    writers: elements.map((element) => appends.get(element)?.writer),
    reads: outerReads.map((read) => ({ reader: read.reader, version: read.elements.length })),
    unseenWriters: [...unseen],
  };
}
