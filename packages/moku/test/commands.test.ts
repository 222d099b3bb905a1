import { limits, MokuError, type NodeId, type RegionId, type ReplicaId } from '@moku/base';
import type { RegionReport } from '@moku/client';
import { describe, expect, it } from 'vitest';
import { exitCodeOf } from '../src/cli/exit-codes.js';
import { duration } from '../src/cli/status.js';
import { FakeDatabase } from './support/fake-database.js';
import { run } from './support/run.js';
import { testTerminal } from './support/terminal.js';

async function withKeyspace() {
  const db = new FakeDatabase();
  const keyspace = db.add('k');
  await keyspace.put('a', { n: 1 });
  await keyspace.put('b', 'text');
  return { db, keyspace };
}

describe('usage', () => {
  it('help and version are no failure', async () => {
    const help = await run(['--help']);
    expect(help.exitCode).toBe(0);
    for (const part of ['serve', 'import', 'Exit codes:', 'Examples:'])
      expect(help.out).toContain(part);
    const version = await run(['--version']);
    expect(version.exitCode).toBe(0);
    expect(version.out).toMatch(/^\d+\.\d+\.\d+\n$/);
  });

  it('every command has help with an example or needs none', async () => {
    const commands = ['serve', 'dev', 'get', 'put', 'del', 'scan', 'import', 'create', 'regions'];
    for (const name of [...commands, 'transfer']) {
      const { exitCode, out } = await run([name, '--help']);
      expect(exitCode).toBe(0);
      expect(out, name).toMatch(/Examples?:/);
    }
  });

  it('no command prints the help to stderr and is refused', async () => {
    const { exitCode, out, err } = await run([]);
    expect(exitCode).toBe(2);
    expect(out).toBe('');
    expect(err).toContain('Usage: moku');
  });

  const wrong: [string, string[], string][] = [
    ['a command that is none', ['gte', 'k', 'a'], 'Did you mean get?'],
    ['an option that is none', ['get', 'k', 'a', '--vlues', 'utf8'], 'Did you mean --values?'],
    ['an argument too few', ['get', 'k'], "missing required argument 'key'"],
    ['an argument too many', ['get', 'k', 'a', 'b'], 'too many arguments'],
    ['an option without value', ['get', 'k', 'a', '--timeout'], '--timeout'],
    ['a timeout of NaN', ['get', 'k', 'a', '--timeout', 'NaN'], 'field=--timeout value=NaN'],
    ['a timeout of 0', ['get', 'k', 'a', '--timeout', '0'], 'min=1'],
    ['a timeout too long', ['get', 'k', 'a', '--timeout', '600001'], `max=${limits.timeoutMsMax}`],
    [
      'a form that is none',
      ['get', 'k', 'a', '--values', 'xml'],
      'allowed=json|utf8|bytes|msgpack',
    ],
    ['a limit below 0', ['scan', 'k', '--limit', '-1'], 'field=--limit value=-1'],
    ['a fraction', ['scan', 'k', '--limit', '1.5'], 'field=--limit value=1.5'],
    ['a region that is no number', ['transfer', 'x', '1'], 'field=REGION value=x'],
    ['a node too large', ['transfer', '1', '65536'], 'max=65535'],
    ['two conditions', ['put', 'k', 'a', '1', '--if-absent', '--if-present'], 'max=1'],
    ['a value that is not JSON', ['put', 'k', 'a', 'hello'], '--values utf8'],
    ['no mode', ['create', 'k'], 'field=--mode'],
    ['bounds of hash', ['create', 'k', '--mode', 'hash', '--bounds', 'a'], 'field=--bounds'],
    [
      'regions that do not fit the bounds',
      ['create', 'k', '--mode', 'range', '--bounds', 'a,b', '--regions', '2'],
      'expected=3',
    ],
    [
      'range regions without bounds',
      ['create', 'k', '--mode', 'range', '--regions', '2'],
      '--bounds',
    ],
    ['options of a client before serve', ['--nodes', 'a:1', 'serve'], 'field=--nodes'],
  ];
  it.each(wrong)('%s is refused with exit code 2', async (_name, args, part) => {
    const { db } = await withKeyspace();
    const { exitCode, out, err } = await run(args, db);
    expect(err).toContain(part);
    expect(err).toMatch(/^moku: [A-Z_]+: /);
    expect(exitCode).toBe(2);
    expect(out).toBe('');
  });

  it('with --json the refusal is JSON too', async () => {
    const { exitCode, out, err } = await run(['get', 'k', '--json']);
    expect(exitCode).toBe(2);
    expect(err).toBe('');
    expect(JSON.parse(out)).toMatchObject({
      ok: false,
      error: { code: 'INVALID_ARGUMENT', outcome: 'definite' },
    });
  });
});

