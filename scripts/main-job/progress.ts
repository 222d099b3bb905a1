/**
 * Progress for people, on stderr: a bar on a terminal, a line now and then elsewhere. Stdout is for results.
 */
const barCells = 28;
const terminalPauseMs = 80;
const logPauseMs = 5_000;

export class Progress {
  private readonly isTerminal = process.stderr.isTTY === true;
  private lastMs = Number.NEGATIVE_INFINITY;

  /** One line that stays. */
  say(line: string): void {
    this.wipe();
    process.stderr.write(`${line}\n`);
  }

  /** How far a long step is. */
  step(label: string, done: number, total: number): void {
    const nowMs = performance.now();
    const isLast = done >= total;
    if (!isLast && nowMs - this.lastMs < (this.isTerminal ? terminalPauseMs : logPauseMs)) return;
    this.lastMs = nowMs;
    const share = total === 0 ? 1 : Math.min(1, done / total);
    const percent = `${Math.round(share * 100)}`.padStart(3);
    if (!this.isTerminal) {
      process.stderr.write(`${label} ${percent} % (${done.toLocaleString('en')})\n`);
      return;
    }
    const full = Math.round(share * barCells);
    const bar = '█'.repeat(full) + '░'.repeat(barCells - full);
    process.stderr.write(`\r\x1b[2K${label} ${bar} ${percent} % ${done.toLocaleString('en')}`);
    if (isLast) process.stderr.write('\n');
  }

  private wipe(): void {
    if (this.isTerminal) process.stderr.write('\r\x1b[2K');
  }
}
