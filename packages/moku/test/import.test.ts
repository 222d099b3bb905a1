import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { limits, MokuError } from '@moku/base';
import { afterAll, describe, expect, it } from 'vitest';
import { boundsFor } from '../src/cli/import-bounds.js';
import { type ImportRecord, type LineForms, readRecords } from '../src/cli/import-lines.js';
import { ImportWriter } from '../src/cli/import-writer.js';
import { FakeDatabase, FakeKeyspace } from './support/fake-database.js';
import { run } from './support/run.js';
import { testTerminal } from './support/terminal.js';

const forms: LineForms = { format: undefined, values: 'json', keys: 'utf8' };

const dir = mkdtempSync(join(tmpdir(), 'moku-import-'));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

function fileOf(name: string, content: string | Uint8Array): string {
  const file = join(dir, name);
  writeFileSync(file, content);
  return file;
}

async function* pieces(content: string | Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  const bytes = Buffer.from(content);
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

interface Read {
  readonly records: ImportRecord[];
  readonly error: MokuError | undefined;
}

async function read(content: string | Uint8Array, given = forms, size = 7): Promise<Read> {
  const records: ImportRecord[] = [];
  try {
    for await (const block of readRecords(pieces(content, size), given)) {
      records.push(...block.records);
    }
  } catch (error) {
    if (!(error instanceof MokuError)) throw error;
    return { records, error };
  }
  return { records, error: undefined };
}

describe('lines become records', () => {
  const expected = [
    { key: 'a', value: 1 },
    { key: 'ü', value: { x: 'é' } },
  ];

  it('however the input is cut into pieces', async () => {
    const content = '{"key":"a","value":1}\n{"key":"ü","value":{"x":"é"}}\n';
    for (let size = 1; size < 40; size++) {
      expect(await read(content, forms, size), `pieces of ${size}`).toEqual({
        records: expected,
        error: undefined,
      });
    }
  });

  it('with tabs, without a last newline, with empty lines, CR and a byte order mark', async () => {
    const { records, error } = await read('\ufeffa\t1\r\n\r\n\nü\t{"x":"é"}');
    expect(error).toBeUndefined();
    expect(records).toEqual(expected);
  });

  it('values of tab lines keep their tabs', async () => {
    const { records } = await read('k\ta\tb\n', { ...forms, values: 'utf8' });
    expect(records).toEqual([{ key: 'k', value: 'a\tb' }]);
  });

  it('versions as `moku scan --json` writes them are left out', async () => {
    const { records } = await read('{"key":"a","value":1,"version":7}');
    expect(records).toEqual([{ key: 'a', value: 1 }]);
  });

  it('keys may be hex and values base64', async () => {
    const { records } = await read('{"key":"00ff","value":"AQI="}', {
      format: 'jsonl',
      values: 'bytes',
      keys: 'hex',
    });
    expect(records).toEqual([{ key: new Uint8Array([0, 255]), value: new Uint8Array([1, 2]) }]);
  });
});

describe('a bad line is named, and what stood before it is given out', () => {
  const good = '{"key":"a","value":1}\n';
  const cases: [string, string | Uint8Array, string, Record<string, unknown>][] = [
    ['no JSON', `${good}{"key"\n`, 'INVALID_ARGUMENT', {}],
    ['no key', `${good}{"value":1}\n`, 'INVALID_ARGUMENT', {}],
    ['no value', `${good}{"key":"b"}\n`, 'INVALID_ARGUMENT', {}],
    ['a key that is a number', `${good}{"key":5,"value":1}\n`, 'INVALID_ARGUMENT', {}],
    ['an expiry', `${good}{"key":"b","value":1,"expiresAtMs":5}\n`, 'INVALID_ARGUMENT', {}],
    ['null', `${good}null\n`, 'INVALID_ARGUMENT', {}],
    ['an empty key', `${good}{"key":"","value":1}\n`, 'KEY_EMPTY', { part: 'key' }],
    [
      'a key too large',
      `${good}{"key":"${'k'.repeat(limits.keyBytesMax + 1)}","value":1}\n`,
      'KEY_TOO_LARGE',
      { bytes: limits.keyBytesMax + 1, max: limits.keyBytesMax },
    ],
    [
      'a value too large',
      `${good}{"key":"b","value":"${'v'.repeat(limits.valueBytesMax)}"}\n`,
      'VALUE_TOO_LARGE',
      { bytes: limits.valueBytesMax + 2, max: limits.valueBytesMax },
    ],
    [
      'no UTF-8',
      Buffer.concat([Buffer.from(good), Buffer.from([0x22, 0xff, 0x0a])]),
      'INVALID_ARGUMENT',
      { rule: 'UTF-8' },
    ],
    [
      'a line without end',
      Buffer.concat([Buffer.from(good), Buffer.alloc(8 * limits.valueBytesMax + 10, 0x61)]),
      'INVALID_ARGUMENT',
      { max: 8 * limits.valueBytesMax },
    ],
  ];
  it.each(cases)('%s', async (_name, content, code, details) => {
    const { records, error } = await read(content, forms, 1 << 20);
    expect(records).toEqual([{ key: 'a', value: 1 }]);
    expect(error?.code).toBe(code);
    expect(error?.details).toMatchObject({ field: 'line', line: 2, ...details });
  });

  it('a tab line without tab, or with a value that is no JSON', async () => {
    const { error } = await read('a\t1\nb 2\n');
    expect(error?.details).toMatchObject({ line: 2, rule: 'key, tab, value' });
    const other = await read('a\thello\n');
    expect(other.error?.code).toBe('VALUE_NOT_ENCODABLE');
    expect(other.error?.message).toContain('--values utf8');
    expect(other.error?.details).toMatchObject({ line: 1 });
  });
});

describe('the writer', () => {
  it('writes records of one key in their order, and every record once', async () => {
    const keyspace = new FakeKeyspace('k', 'hash');
    const writer = new ImportWriter({ keyspace, call: {}, onWritten: () => {} });
    const total = 20_000;
    for (let i = 0; i < total; i++) await writer.add({ key: `key${i % 500}`, value: i }, 20);
    await writer.finish();
    expect(writer.written).toBe(total);
    for (let i = 0; i < 500; i++) {
      expect(keyspace.records.get(`key${i}`)?.value, `key${i}`).toBe(total - 500 + i);
    }
  });

  it('begins nothing more after a failure and counts what was written', async () => {
    const keyspace = new FakeKeyspace('k', 'hash');
    keyspace.failures.set('key4500', new MokuError('UNAVAILABLE', {}));
    const writer = new ImportWriter({ keyspace, call: {}, onWritten: () => {} });
    const work = async (): Promise<void> => {
      for (let i = 0; i < 50_000; i++) await writer.add({ key: `key${i}`, value: i }, 20);
      await writer.finish();
    };
    await expect(work()).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    await writer.settle();
    expect(writer.written).toBe(keyspace.writes.length);
    expect(writer.written).toBeLessThan(20_000);
  });
});

describe('bounds of a range keyspace', () => {
  async function* blocks(count: number) {
    const records = Array.from({ length: count }, (_, i) => {
      return { key: `key${String((i * 7919) % count).padStart(6, '0')}`, value: i };
    });
    yield { records, line: count, bytes: 0 };
  }

  it('cut the keys of the file into even shares, also when they are only sampled', async () => {
    const bounds = await boundsFor(blocks(100_000), 4);
    const cuts = bounds.map((bound) => Number(Buffer.from(bound).toString().slice(3)));
    expect(cuts).toHaveLength(3);
    for (const [i, cut] of cuts.entries()) {
      expect(Math.abs(cut - 25_000 * (i + 1)), `cut ${i}`).toBeLessThan(2_500);
    }
  });

  it('more regions than keys are refused with the bound', async () => {
    await expect(boundsFor(blocks(3), 4)).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
      details: { field: '--regions', value: 4, max: 3 },
    });
  });
});

