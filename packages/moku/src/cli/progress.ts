/**
 * Long work, shown on stderr while it goes on: a bar when the end is known, a count when it is not.
 * Silent when stderr is no terminal.
 */
import { count } from './output.js';
import type { Terminal } from './terminal.js';

const cells = 28;
const pauseMs = 80;

export class Progress {
  private readonly label: string;
  private readonly terminal: Terminal;
  private readonly startMs = performance.now();
  private shownMs = Number.NEGATIVE_INFINITY;

  constructor(label: string, terminal: Terminal) {
    this.label = label;
    this.terminal = terminal;
  }

  get seconds(): number {
    return (performance.now() - this.startMs) / 1000;
  }

  /** `share` in 0 … 1, undefined when the end is not known; `done` things so far. */
  update(share: number | undefined, done: number): void {
    const nowMs = performance.now();
    if (this.terminal.stderr.isTTY !== true || nowMs - this.shownMs < pauseMs) return;
    this.shownMs = nowMs;
    this.show(share, done);
  }

  /** The last state, and the end of the line. */
  end(share: number | undefined, done: number): void {
    if (this.terminal.stderr.isTTY !== true) return;
    this.show(share, done);
    this.terminal.stderr.write('\n');
  }

  private show(share: number | undefined, done: number): void {
    const rate = this.seconds < 0.2 ? '' : `, ${count(done / this.seconds)}/s`;
    this.terminal.stderr.write(`\r\x1b[2K${this.label} ${bar(share)}${count(done)}${rate}`);
  }
}

function bar(share: number | undefined): string {
  if (share === undefined) return '';
  const within = Math.max(0, Math.min(1, share));
  const full = Math.round(within * cells);
  const percent = `${Math.floor(within * 100)}`.padStart(3);
  return `${'█'.repeat(full)}${'░'.repeat(cells - full)} ${percent} % `;
}