describe('where nodes are', () => {
  it('behind the command beats before it, which beats MOKU_CONNECT, which beats the default', async () => {
    const { db } = await withKeyspace();
    const env = { MOKU_CONNECT: 'e:1,e:2' };
    const both = ['--nodes', 'b:1', 'get', 'k', 'a', '--nodes', 'c:1, c:2'];
    expect((await run(both, db, testTerminal({ env }))).nodes).toEqual(['c:1', 'c:2']);
    const before = ['--nodes', 'b:1', 'get', 'k', 'a'];
    expect((await run(before, db, testTerminal({ env }))).nodes).toEqual(['b:1']);
    const none = ['get', 'k', 'a'];
    expect((await run(none, db, testTerminal({ env }))).nodes).toEqual(['e:1', 'e:2']);
    expect((await run(none, db)).nodes).toEqual(['127.0.0.1:7400']);
  });

  it('the connection is closed, whatever became of the command', async () => {
    const { db } = await withKeyspace();
    await run(['get', 'k', 'a'], db);
    expect(db.isClosed).toBe(true);
    const other = new FakeDatabase();
    expect((await run(['get', 'unknown', 'a'], other)).exitCode).toBe(1);
    expect(other.isClosed).toBe(true);
  });
});

describe('get', () => {
  it('prints the value, with --json its version', async () => {
    const { db } = await withKeyspace();
    expect(await run(['get', 'k', 'a'], db)).toMatchObject({ exitCode: 0, out: '{"n":1}\n' });
    expect(await run(['get', 'k', 'b', '--values', 'utf8'], db)).toMatchObject({ out: 'text\n' });
    const { out } = await run(['--json', 'get', 'k', 'a'], db);
    expect(JSON.parse(out)).toEqual({ key: 'a', found: true, value: { n: 1 }, version: 101 });
  });

  it('prints bytes as they are', async () => {
    const { db, keyspace } = await withKeyspace();
    await keyspace.put('c', new Uint8Array([0, 255, 10]));
    const { outBytes } = await run(['get', 'k', 'c', '--values', 'bytes'], db);
    expect(outBytes).toEqual(Buffer.from([0, 255, 10]));
  });

  it('a key that is not there gives exit code 4 and nothing on stdout', async () => {
    const { db } = await withKeyspace();
    expect(await run(['get', 'k', 'x'], db)).toMatchObject({ exitCode: 4, out: '' });
    const { exitCode, out } = await run(['get', 'k', 'x', '--json'], db);
    expect(exitCode).toBe(4);
    expect(JSON.parse(out)).toEqual({ key: 'x', found: false });
  });

  it('an empty key is refused', async () => {
    const { db } = await withKeyspace();
    const { exitCode, err } = await run(['get', 'k', ''], db);
    expect(exitCode).toBe(2);
    expect(err).toContain('KEY_EMPTY: field=key');
  });
});

