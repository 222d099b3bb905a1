/**
 * What happened, as a running hash (equal for equal runs) and as the last lines before a failure.
 */
import { hash32, utf8 } from '@moku/base';
import type { Scheduler } from './scheduler.js';

const linesKeptMax = 80;
const linesPerHash = 64;

export class Trace {
  private readonly scheduler: Scheduler;
  private readonly print: ((line: string) => void) | undefined;
  private lines: string[] = [];
  private unhashed: string[] = [];
  private state = 0;

  /** `print` gets every line. */
  constructor(scheduler: Scheduler, print?: (line: string) => void) {
    this.scheduler = scheduler;
    this.print = print;
  }

  /** Takes down one fact. */
  note(line: string): void {
    const full = `${this.scheduler.nowMs.toFixed(3)} ${line}`;
    this.print?.(full);
    this.lines.push(full);
    if (this.lines.length > 2 * linesKeptMax) this.lines = this.lines.slice(-linesKeptMax);
    this.unhashed.push(full);
    if (this.unhashed.length >= linesPerHash) this.fold();
  }

  /** Prints one more fact, when somebody looks; it is no part of the hash. */
  detail(line: () => string): void {
    this.print?.(`${this.scheduler.nowMs.toFixed(3)} ${line()}`);
  }

  /** The newest lines, oldest first. */
  last(): readonly string[] {
    return this.lines.slice(-linesKeptMax);
  }

  /** Hash over all lines so far, 8 hexadecimal digits. */
  hash(): string {
    this.fold();
    return this.state.toString(16).padStart(8, '0');
  }

  private fold(): void {
    if (this.unhashed.length === 0) return;
    this.state = hash32(utf8(this.unhashed.join('\n')), this.state);
    this.unhashed = [];
  }
}
