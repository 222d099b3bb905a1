/**
 * Links whose messages are dropped, delayed, reordered, repeated and corrupted, either way, between real
 * processes: the receiver notices and closes with a code, and nothing of it reaches the state.
 */
import { afterAll, beforeAll, describe, it } from 'vitest';
import { faultKinds } from '../support/link-faults.js';
import { ProcessCluster } from '../support/process-cluster.js';
import { disturbLinks, struckMin } from '../support/process-faults.js';
import { isLong, processSeed, runAndJudge } from '../support/process-run.js';

describe.each(isLong ? [3, 5] : [3])('between %i node processes', (size) => {
  let cluster: ProcessCluster;

  beforeAll(async () => {
    cluster = await ProcessCluster.start(size, processSeed);
  });
  afterAll(() => cluster?.end());

  for (const kind of faultKinds) {
    for (const direction of ['up', 'down'] as const) {
      it(`${kind}: messages on their way ${direction}`, async () => {
        const noticed = kind === 'delay' ? {} : { noticed: struckMin / 2 };
        await runAndJudge({
          cluster,
          floors: { [kind]: struckMin, leaderChanges: 1, ...noticed },
          act: (run) => disturbLinks(run, { kind, direction }),
        });
      });
    }
  }
});