describe('put and del', () => {
  it('write, with conditions and time to live', async () => {
    const { db, keyspace } = await withKeyspace();
    const args = ['put', 'k', 'c', '[1]', '--if-absent', '--ttl', '5000'];
    expect(await run(args, db)).toMatchObject({ exitCode: 0, out: 'written, version 103\n' });
    expect(keyspace.puts.at(-1)).toMatchObject({ ifAbsent: true, ttlMs: 5000 });
    expect(keyspace.records.get('c')?.value).toEqual([1]);
  });

  it('a condition that does not hold gives exit code 4 and writes nothing', async () => {
    const { db, keyspace } = await withKeyspace();
    const { exitCode, out, err } = await run(['put', 'k', 'a', '2', '--if-absent'], db);
    expect({ exitCode, out }).toEqual({ exitCode: 4, out: '' });
    expect(err).toContain('the key has version 101');
    expect(keyspace.records.get('a')?.value).toEqual({ n: 1 });
    expect((await run(['put', 'k', 'a', '2', '--if-version', '7'], db)).exitCode).toBe(4);
    expect((await run(['put', 'k', 'a', '2', '--if-version', '101'], db)).exitCode).toBe(0);
  });

  it('a value of - is read from standard input', async () => {
    const { db, keyspace } = await withKeyspace();
    const terminal = testTerminal({ stdin: '{"from":"stdin"}\n' });
    expect((await run(['put', 'k', 'c', '-'], db, terminal)).exitCode).toBe(0);
    expect(keyspace.records.get('c')?.value).toEqual({ from: 'stdin' });
  });

  it('more on standard input than a value may hold is refused before anything is sent', async () => {
    const { db, keyspace } = await withKeyspace();
    const terminal = testTerminal({ stdin: Buffer.alloc(limits.valueBytesMax * 2 + 1, 0x31) });
    const { exitCode, err } = await run(['put', 'k', 'c', '-'], db, terminal);
    expect(exitCode).toBe(2);
    expect(err).toContain(`VALUE_TOO_LARGE: field=VALUE max=${limits.valueBytesMax}`);
    expect(keyspace.records.has('c')).toBe(false);
  });

  it('del says whether there was something to delete', async () => {
    const { db } = await withKeyspace();
    expect((await run(['del', 'k', 'a'], db)).out).toMatch(/^deleted, /);
    expect(await run(['del', 'k', 'a'], db)).toMatchObject({ exitCode: 0 });
    expect((await run(['del', 'k', 'a', '--if-present'], db)).exitCode).toBe(4);
  });
});

describe('scan', () => {
  it('prints lines that import reads, or JSON, or keys', async () => {
    const { db } = await withKeyspace();
    expect((await run(['scan', 'k'], db)).out).toBe('a\t{"n":1}\nb\t"text"\n');
    expect((await run(['scan', 'k', '--keys-only', '--reverse'], db)).out).toBe('b\na\n');
    const { out } = await run(['scan', 'k', '--json', '--limit', '1'], db);
    expect(JSON.parse(out)).toEqual({ key: 'a', value: { n: 1 }, version: 101 });
  });

  it('ten thousand records come out whole', async () => {
    const { db, keyspace } = await withKeyspace();
    for (let i = 0; i < 10_000; i++) await keyspace.put(`x${i}`, i);
    const { out } = await run(['scan', 'k', '--prefix', 'x'], db);
    expect(out.split('\n')).toHaveLength(10_001);
  });
});

function report(nodeId: number, more: Partial<RegionReport> = {}): RegionReport {
  return {
    regionId: 1 as RegionId,
    keyspaceId: 1,
    replicaId: nodeId as ReplicaId,
    role: nodeId === 2 ? 'leader' : 'follower',
    term: 3,
    leaderNodeId: 2 as NodeId,
    firstIndex: 1,
    lastIndex: 9,
    commitIndex: 9,
    appliedIndex: 8,
    logBytes: 0,
    confState: { voters: [], learners: [], votersOutgoing: [], learnersNext: [], autoLeave: false },
    peers: [],
    why: [],
    failure: undefined,
    startKey: '',
    endKey: '40000000aabbccdd',
    ...more,
  };
}

