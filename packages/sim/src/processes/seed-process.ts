/**
 * The parent's end of a process that runs seeds. A process that dies or hangs is an outcome of the seed
 * it ran.
 *
 * Invariant R1: a run ends with an answer, the process's end, `end()`, or after `answerMsMax`.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { SimulationResult } from '../run/simulate.js';
import type { SeedAnswer, SeedTask } from './protocol.js';

export type SeedOutcome =
  | { readonly kind: 'ended'; readonly result: SimulationResult }
  /**
   * The simulator threw, or the process died or hung: what is known of it. One that did not get ready
   * (`isReady` false) has run nothing: a mutant that could not be planted, a module that does not load.
   */
  | { readonly kind: 'broken'; readonly what: string; readonly isReady: boolean }
  /** `end()` was called. */
  | { readonly kind: 'stopped' };

/** Far above what a seed takes, also on a machine that does other things. */
const answerMsMax = 10 * 60_000;
/** A mutant may run for ever. */
const mutantAnswerMsMax = 3 * 60_000;
const stderrCharsKept = 6_000;

const main = fileURLToPath(new URL('./main.js', import.meta.url));
const plant = new URL('../mutants/plant.js', import.meta.url).href;

/** A run leaves much garbage and keeps little: a large nursery, collected without threads that wait for each other. */
export const seedProcessFlags: readonly string[] = [
  '--single-threaded-gc',
  '--min-semi-space-size=16',
  '--max-semi-space-size=64',
];

export class SeedProcess {
  /** CPU time that it reported last. */
  cpuMs = 0;
  private readonly child: ChildProcess;
  private readonly answerMsMax: number;
  private stderr = '';
  private isEnded = false;
  private isReady = false;
  private death: string | undefined;
  private finish: ((outcome: SeedOutcome) => void) | undefined;

  /** Starts a process, with `mutant` planted when one is named. */
  constructor(mutant: string | undefined) {
    this.answerMsMax = mutant === undefined ? answerMsMax : mutantAnswerMsMax;
    const planted =
      mutant === undefined ? [] : ['--import', `${plant}?${encodeURIComponent(mutant)}`];
    this.child = fork(main, mutant === undefined ? [] : [mutant], {
      execArgv: [...seedProcessFlags, ...planted],
      stdio: ['ignore', 'inherit', 'pipe', 'ipc'],
    });
    this.child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.stderr = (this.stderr + text).slice(-stderrCharsKept);
    });
    this.child.on('message', (answer: SeedAnswer) => this.answered(answer));
    this.child.on('error', (error) => this.died(error.message));
    // `close` comes after everything that it wrote.
    this.child.on('close', (code, signal) => {
      this.died(`the process ended with ${signal ?? `code ${code}`}\n${this.stderr.trimEnd()}`);
    });
  }

  get isAlive(): boolean {
    return this.death === undefined && !this.isEnded;
  }

  /** Runs one seed; one at a time. */
  run(task: SeedTask): Promise<SeedOutcome> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        this.died(`no answer within ${this.answerMsMax} ms`);
        this.child.kill('SIGKILL');
      }, this.answerMsMax);
      this.finish = (outcome) => {
        clearTimeout(timer);
        this.finish = undefined;
        resolve(outcome);
      };
      if (this.isEnded) this.finish({ kind: 'stopped' });
      else if (this.death !== undefined) this.finish(this.broken(this.death));
      // A process that ended meanwhile reports it by `close`.
      else this.child.send(task, () => {});
    });
  }

  /** Ends the process; a run under way is 'stopped'. */
  end(): void {
    this.isEnded = true;
    this.child.kill('SIGKILL');
    this.finish?.({ kind: 'stopped' });
  }

  private answered(answer: SeedAnswer): void {
    this.cpuMs = answer.cpuMs;
    if (answer.kind === 'ready') this.isReady = true;
    else if (answer.kind === 'ended') this.finish?.({ kind: 'ended', result: answer.result });
    else this.finish?.(this.broken(answer.what));
  }

  private died(what: string): void {
    this.death ??= what;
    this.finish?.(this.broken(this.death));
  }

  private broken(what: string): SeedOutcome {
    return { kind: 'broken', what, isReady: this.isReady };
  }
}
