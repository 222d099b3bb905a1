/**
 * A process that writes until it is killed. It prints, as lines of JSON, every durable index that the
 * engine reports and the failure, if one comes. Arguments: directory, regions, installs (0 or 1).
 */
import { writeSync } from 'node:fs';
import type { RegionId, ReplicaId } from '@moku/base';
import { openEngine } from '@moku/storage';
import { installedVersions, writeAt } from './history.js';

const [directory = '', regionsText = '', installsText = ''] = process.argv.slice(2);
const regionCount = Number(regionsText);
const installingRegion = 1_000 as RegionId;

function print(line: object): void {
  writeSync(1, `${JSON.stringify(line)}\n`);
}

// Small bounds, so that flushes never stop.
const engine = await openEngine({ dir: directory, overlayBytesMax: 400_000, flushAgeMs: 5 });
const regions: RegionId[] = [];
for (let i = 1; i <= regionCount; i++) {
  const regionId = i as RegionId;
  regions.push(regionId);
  if (engine.replica(regionId) === undefined) engine.createReplica(regionId, 1 as ReplicaId);
}
if (engine.replica(installingRegion) === undefined) {
  engine.createReplica(installingRegion, 1 as ReplicaId);
}
let isFailed = false;
engine.subscribe({
  onFlushed: () => {
    for (const regionId of [...regions, installingRegion]) {
      print({ regionId, durableIndex: engine.durableIndex(regionId) });
    }
  },
  onFailure: (error) => {
    isFailed = true;
    print({ failure: (error as { code?: string }).code });
  },
});

function* installing(): Generator<void> {
  for (;;) {
    const n = (engine.replica(installingRegion)?.appliedIndex ?? 0) + 1;
    const install = engine.install(installingRegion);
    const versions = installedVersions(n);
    for (let at = 0; at < versions.length; at += 100) {
      install.put(versions.slice(at, at + 100));
      yield;
    }
    install.commit({ appliedIndex: n, appliedTerm: 1 });
  }
}

const installs = installing();
while (!isFailed) {
  if (!engine.isFull()) {
    for (const regionId of regions) {
      engine.write(writeAt(regionId, (engine.replica(regionId)?.appliedIndex ?? 0) + 1));
    }
    if (installsText === '1') installs.next();
  }
  await new Promise((resolve) => setImmediate(resolve));
}
let closed = 'in good order';
try {
  await engine.close();
} catch (error) {
  closed = (error as { code?: string }).code ?? 'without a code';
}
print({ closed });