describe('nodes and regions', () => {
  it('status has a line for each node; one that is silent is named and gives exit code 1', async () => {
    const { db } = await withKeyspace();
    const all = await run(['status'], db);
    expect(all.exitCode).toBe(0);
    expect(all.out.split('\n').filter((line) => /^[123] /.test(line))).toHaveLength(3);
    expect(all.out).toContain('100 MiB');
    db.silent.add(2);
    const two = await run(['status'], db);
    expect(two.exitCode).toBe(1);
    expect(two.err).toContain('node 2 at 127.0.0.1:7402 does not answer: UNAVAILABLE');
    const lines = (await run(['status', '--json'], db)).out.trimEnd().split('\n');
    expect(lines.map((line) => JSON.parse(line).answers)).toEqual([true, false, true]);
  });

  it("regions takes the leader's word and says why a replica is not at rest", async () => {
    const { db } = await withKeyspace();
    db.reports = [report(1, { why: ['applyBehind'] }), report(2), report(3, { commitIndex: 4 })];
    const { out } = await run(['regions', '--why'], db);
    expect(out).toMatch(/1 +k +-∞ … 40000000 +node 2 +1 2 3 +3 +9\/8/);
    expect(out).toContain('node 1 has committed entries to apply');
    const one = await run(['regions', '--node', '3'], db);
    expect(one.out).toMatch(/follower .*4\/8/);
    const [line = ''] = (await run(['regions', '--json'], db)).out.split('\n');
    expect(JSON.parse(line)).toMatchObject({
      regionId: 1,
      keyspace: 'k',
      leaderNodeId: 2,
      term: 3,
    });
  });

  it('regions refuses a keyspace or a node that is none', async () => {
    const { db } = await withKeyspace();
    expect((await run(['regions', '--keyspace', 'x'], db)).err).toContain('KEYSPACE_UNKNOWN');
    expect((await run(['regions', '--node', '9'], db)).err).toContain('known=1,2,3');
  });

  it('transfer waits until the node leads', async () => {
    const { db } = await withKeyspace();
    db.leaders = [{ regionId: 1 as RegionId, nodeId: 2 }];
    const { exitCode, out } = await run(['transfer', '1', '3'], db);
    expect(exitCode).toBe(0);
    expect(out).toMatch(/^node 3 leads region 1 after \d+ ms/);
    expect(db.transfers).toEqual([{ regionId: 1, to: 3 }]);
    expect((await run(['transfer', '1', '3'], db)).out).toContain('already');
  });

  it('keyspaces lists, create makes once', async () => {
    const { db } = await withKeyspace();
    expect((await run(['keyspaces'], db)).out).toMatch(/k +hash/);
    const args = ['create', 'new', '--mode', 'range', '--bounds', 'g,m'];
    expect((await run(args, db)).out).toBe('new created\n');
    expect(db.opened.at(-1)).toMatchObject({ mode: 'range', bounds: ['g', 'm'] });
    expect((await run(args, db)).out).toBe('new was there already\n');
  });
});

describe('exit codes and colours', () => {
  it('tell what had no effect from what may have had one', () => {
    expect(exitCodeOf(new MokuError('UNAVAILABLE'))).toBe(1);
    expect(exitCodeOf(new MokuError('TIMEOUT'))).toBe(3);
    expect(exitCodeOf(new MokuError('TIMEOUT').withOutcome('definite'))).toBe(1);
    expect(exitCodeOf(new MokuError('CONFIG_INVALID'))).toBe(2);
    expect(exitCodeOf(new MokuError('INVALID_ARGUMENT').withOutcome('maybe'))).toBe(3);
    expect(exitCodeOf(new MokuError('ABORTED'))).toBe(130);
    expect(exitCodeOf(new Error('a bug'))).toBe(3);
  });

  it('colour only on a terminal and never with NO_COLOR', async () => {
    const { db } = await withKeyspace();
    const on = async (env: Record<string, string>, isTTY: boolean): Promise<boolean> => {
      const { out } = await run(['keyspaces'], db, testTerminal({ env, isTTY }));
      return out.includes('\u001b[1m');
    };
    expect(await on({}, true)).toBe(true);
    expect(await on({}, false)).toBe(false);
    expect(await on({ NO_COLOR: '1' }, true)).toBe(false);
    expect(await on({ TERM: 'dumb' }, true)).toBe(false);
  });

  it('a table has no trailing blanks and no control characters from data', async () => {
    const db = new FakeDatabase();
    db.add('evil\u001b[31m');
    const { out } = await run(['keyspaces'], db);
    expect(out).not.toMatch(/[ \t]$/m);
    expect(out).toContain('evil\\u001b[31m');
  });

  it('time since the start is told in two units', () => {
    expect(duration(900)).toBe('0s');
    expect(duration(61_000)).toBe('1m 1s');
    expect(duration(3_600_000)).toBe('1h 0m');
    expect(duration(90_061_000)).toBe('1d 1h');
  });
});
