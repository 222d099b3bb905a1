/**
 * Processes that are killed and stopped while clients work: what was acknowledged stays (P1), one order
 * explains all answers (P2), and replicas end equal.
 */
import { afterAll, beforeAll, describe, it } from 'vitest';
import { ProcessCluster } from '../support/process-cluster.js';
import {
  certainlyNoticedMs,
  killAll,
  killMajority,
  killMinority,
  pause,
} from '../support/process-faults.js';
import { isLong, processSeed, type RunOptions, runAndJudge } from '../support/process-run.js';

describe.each(isLong ? [3, 5] : [3])('%i node processes', (size) => {
  const minority = Math.floor(size / 2);
  let cluster: ProcessCluster;

  beforeAll(async () => {
    cluster = await ProcessCluster.start(size, processSeed);
  });
  afterAll(() => cluster?.end());

  const judged = (options: Omit<RunOptions, 'cluster' | 'name'>) => () =>
    runAndJudge({ cluster, ...options });

  it(
    'lose a minority by kill -9 and go on',
    judged({
      floors: { killed: minority, leaderChanges: 1 },
      act: (run) => killMinority(run, minority),
    }),
  );

  it(
    'lose a majority by kill -9, answer nothing, and come back',
    judged({
      floors: { killed: minority + 1, leaderChanges: 1 },
      act: (run) => killMajority(run, minority + 1),
    }),
  );

  it(
    'are all killed at once, and come back on their disks',
    judged({ floors: { killed: size, leaderChanges: 1 }, act: killAll }),
  );

  it(
    'sleep for a moment, a minority of them with a leader',
    judged({
      floors: { stopped: minority },
      act: (run) => pause(run, { nodes: minority, ms: 500 + run.prng.below(500) }),
    }),
  );

  it(
    'sleep for longer, a minority of them with a leader',
    judged({
      floors: { stopped: minority, leaderChanges: 1 },
      act: (run) => {
        const ms = certainlyNoticedMs + run.prng.below(isLong ? 10_000 : 500);
        return pause(run, { nodes: minority, ms });
      },
    }),
  );

  if (isLong) {
    it(
      'sleep for 30 s, a minority of them with a leader',
      judged({
        floors: { stopped: minority, leaderChanges: 1 },
        act: (run) => pause(run, { nodes: minority, ms: 30_000 }),
      }),
    );
  }
});
