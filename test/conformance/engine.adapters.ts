/**
 * The engines that the conformance suite runs on, behind one way to open, settle and restart them.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Clock, RegionId, ReplicaId, TimerHandle, Timestamp } from '@moku/base';
import { utf8 } from '@moku/base';
import { createMemoryEngine, type Engine, type ScanRange, type VersionedValue } from '@moku/kv';
import { openEngine, type SqliteEngine } from '@moku/storage';

export interface EngineHost {
  readonly engine: Engine;
  /** Begins to make durable what was written, without waiting for it. */
  beginFlush(): void;
  /** Lets a flush under way get on a little. */
  progress(): Promise<void>;
  /** Makes everything written durable. */
  settle(): Promise<void>;
  /** Closes the engine in good order and opens it again. */
  reopen(): Promise<void>;
  dispose(): Promise<void>;
}

export interface EngineAdapter {
  readonly name: string;
  open(options?: { readonly overlayBytesMax?: number }): Promise<EngineHost>;
}

/** A clock whose tasks run when the test says so; its time stands still. */
export class SteppedClock implements Clock {
  private readonly tasks: (() => void)[] = [];

  monotonicMs(): number {
    return 0;
  }

  wallMs(): number {
    return 0;
  }

  after(): TimerHandle {
    return { cancel: () => {} };
  }

  soon(task: () => void): void {
    this.tasks.push(task);
  }

  /** Runs the oldest waiting task. */
  step(): void {
    this.tasks.shift()?.();
  }
}

/** A real engine whose writing goes on as `clock` is stepped; `end` comes after its last closing. */
export async function steppedEngine(
  open: () => Promise<SqliteEngine>,
  clock: SteppedClock,
  end: () => void = () => {},
): ReturnType<EngineAdapter['open']> {
  let engine = await open();
  const progress = (): Promise<void> => {
    clock.step();
    return new Promise((resolve) => setImmediate(resolve));
  };
  const run = async (task: Promise<void>): Promise<void> => {
    let isDone = false;
    const done = task.finally(() => {
      isDone = true;
    });
    while (!isDone) await progress();
    await done;
  };
  return {
    get engine() {
      return engine;
    },
    beginFlush() {
      engine.requestFlush();
      clock.step();
    },
    progress,
    async settle() {
      await run(engine.flush());
    },
    async reopen() {
      await run(engine.close());
      engine = await open();
    },
    async dispose() {
      await run(engine.close());
      end();
    },
  };
}

const sqlite: EngineAdapter = {
  name: 'sqlite',
  async open(options = {}) {
    const dir = mkdtempSync(join(tmpdir(), 'moku-engine-'));
    const clock = new SteppedClock();
    const end = (): void => rmSync(dir, { recursive: true });
    return steppedEngine(() => openEngine({ dir, clock, ...options }), clock, end);
  },
};

const memory: EngineAdapter = {
  name: 'memory',
  async open(options = {}) {
    const engine = createMemoryEngine(options);
    return {
      engine,
      beginFlush() {},
      async progress() {},
      async settle() {
        engine.flush();
      },
      async reopen() {
        engine.flush();
        engine.crash();
      },
      async dispose() {},
    };
  },
};

export const engineAdapters: readonly EngineAdapter[] = [sqlite, memory];

export const regionA = 1 as RegionId;
export const regionB = 2 as RegionId;
export const replica1 = 1 as ReplicaId;
export const replica2 = 2 as ReplicaId;
export const latest = Number.MAX_SAFE_INTEGER as Timestamp;

export function version(key: string, timestamp: number, value: string | undefined): VersionedValue {
  return {
    key: utf8(key),
    timestamp: timestamp as Timestamp,
    value: value === undefined ? undefined : utf8(value),
  };
}

/** Puts and removes as one write of `regionId` at `index`. */
export function apply(
  engine: Engine,
  regionId: RegionId,
  index: number,
  puts: readonly VersionedValue[],
  removes: readonly VersionedValue[] = [],
): void {
  engine.write({ regionId, appliedIndex: index, appliedTerm: 1, puts, removes });
}

export function range(fields: Partial<ScanRange> = {}): ScanRange {
  return {
    start: utf8(''),
    end: undefined,
    isReverse: false,
    at: latest,
    recordsMax: 1_000,
    bytesMax: 1_000_000,
    ...fields,
  };
}

/** `key@timestamp=value`, for comparisons that read well when they fail. */
export function shown(found: VersionedValue | undefined): string | undefined {
  if (found === undefined) return undefined;
  const decoder = new TextDecoder();
  const value = found.value === undefined ? '(deleted)' : decoder.decode(found.value);
  return `${decoder.decode(found.key)}@${found.timestamp}=${value}`;
}

export function shownAll(found: readonly VersionedValue[]): string[] {
  return found.map((one) => shown(one) ?? '');
}
