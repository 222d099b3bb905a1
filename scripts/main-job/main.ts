/**
 * `npm start`: three node processes, real places, a kill, and the proof that nothing was lost.
 * Results go to stdout, progress to stderr. Exit code 1 when anything is off.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { connect, type Database } from 'moku';
import { DevCluster, interrupted } from 'moku/dev';
import { failover, nodeLoads } from './failover.js';
import { load, quantile, type Spaces, sliceRecords } from './load.js';
import { MemoryWatch } from './memory.js';
import { nameBounds, type Place, type PlaceRecord, readPlaces } from './places.js';
import { Progress } from './progress.js';
import { howToTalk, loadTable, resultTable, type Summary } from './report.js';
import { type StreamTarget, WriteStream } from './stream.js';
import { compareDigests, countLost } from './verify.js';

const regionsPerKeyspace = 24;
/** Where every command looks for nodes, when it is free. */
const firstClientPort = 7_400;

const usage = `npm start [-- options]

Starts three nodes, loads 171,075 places, kills a node while writes go on, proves that nothing is lost.

  --exit        end afterwards instead of leaving the cluster running
  --json        one JSON line at the end of stdout; nothing else there
  --dir DIR     keep the nodes' directories here (default: a temporary one, removed at the end)
  --help        this text
`;

interface Options {
  readonly exit: boolean;
  readonly json: boolean;
  readonly dir: string | undefined;
}

/** Throws a TypeError that says what is wrong with the arguments. */
function options(): Options | undefined {
  const { values } = parseArgs({
    options: {
      exit: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
      dir: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return undefined;
  return { exit: values.exit, json: values.json, dir: values.dir };
}

/** Not a failure of the run: somebody ended it. */
class Interrupted extends Error {
  override readonly name = 'Interrupted';
}

async function openSpaces(db: Database, records: readonly PlaceRecord[]): Promise<Spaces> {
  const places = await db.keyspace<Place>('places', { mode: 'hash', regions: regionsPerKeyspace });
  const bounds = nameBounds(records, regionsPerKeyspace);
  const names = await db.keyspace<Place>('names', {
    mode: 'range',
    regions: regionsPerKeyspace,
    bounds,
  });
  return { places, names };
}

/** One loaded key for each region, for the stream to write beside. */
async function targets(
  db: Database,
  spaces: Spaces,
  records: readonly PlaceRecord[],
): Promise<StreamTarget[]> {
  const found = new Map<number, StreamTarget>();
  for (const { placeKey, nameKey, place } of records) {
    if (found.size === regionsPerKeyspace * 2) break;
    for (const [keyspace, nearKey] of [
      [spaces.places, placeKey],
      [spaces.names, nameKey],
    ] as const) {
      const regionId = await db.admin.locate(keyspace.name, nearKey);
      if (!found.has(regionId)) found.set(regionId, { regionId, keyspace, nearKey, place });
    }
  }
  return [...found.values()];
}

async function run(
  db: Database,
  cluster: DevCluster,
  progress: Progress,
  isJson: boolean,
): Promise<Summary> {
  const memory = new MemoryWatch(cluster);
  const records = readPlaces();
  const spaces = await openSpaces(db, records);
  const loaded = await load(spaces, records, progress);
  if (!isJson)
    process.stdout.write(`${loadTable(loaded, await nodeLoads(db, cluster), sliceRecords)}\n`);

  const streamTargets = await targets(db, spaces, records);
  const stream = new WriteStream(streamTargets);
  const regionIds = streamTargets.map((target) => target.regionId);
  const fail = await failover(db, cluster, stream, regionIds, progress);
  await stream.stop();

  const lost = await countLost(db, records, stream.acknowledged, progress);
  const digests = await compareDigests(db, 30_000, progress);
  memory.stop();
  const resumeMs = Math.round(
    fail.stuck.length > 0 ? Number.POSITIVE_INFINITY : (fail.resumedMs.at(-1) ?? 0),
  );
  const digestsEqual = digests.unequal.length === 0;
  return {
    ok: lost === 0 && digestsEqual && fail.stuck.length === 0 && loaded.records === records.length,
    records: loaded.records,
    placesPerSecond: Math.round(loaded.records / loaded.seconds),
    writesPerSecond: Math.round(loaded.writes / loaded.seconds),
    p50Ms: round(quantile(loaded.latenciesMs, 0.5)),
    p99Ms: round(quantile(loaded.latenciesMs, 0.99)),
    singleP50Ms: round(quantile(fail.steadyMs, 0.5)),
    singleP99Ms: round(quantile(fail.steadyMs, 0.99)),
    killedNode: fail.killed,
    killedLed: fail.ledRegions,
    resumeP50Ms: Math.round(quantile(fail.ledResumedMs, 0.5)),
    resumeMs,
    regionsStuck: fail.stuck.length,
    catchUpMs: Math.round(fail.catchUpMs),
    acknowledged: loaded.writes + stream.acknowledged.length,
    failedWrites: stream.failures.length,
    lost,
    regions: digests.regions,
    replicas: digests.replicas,
    digestsEqual,
    rssMbMax: memory.rssMbMax,
    node: process.version,
  };
}

function round(ms: number): number {
  return Math.round(ms * 100) / 100;
}

async function main(): Promise<number> {
  const chosen = options();
  if (chosen === undefined) {
    process.stdout.write(usage);
    return 0;
  }
  const progress = new Progress();
  const dir = chosen.dir ?? mkdtempSync(join(tmpdir(), 'moku-'));
  const ended = interrupted();
  const givenUp = ended.then(() => Promise.reject(new Interrupted('interrupted')));
  // Until somebody waits for it.
  givenUp.catch(() => {});
  progress.say(`starting 3 nodes in ${dir}`);
  let cluster: DevCluster | undefined;
  let db: Database | undefined;
  try {
    cluster = await DevCluster.start({ nodes: 3, dir, firstClientPort });
    db = connect({ nodes: cluster.clientAddresses });
    const summary = await Promise.race([run(db, cluster, progress, chosen.json), givenUp]);
    await tell(summary, chosen.json);
    if (!chosen.exit) {
      progress.say(howToTalk(cluster));
      await ended;
    }
    return summary.ok ? 0 : 1;
  } finally {
    await db?.close({ graceMs: 1_000 });
    await cluster?.stop();
    if (chosen.dir === undefined) rmSync(dir, { recursive: true, force: true });
  }
}

/** The result, whole, before anything else happens. */
function tell(summary: Summary, isJson: boolean): Promise<void> {
  const result = isJson ? JSON.stringify(summary) : resultTable(summary);
  return new Promise((resolve) => process.stdout.write(`${result}\n`, () => resolve()));
}

/** Says what ended the run, and with which exit code. */
function failed(error: unknown): number {
  const message = error instanceof Error ? error.message : String(error);
  const isUsage = error instanceof TypeError && 'code' in error;
  const isInterrupted = error instanceof Interrupted;
  const isPlain = isUsage || isInterrupted;
  process.stderr.write(`${isPlain || !(error instanceof Error) ? message : error.stack}\n`);
  if (process.argv.includes('--json')) {
    process.stdout.write(`${JSON.stringify({ ok: false, error: message })}\n`);
  }
  if (isUsage) process.stderr.write(`\n${usage}`);
  if (isUsage) return 2;
  return isInterrupted ? 130 : 1;
}

try {
  process.exitCode = await main();
} catch (error) {
  process.exitCode = failed(error);
}