describe('moku import', () => {
  it('makes the keyspace when told how, and says what it wrote', async () => {
    const db = new FakeDatabase();
    const file = fileOf('a.jsonl', '{"key":"a","value":1}\n{"key":"b","value":2}\n');
    const args = ['import', 'k', file, '--mode', 'hash', '--regions', '8', '--json'];
    const { exitCode, out } = await run(args, db);
    expect(exitCode).toBe(0);
    expect(JSON.parse(out)).toMatchObject({ ok: true, keyspace: 'k', lines: 2, written: 2 });
    expect(db.opened[0]).toMatchObject({ mode: 'hash', regions: 8, values: 'json' });
    expect(db.keyspaces.get('k')?.records.get('b')?.value).toBe(2);
  });

  it('cuts a new range keyspace where the keys of the file are', async () => {
    const db = new FakeDatabase();
    const lines = Array.from({ length: 100 }, (_, i) => `k${String(i).padStart(3, '0')}\t${i}`);
    const file = fileOf('r.tsv', lines.join('\n'));
    const { exitCode } = await run(['import', 'r', file, '--mode', 'range', '--regions', '4'], db);
    expect(exitCode).toBe(0);
    const bounds = db.opened.at(-1)?.bounds ?? [];
    expect(bounds.map((bound) => Buffer.from(bound).toString())).toEqual(['k025', 'k050', 'k075']);
  });

  it('writes what stands before a bad line, nothing after it, and tells both', async () => {
    const db = new FakeDatabase();
    const keyspace = db.add('k');
    const file = fileOf('bad.tsv', 'a\t1\nb\t2\nc\nd\t4\n');
    const { exitCode, out } = await run(['import', 'k', file, '--json'], db);
    expect(exitCode).toBe(3);
    expect(JSON.parse(out)).toMatchObject({
      ok: false,
      error: { code: 'INVALID_ARGUMENT', outcome: 'maybe', details: { line: 3, written: 2 } },
    });
    expect([...keyspace.records.keys()].sort()).toEqual(['a', 'b']);
  });

  it('a first line that is bad has no effect', async () => {
    const db = new FakeDatabase();
    const keyspace = db.add('k');
    const { exitCode, err } = await run(['import', 'k', fileOf('bad1.tsv', 'nothing\n')], db);
    expect(exitCode).toBe(2);
    expect(err).toContain('line=1');
    expect(err).toContain('written=0');
    expect(keyspace.records.size).toBe(0);
  });

  it('reads standard input', async () => {
    const db = new FakeDatabase();
    const keyspace = db.add('k');
    const terminal = testTerminal({ stdin: 'a\tx\nb\ty\n' });
    const { exitCode, out } = await run(['import', 'k', '-', '--values', 'utf8'], db, terminal);
    expect(exitCode).toBe(0);
    expect(out).toMatch(/^2 records written into k in /);
    expect(keyspace.records.get('b')?.value).toBe('y');
  });

  it('a keyspace that does not exist, a file that does not, and options that do not go together', async () => {
    const file = fileOf('x.tsv', 'a\t1\n');
    expect((await run(['import', 'k', file])).exitCode).toBe(1);
    expect((await run(['import', 'k', file])).err).toContain('KEYSPACE_UNKNOWN');
    const missing = await run(['import', 'k', join(dir, 'none')]);
    expect(missing).toMatchObject({ exitCode: 2 });
    expect(missing.err).toContain('field=FILE');
    expect((await run(['import', 'k', dir])).exitCode).toBe(2);
    expect((await run(['import', 'k', file, '--regions', '4'])).err).toContain('field=--regions');
    const piped = ['import', 'k', '-', '--mode', 'range', '--regions', '4'];
    expect((await run(piped)).err).toContain('field=--bounds');
  });
});
