/**
 * A small state machine: registers that commands overwrite, a digest over everything applied, and a
 * record of which command was applied how often. Its durable picture lags behind, as an engine's does.
 */
import {
  ByteReader,
  ByteWriter,
  concatBytes,
  hash64,
  MokuError,
  type RegionId,
  text,
  utf8,
} from '@moku/base';
import type { CommandResult, Entry, SnapshotSink, SnapshotSource, StateMachine } from '@moku/raft';

/** Everything a machine holds: immutable, so that a picture is a reference. */
interface State {
  readonly appliedIndex: number;
  readonly appliedTerm: number;
  readonly digest: bigint;
  readonly values: ReadonlyMap<string, string>;
}

const emptyState: State = {
  appliedIndex: 0,
  appliedTerm: 0,
  digest: 0n,
  values: new Map(),
};

/** The durable states of one node, surviving its crashes. */
export class Disk {
  readonly states = new Map<RegionId, State>();
  /** Regions whose state cannot be read. */
  readonly unreadable = new Set<RegionId>();
}

/** Digests of every machine at every index, so that any difference between replicas shows at once. */
export class DigestBook {
  private readonly digests = new Map<string, string>();
  entriesCompared = 0;

  note(regionId: RegionId, index: number, digest: bigint): void {
    const key = `${regionId}/${index}`;
    const known = this.digests.get(key);
    if (known === undefined) this.digests.set(key, String(digest));
    else if (known !== String(digest)) throw new TypeError(`digests differ at ${key}`);
    else this.entriesCompared++;
  }
}

/** Bytes of a command: writes `value` under `key`. */
export function put(key: string, value: string): Uint8Array {
  return utf8(`${key}=${value}`);
}

const chunkBytes = 512;

export class TestMachine implements StateMachine {
  private readonly regionId: RegionId;
  private readonly disk: Disk;
  private readonly book: DigestBook;
  private state: State;
  /** The next apply throws this. */
  failure: Error | undefined;
  installs = 0;

  constructor(regionId: RegionId, disk: Disk, book: DigestBook) {
    if (disk.unreadable.has(regionId)) throw new MokuError('ENGINE_CORRUPT', { regionId });
    this.regionId = regionId;
    this.disk = disk;
    this.book = book;
    this.state = disk.states.get(regionId) ?? emptyState;
  }

  get appliedIndex(): number {
    return this.state.appliedIndex;
  }

  get appliedTerm(): number {
    return this.state.appliedTerm;
  }

  get digest(): bigint {
    return this.state.digest;
  }

  get(key: string): string | undefined {
    return this.state.values.get(key);
  }

  durableIndex(): number {
    return this.disk.states.get(this.regionId)?.appliedIndex ?? 0;
  }

  flush(): void {
    this.disk.states.set(this.regionId, this.state);
  }

  encodeEntry(commands: readonly Uint8Array[], wallMs: number): Uint8Array {
    const writer = new ByteWriter();
    writer.uvarint(Math.floor(wallMs));
    writer.uvarint(commands.length);
    for (const command of commands) writer.bytes(command);
    return writer.take();
  }

  apply(entry: Entry): readonly CommandResult[] {
    if (this.failure !== undefined) throw this.failure;
    if (entry.index !== this.state.appliedIndex + 1) throw new TypeError('applied out of order');
    const results: CommandResult[] = [];
    const values = new Map(this.state.values);
    if (entry.kind === 'normal' && entry.data.length > 0) {
      const reader = new ByteReader(entry.data);
      reader.uvarint();
      const count = reader.uvarint();
      for (let i = 0; i < count; i++) {
        const [key, value] = text(reader.bytes()).split('=') as [string, string];
        const former = values.get(key) ?? '';
        // Writers of such keys count up: a command applied twice, or behind a later one, shows.
        if (key.startsWith('up') && Number(value) <= Number(former)) {
          throw new TypeError(`${key}: ${value} applied after ${former}`);
        }
        results.push(utf8(former));
        values.set(key, value);
      }
    }
    const head = utf8(`${this.state.digest}/${entry.index}/${entry.term}/${entry.kind}/`);
    const digest = hash64(concatBytes([head, entry.data]));
    this.state = { appliedIndex: entry.index, appliedTerm: entry.term, digest, values };
    this.book.note(this.regionId, entry.index, digest);
    return results;
  }

  snapshot(): SnapshotSource {
    const { appliedIndex, appliedTerm } = this.state;
    const bytes = encodeState(this.state);
    let at = 0;
    return {
      index: appliedIndex,
      term: appliedTerm,
      next: () => {
        if (at >= bytes.length) return undefined;
        const chunk = bytes.slice(at, at + chunkBytes);
        at += chunk.length;
        return chunk;
      },
      close: () => {},
    };
  }

  install(index: number, term: number): SnapshotSink {
    const chunks: Uint8Array[] = [];
    return {
      write: (chunk) => void chunks.push(chunk.slice()),
      finish: () => {
        const state = decodeState(concatBytes(chunks));
        if (state.appliedIndex !== index || state.appliedTerm !== term) {
          throw new MokuError('FRAME_CORRUPT', { field: 'snapshot' });
        }
        this.state = state;
        this.installs++;
        this.book.note(this.regionId, index, state.digest);
      },
      abort: () => {},
    };
  }
}

function encodeState(state: State): Uint8Array {
  const writer = new ByteWriter();
  writer.uvarint(state.appliedIndex);
  writer.uvarint(state.appliedTerm);
  writer.u64(state.digest);
  writer.uvarint(state.values.size);
  for (const [key, value] of state.values) {
    writer.string(key);
    writer.string(value);
  }
  return writer.take();
}

function decodeState(bytes: Uint8Array): State {
  const reader = new ByteReader(bytes);
  const appliedIndex = reader.uvarint();
  const appliedTerm = reader.uvarint();
  const digest = reader.u64();
  const count = reader.uvarint();
  const values = new Map<string, string>();
  for (let i = 0; i < count; i++) values.set(reader.string(), reader.string());
  reader.finish();
  return { appliedIndex, appliedTerm, digest, values };
}
