/**
 * A process that flushes COUNT times, each time after the flush before was durable, and ends without
 * closing. With PICTURE 1 a picture is open meanwhile. Arguments: DIR COUNT PICTURE.
 */
import type { RegionId, ReplicaId, Timestamp } from '@moku/base';
import { openEngine } from '@moku/storage';

const [dir = '', count = '', picture = ''] = process.argv.slice(2);
const regionId = 1 as RegionId;
const engine = await openEngine({ dir });
engine.createReplica(regionId, 1 as ReplicaId);
await engine.flush();
if (picture === '1') engine.picture(regionId);
for (let index = 1; index <= Number(count); index++) {
  const key = Uint8Array.of(1, index);
  const puts = [{ key, timestamp: index as Timestamp, value: key }];
  engine.write({ regionId, appliedIndex: index, appliedTerm: 1, puts, removes: [] });
  await engine.flush();
}
process.exit(engine.durableIndex(regionId) === Number(count) ? 0 : 1);
