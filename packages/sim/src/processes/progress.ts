/** How far a long command is, on stderr: one line that changes on a terminal, else one line a minute. */

const terminalMs = 500;
const plainMs = 60_000;
const eraseLine = '\r\x1b[K';

export class Progress {
  private readonly isTerminal = process.stderr.isTTY === true;
  private readonly timer: NodeJS.Timeout;
  private readonly line: () => string;

  /** `onlyTerminal`: says nothing where nobody watches. */
  constructor(line: () => string, onlyTerminal = false) {
    this.line = line;
    const isSilent = onlyTerminal && !this.isTerminal;
    this.timer = setInterval(() => this.show(), this.isTerminal ? terminalMs : plainMs);
    if (isSilent) clearInterval(this.timer);
  }

  /** Before something else is printed. */
  clear(): void {
    if (this.isTerminal) process.stderr.write(eraseLine);
  }

  end(): void {
    clearInterval(this.timer);
    this.clear();
  }

  private show(): void {
    process.stderr.write(this.isTerminal ? `${eraseLine}${this.line()}` : `${this.line()}\n`);
  }
}
