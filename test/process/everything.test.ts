/**
 * Five processes under everything at once: links that lose, delay, reorder, repeat and corrupt messages
 * both ways while nodes are killed, restarted, stopped and woken.
 */
import { afterAll, beforeAll, describe, it } from 'vitest';
import { faultKinds } from '../support/link-faults.js';
import { ProcessCluster } from '../support/process-cluster.js';
import { disturbEverything } from '../support/process-faults.js';
import { processSeed, runAndJudge } from '../support/process-run.js';

describe('five node processes', () => {
  let cluster: ProcessCluster;

  beforeAll(async () => {
    cluster = await ProcessCluster.start(5, processSeed);
  });
  afterAll(() => cluster?.end());

  it('bear every fault at once', async () => {
    const kinds = Object.fromEntries(faultKinds.map((kind) => [kind, 1]));
    await runAndJudge({
      cluster,
      floors: { ...kinds, killed: 1, stopped: 1, leaderChanges: 2 },
      act: disturbEverything,
    });
  });
});
