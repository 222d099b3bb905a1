/**
 * What the SQLite engine costs: writes into the overlay, flushes, reads from overlay and data.db, and
 * idle replicas. Run: `npx tsx bench/engine.bench.ts [records]`. Prints a table; figures are of one run.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { createPrng, type RegionId, type ReplicaId, type Timestamp, utf8 } from '@moku/base';
import { openEngine, type SqliteEngine } from '@moku/storage';

const records = Number(process.argv[2] ?? 200_000);
const regions = 64;
const idleReplicas = 10_000;
const valueBytes = 100;
const latest = Number.MAX_SAFE_INTEGER as Timestamp;
const value = new Uint8Array(valueBytes).fill(0x76);
const prng = createPrng(1);

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

function row(what: string, count: number, ms: number): void {
  const perSecond = Math.round((count / ms) * 1000).toLocaleString('en');
  console.log(
    `${what.padEnd(52)} ${perSecond.padStart(12)}/s ${((ms / count) * 1000).toFixed(2).padStart(8)} µs`,
  );
}

/** Runs `task` `count` times and prints its rate. */
function timed(what: string, count: number, task: (i: number) => void): void {
  const startedMs = performance.now();
  for (let i = 0; i < count; i++) task(i);
  row(what, count, performance.now() - startedMs);
}

const keys: Uint8Array[] = [];
for (let i = 0; i < records; i++) {
  keys.push(utf8(`${(prng.next() >>> 0).toString(36)}/COUNTRY/admin/name#${i}`));
}
const regionOf = (i: number): RegionId => (1 + (i % regions)) as RegionId;

async function writeAll(engine: SqliteEngine, round: number): Promise<void> {
  const startedMs = performance.now();
  let waitedMs = 0;
  for (let i = 0; i < records; i++) {
    engine.write({
      regionId: regionOf(i),
      appliedIndex: round * records + i + 1,
      appliedTerm: 1,
      puts: [{ key: keys[i]!, timestamp: (round * records + i + 1) as Timestamp, value }],
      removes: [],
    });
    if (i % 256 === 0) {
      const beforeMs = performance.now();
      do await new Promise((resolve) => setImmediate(resolve));
      while (engine.isFull());
      waitedMs += performance.now() - beforeMs;
    }
  }
  row(
    `write, one new version each (round ${round})`,
    records,
    performance.now() - startedMs - waitedMs,
  );
  await engine.flush();
  row(`write, until all is durable (round ${round})`, records, performance.now() - startedMs);
}

function readAll(engine: SqliteEngine, where: string): void {
  const gets = Math.min(records, 100_000);
  timed(`get, present, ${where}`, gets, () => {
    const i = prng.below(records);
    engine.get(regionOf(i), keys[i]!, latest);
  });
  timed(`get, absent, ${where}`, gets, (i) => {
    engine.get(regionOf(i), utf8(`absent-${i}`), latest);
  });
  for (const isReverse of [false, true]) {
    let found = 0;
    const startedMs = performance.now();
    for (let region = 1; region <= regions; region++) {
      let [start, end]: [Uint8Array, Uint8Array | undefined] = [new Uint8Array(0), undefined];
      for (;;) {
        const page = engine.scan(region as RegionId, {
          start,
          end,
          isReverse,
          at: latest,
          recordsMax: 1_000,
          bytesMax: 1 << 20,
        });
        found += page.records.length;
        if (!page.hasMore || page.lastKey === undefined) break;
        if (isReverse) end = page.lastKey;
        else start = Uint8Array.from([...page.lastKey, 0]);
      }
    }
    row(
      `scan rows, pages of 1,000${isReverse ? ', reverse' : ''}, ${where}`,
      found,
      performance.now() - startedMs,
    );
  }
}

const dir = mkdtempSync(join(tmpdir(), 'moku-bench-'));
console.log(`Node ${process.version}, ${cpus()[0]?.model ?? 'unknown cpu'}, ${records} records`);
try {
  let engine = await openEngine({ dir, flushAgeMs: 3_600_000, flushBytes: 1 << 30 });
  for (let i = 1; i <= regions; i++) engine.createReplica(i as RegionId, 1 as ReplicaId);
  timed('write into the overlay', records, (i) => {
    engine.write({
      regionId: regionOf(i),
      appliedIndex: i + 1,
      appliedTerm: 1,
      puts: [{ key: keys[i]!, timestamp: (i + 1) as Timestamp, value }],
      removes: [],
    });
  });
  console.log(
    `overlay: ${(engine.stats().overlayBytes / records).toFixed(0)} bytes a record, with ${valueBytes + keys[0]!.length} of key and value`,
  );
  readAll(engine, 'overlay');
  await engine.flush();
  const { flushMsLast } = engine.stats();
  row('flush', records, flushMsLast);
  readAll(engine, 'data.db');
  await engine.close();

  engine = await openEngine({ dir });
  await writeAll(engine, 1);
  await writeAll(engine, 2);
  const { flushes, flushLast, chunkBytes } = engine.stats();
  console.log(
    `flushes ${flushes}, last ${JSON.stringify(flushLast)}, chunks ${chunkBytes >> 20} MiB`,
  );
  const picture = engine.picture(1 as RegionId);
  let versions = 0;
  const startedMs = performance.now();
  for (let batch = picture.next(1 << 18); batch.length > 0; batch = picture.next(1 << 18)) {
    versions += batch.length;
  }
  picture.close();
  row('picture, versions', versions, performance.now() - startedMs);

  collect();
  const before = process.memoryUsage().heapUsed;
  timed('create an idle replica', idleReplicas, (i) => {
    engine.createReplica((10_000 + i) as RegionId, 1 as ReplicaId);
  });
  await engine.flush();
  collect();
  const bytes = (process.memoryUsage().heapUsed - before) / idleReplicas;
  console.log(
    `idle replica: ${bytes.toFixed(0)} bytes of heap; resident ${process.memoryUsage().rss >> 20} MiB in all`,
  );
  await engine.close();
} finally {
  rmSync(dir, { recursive: true });
}
