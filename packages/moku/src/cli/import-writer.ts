/**
 * Writes imported records, many at a time.
 *
 * Invariants:
 *  J1 Records of one key are written in the order of their lines: a key belongs to one lane, and a lane
 *     has one request under way.
 *  J2 Memory is bounded: a lane that is full and busy makes the reader wait.
 *  J3 After a failure nothing more is begun; `written` counts what certainly was written.
 */
import { hash32, MokuError, utf8 } from '@moku/base';
import type { CallOptions, Key, Keyspace } from '@moku/client';
import { codedError } from './errors.js';
import type { ImportRecord } from './import-lines.js';

const laneCount = 4;
const laneRecordsMax = 2_000;
/** Of keys, and of values as far as their size is known before they are packed. */
const laneBytesMax = 512 * 1024;

export interface ImportWriterOptions {
  readonly keyspace: Pick<Keyspace<unknown>, 'putMany'>;
  readonly call: CallOptions;
  readonly onWritten: (written: number) => void;
}

export class ImportWriter {
  private readonly lanes: readonly Lane[];
  private readonly options: ImportWriterOptions;
  private failure: MokuError | undefined;
  written = 0;

  constructor(options: ImportWriterOptions) {
    this.options = options;
    this.lanes = Array.from({ length: laneCount }, () => new Lane());
  }

  /** Takes a record whose line has `lineBytes`; waits while its lane is full. Throws what a write threw. */
  async add(record: ImportRecord, lineBytes: number): Promise<void> {
    if (this.failure !== undefined) throw this.failure;
    const lane = this.lanes[laneOf(record.key)];
    if (lane === undefined) return;
    lane.records.push([record.key, record.value]);
    lane.bytes += lineBytes;
    if (lane.records.length >= laneRecordsMax || lane.bytes >= laneBytesMax) await this.send(lane);
  }

  /** Writes what waits, unless something failed, and waits for what is under way. Throws the first failure. */
  async finish(): Promise<void> {
    await Promise.all(this.lanes.map((lane) => this.send(lane)));
    await this.settle();
    if (this.failure !== undefined) throw this.failure;
  }

  /** Waits for what is under way. */
  async settle(): Promise<void> {
    await Promise.all(this.lanes.map((lane) => lane.underWay));
  }

  private async send(lane: Lane): Promise<void> {
    await lane.underWay;
    if (this.failure !== undefined || lane.records.length === 0) return;
    const { records } = lane;
    lane.records = [];
    lane.bytes = 0;
    lane.underWay = this.write(records);
  }

  /** Never rejects: the first failure ends the import and is thrown by `add` and `finish`. */
  private async write(records: readonly (readonly [Key, unknown])[]): Promise<void> {
    const { keyspace, call, onWritten } = this.options;
    try {
      const { written } = await keyspace.putMany(records, call);
      this.written += written;
      onWritten(this.written);
    } catch (error) {
      const coded = codedError(error);
      this.written += Number(coded.details['written'] ?? 0);
      this.failure ??= coded;
    }
  }
}

class Lane {
  records: (readonly [Key, unknown])[] = [];
  bytes = 0;
  underWay: Promise<void> = Promise.resolve();
}

function laneOf(key: Key): number {
  return hash32(typeof key === 'string' ? utf8(key) : key) % laneCount;
}

/** The failure of an import as a whole: what it wrote counts, whatever ended it. */
export function importError(error: unknown, written: number, line: number): MokuError {
  const coded = codedError(error);
  const details = { line, ...coded.details, written };
  const whole = new MokuError(coded.code, details, { cause: coded });
  return whole.withOutcome(written > 0 ? 'maybe' : coded.outcome);
}
