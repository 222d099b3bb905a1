/**
 * What happened, as a running hash (equal for equal runs) and as the last lines before a failure. Most facts
 * are numbers: they are hashed as such, and become lines only when somebody reads them.
 */
import type { Scheduler } from '../world/scheduler.js';

const factsKeptMax = 80;

/** Facts of three numbers, and how they read. */
const forms = {
  frame: (from: number, to: number, bytes: number) => `frame ${from}>${to} ${bytes}`,
  apply: (node: number, region: number, index: number) => `apply ${node} ${region} ${index}`,
} as const;

export type FactKind = keyof typeof forms;

const hashSeeds: Readonly<Record<FactKind | 'line', number>> = { line: 1, frame: 2, apply: 3 };

/** One of the newest facts; its place is taken again and again. */
interface Kept {
  atMs: number;
  kind: FactKind | 'line';
  line: string;
  a: number;
  b: number;
  c: number;
}

const float = new Float64Array(1);
const halves = new Uint32Array(float.buffer);

export class Trace {
  private readonly scheduler: Scheduler;
  private readonly print: ((line: string) => void) | undefined;
  private readonly kept: Kept[] = [];
  private next = 0;
  private state = 0;

  /** `print` gets every line. */
  constructor(scheduler: Scheduler, print?: (line: string) => void) {
    this.scheduler = scheduler;
    this.print = print;
  }

  /** Takes down one fact in words. */
  note(line: string): void {
    const kept = this.keep('line');
    kept.line = line;
    this.mixTime('line');
    for (let i = 0; i < line.length; i++) this.mix(line.charCodeAt(i));
    this.print?.(lineOf(kept));
  }

  /** Takes down one fact of three safe integers. */
  fact(kind: FactKind, a: number, b: number, c: number): void {
    const kept = this.keep(kind);
    kept.a = a;
    kept.b = b;
    kept.c = c;
    this.mixTime(kind);
    this.mix(a);
    this.mix(b);
    this.mix(c);
    this.print?.(lineOf(kept));
  }

  /** Prints one more fact, when somebody looks; it is no part of the hash. */
  detail(line: () => string): void {
    this.print?.(`${this.scheduler.nowMs.toFixed(3)} ${line()}`);
  }

  /** The newest lines, oldest first. */
  last(): readonly string[] {
    const { kept, next } = this;
    const first = kept.length < factsKeptMax ? 0 : next;
    return [...kept.slice(first), ...kept.slice(0, first)].map(lineOf);
  }

  /** Hash over all facts so far, 8 hexadecimal digits. */
  hash(): string {
    return (this.state >>> 0).toString(16).padStart(8, '0');
  }

  private keep(kind: Kept['kind']): Kept {
    let kept = this.kept[this.next];
    if (kept === undefined) {
      kept = { atMs: 0, kind, line: '', a: 0, b: 0, c: 0 };
      this.kept.push(kept);
    }
    this.next = this.next + 1 === factsKeptMax ? 0 : this.next + 1;
    kept.atMs = this.scheduler.nowMs;
    kept.kind = kind;
    return kept;
  }

  private mixTime(kind: Kept['kind']): void {
    float[0] = this.scheduler.nowMs;
    this.mix(halves[0]! ^ hashSeeds[kind]);
    this.mix(halves[1]!);
  }

  /** One step of MurmurHash3 (x86, 32 bits) over the low 32 bits of `value`. */
  private mix(value: number): void {
    const scrambled = Math.imul(value, 0xcc9e2d51);
    const state = this.state ^ Math.imul((scrambled << 15) | (scrambled >>> 17), 0x1b873593);
    this.state = (Math.imul((state << 13) | (state >>> 19), 5) + 0xe6546b64) | 0;
  }
}

function lineOf({ atMs, kind, line, a, b, c }: Kept): string {
  return `${atMs.toFixed(3)} ${kind === 'line' ? line : forms[kind](a, b, c)}`;
}
