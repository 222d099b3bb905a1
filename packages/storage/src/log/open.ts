/**
 * Opens a log directory: starts the thread, which takes the lock and checks the file, and rebuilds the
 * logs from what it finds.
 */
import { type Clock, limits, MokuError } from '@moku/base';
import { systemClock } from '../engine/system-clock.js';
import { EntryCache } from './entry-cache.js';
import { type OpenedLog, SqliteLogStore } from './log-store.js';
import type { FromThread, ThreadOptions } from './protocol.js';
import { LogRecovery, type RecoveredLogs } from './recovery.js';
import type { LogParts } from './region-log.js';
import { RowReader } from './row-reader.js';
import { RowTable } from './row-table.js';
import { errorOf, type LogLink, type StartLogLink, ThreadLink } from './thread-link.js';

export interface LogStoreOptions {
  /** Directory of the log's files; made when it is missing. */
  readonly dir: string;
  /** Cluster and node that own the directory; another owner's directory is refused. */
  readonly clusterId: string;
  readonly nodeId: number;
  /** Bytes of entries held in memory; default limits.logCacheBytesMax. A quarter is for rows read back. */
  readonly cacheBytesMax?: number;
  /** Bytes up to which waiting commits become one transaction; default 8 MiB. */
  readonly commitBytesMax?: number;
  /** Bytes of the write-ahead log after which it is copied into the file; default 8 MiB. */
  readonly checkpointBytes?: number;
  /** Dead bytes in live rows that are never worth a rewrite; default 4 MiB. */
  readonly garbageBytesMin?: number;
  /** Bound of the file in bytes; a write beyond fails the log with LOG_IO. Default: none. */
  readonly fileBytesMax?: number;
  readonly clock?: Clock;
}

const MiB = 1 << 20;
/** A quarter of the cache is for rows read back. */
const rowCacheShare = 0.25;

/**
 * Opens the log in `options.dir` and recovers it. Rejects with DIR_UNUSABLE, DIR_LOCKED (another process
 * has it open), DIR_FOREIGN (another node or cluster), DIR_FORMAT_NEWER, SYNC_DISABLED, LOG_CORRUPT, LOG_IO
 * or INVALID_ARGUMENT, with nothing changed and nothing held.
 */
export function openLogStore(options: LogStoreOptions): Promise<SqliteLogStore> {
  return openLogStoreOver(options, (thread, listener) => new ThreadLink(thread, listener));
}

/** The same over a thread, or what stands for one, that `start` gives. */
export async function openLogStoreOver(
  options: LogStoreOptions,
  start: StartLogLink,
): Promise<SqliteLogStore> {
  checkOptions(options);
  const threadOptions: ThreadOptions = {
    dir: options.dir,
    clusterId: options.clusterId,
    nodeId: options.nodeId,
    commitBytesMax: options.commitBytesMax ?? 8 * MiB,
    checkpointBytes: options.checkpointBytes ?? 8 * MiB,
    fileBytesMax: options.fileBytesMax ?? 0,
  };
  const clock = options.clock ?? systemClock;
  const garbageBytesMin = options.garbageBytesMin ?? 4 * MiB;
  const cacheBytesMax = options.cacheBytesMax ?? limits.logCacheBytesMax;
  const { parts, reads } = createParts(cacheBytesMax, clock);
  const found = await recover(threadOptions, start, parts);
  const { link, states, recovered } = found;
  const amnesia = states.amnesia || recovered.loss;
  const metas = new Map(states.metas.map(({ key, value }) => [key, value]));
  const { incarnation, storeId } = states;
  const opened: OpenedLog = {
    link,
    parts,
    recovered,
    metas,
    incarnation,
    storeId,
    amnesia,
    garbageBytesMin,
    clock,
    reads,
  };
  return new SqliteLogStore(opened);
}

/** Makes the store amnesiac for its later openings, too. */
async function noteAmnesia(link: LogLink, loss: string): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    link.listen({
      onMessage(message) {
        if (message.type === 'amnesia') resolve();
        else if (message.type === 'failed') reject(errorOf(message.error));
      },
      onBroken: reject,
    });
    link.post({ type: 'noteAmnesia', loss });
  });
}

function checkOptions(options: LogStoreOptions): void {
  const { dir, clusterId, nodeId } = options;
  if (dir === '')
    throw new MokuError('DIR_UNUSABLE', { field: 'dir', found: '', expected: 'a path' });
  if (clusterId === '') {
    throw new MokuError('INVALID_ARGUMENT', { field: 'clusterId', found: '', expected: 'a name' });
  }
  if (!Number.isSafeInteger(nodeId) || nodeId < 1) {
    throw new MokuError('INVALID_ARGUMENT', { field: 'nodeId', found: nodeId, min: 1 });
  }
  for (const field of [
    'cacheBytesMax',
    'commitBytesMax',
    'checkpointBytes',
    'garbageBytesMin',
    'fileBytesMax',
  ] as const) {
    const found = options[field];
    if (found === undefined || (Number.isSafeInteger(found) && found >= 0)) continue;
    throw new MokuError('INVALID_ARGUMENT', { field, found, min: 0 });
  }
}

function createParts(
  cacheBytesMax: number,
  clock: Clock,
): { parts: LogParts; reads: OpenedLog['reads'] } {
  const rowCacheBytes = Math.floor(cacheBytesMax * rowCacheShare);
  const reads: OpenedLog['reads'] = {
    request() {
      throw new MokuError('CLOSED', { field: 'log' });
    },
  };
  const source = {
    request: (seqs: readonly number[]) => reads.request(seqs),
    monotonicMs: () => clock.monotonicMs(),
    after: (delayMs: number, task: () => void) => {
      clock.after(delayMs, task);
    },
  };
  const table = new RowTable();
  const parts = {
    table,
    cache: new EntryCache(cacheBytesMax - rowCacheBytes),
    reader: new RowReader(source, table, rowCacheBytes),
  };
  return { parts, reads };
}

interface Found {
  readonly link: LogLink;
  readonly recovered: RecoveredLogs;
  readonly states: Extract<FromThread, { type: 'states' }>;
}

/**
 * Starts the thread, takes in what it finds and builds the logs from it. Whatever fails, the thread has
 * ended before this rejects, and with it every hold on the files.
 */
async function recover(
  options: ThreadOptions,
  start: StartLogLink,
  parts: LogParts,
): Promise<Found> {
  const recovery = new LogRecovery();
  let states: Found['states'] | undefined;
  let link: LogLink | undefined;
  try {
    await new Promise<void>((resolve, reject) => {
      link = start(options, {
        onMessage(message) {
          try {
            if (message.type === 'states') {
              states = message;
              recovery.takeStates(message.states);
            } else if (message.type === 'rows') recovery.takeRows(message);
            else if (message.type === 'refused') reject(errorOf(message.error));
            else if (message.type === 'opened') resolve();
          } catch (error) {
            reject(error);
          }
        },
        onBroken: reject,
      });
    });
    if (link === undefined || states === undefined) {
      throw new MokuError('INTERNAL', { operation: 'open log' });
    }
    const recovered = recovery.finish(parts);
    if (recovered.loss !== '') await noteAmnesia(link, recovered.loss);
    return { link, recovered, states };
  } catch (error) {
    await link?.terminate();
    throw error;
  }
}
