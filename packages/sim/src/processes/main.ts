/**
 * A process that runs seeds, one after the other, as its parent asks. It ends with its parent's channel;
 * an interrupt of the terminal is the parent's business.
 */
import { plantedKey } from '../mutants/mutant.js';
import { simulate } from '../run/simulate.js';
import type { SeedAnswer, SeedTask } from './protocol.js';

/** The mutant that this process must have; empty: none. */
const wanted = process.argv[2] ?? '';

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

function cpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1_000;
}

async function answer({ seed, profile, isTraced }: SeedTask): Promise<SeedAnswer> {
  try {
    const result = await simulate({ seed, profile, ...(isTraced ? { print } : {}) });
    return { kind: 'ended', result, cpuMs: cpuMs() };
  } catch (error) {
    const what = error instanceof Error ? (error.stack ?? error.message) : String(error);
    return { kind: 'broken', what, cpuMs: cpuMs() };
  }
}

const planted = String(Reflect.get(globalThis, plantedKey) ?? '');
if (planted !== wanted) {
  process.stderr.write(`mutant ${wanted} is not planted: nothing loads its module\n`);
  process.exit(1);
}
process.on('SIGINT', () => {});
process.on('disconnect', () => process.exit(0));
process.on('message', (task: SeedTask) => {
  void answer(task).then((answered) => process.send?.(answered));
});
process.send?.({ kind: 'ready', cpuMs: cpuMs() } satisfies SeedAnswer);
