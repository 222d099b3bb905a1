/**
 * One run on a cluster of processes: clients work, something goes wrong, everything heals, all keys are
 * read, and both what clients saw and what nodes hold is judged. A failure says how to repeat it and
 * keeps the history and the nodes' logs.
 */
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createPrng, hash64, type Prng } from '@moku/base';
import { formatHistory } from '@moku/sim';
import { expect } from 'vitest';
import { Load } from './history-load.js';
import { type Counts, judgeHistory, judgeNodes } from './judge.js';
import type { ProcessCluster } from './process-cluster.js';

/** Longer pauses, five nodes for every fault, more rounds. */
export const isLong: boolean = process.env['MOKU_PROCESS_LONG'] === '1';
/** Decides which nodes, links and moments faults meet, and what clients ask. */
export const processSeed: number = Number(process.env['MOKU_PROCESS_SEED'] ?? 4);

export interface Run {
  readonly cluster: ProcessCluster;
  readonly load: Load;
  readonly prng: Prng;
  /** Faults that were in force, by name; counted by whoever makes them. */
  readonly counts: Record<string, number>;
}

export interface RunOptions {
  readonly cluster: ProcessCluster;
  /** Of each round. */
  readonly floors: Counts;
  readonly act: (run: Run) => Promise<void>;
}

const rounds = isLong ? 3 : 1;
const searchMsMax = isLong ? 60_000 : 8_000;

/** To be called by a test, once: its name gives the seed and the keys. Throws what is wrong. */
export async function runAndJudge({ cluster, floors, act }: RunOptions): Promise<void> {
  const name = (expect.getState().currentTestName ?? '').replaceAll(' > ', ' ');
  const prng = createPrng(processSeed * 2 ** 32 + hashOf(name));
  const startMs = performance.now();
  const changesBefore = cluster.leaderChanges;
  const { databases } = cluster;
  const load = await Load.start({ databases, prefix: name, prng: prng.split() });
  const counts: Record<string, number> = {};
  try {
    try {
      for (let round = 0; round < rounds; round++) {
        // One after the other on purpose: each begins with a cluster that works.
        await act({ cluster, load, prng, counts });
        await cluster.heal();
        await load.answered(30);
        await cluster.leaders();
      }
    } finally {
      await load.stop();
    }
    await load.readBack();
    await judgeNodes(cluster);
    counts['leaderChanges'] = cluster.leaderChanges - changesBefore;
    const all = Object.entries({ reads: 80, acknowledged: 80, ...floors });
    const wanted = Object.fromEntries(all.map(([floor, min]) => [floor, min * rounds]));
    const seen = judgeHistory(load.events, counts, wanted, searchMsMax);
    const seconds = ((performance.now() - startMs) / 1_000).toFixed(1);
    process.stdout.write(`${name}: ${seconds} s, ${inWords(seen)}\n`);
  } catch (error) {
    throw new Error(failureText(cluster, load, name, error), { cause: error });
  }
}

function hashOf(name: string): number {
  return Number(BigInt.asUintN(20, hash64(Buffer.from(name))));
}

function failureText(cluster: ProcessCluster, load: Load, name: string, error: unknown): string {
  const dir = mkdtempSync(join(tmpdir(), 'moku-process-failed-'));
  writeFileSync(join(dir, 'history.jsonl'), formatHistory(load.events));
  for (const nodeId of cluster.nodeIds) {
    writeFileSync(join(dir, `node-${nodeId}.log`), cluster.logOf(nodeId));
  }
  const variables = `MOKU_PROCESS_SEED=${processSeed}${isLong ? ' MOKU_PROCESS_LONG=1' : ''}`;
  const cause = error instanceof Error && error.cause !== undefined ? `\n${error.cause}` : '';
  const what = error instanceof Error ? error.message : String(error);
  return `${what}${cause}\n${variables} npm run process -- -t '${name}'\nhistory and logs: ${dir}`;
}

function inWords(counts: Counts): string {
  return Object.entries(counts)
    .map(([name, count]) => `${name} ${count}`)
    .join(', ');
}
