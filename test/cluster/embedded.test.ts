/**
 * A node inside a user's process: it keeps data from one opening to the next, refuses what it must, and
 * leaves nothing behind that would keep the process alive.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { connect, type EmbeddedDatabase, open } from 'moku';
import { afterAll, describe, expect, it } from 'vitest';
import { freePorts, start } from '../support/cli.js';

const dir = mkdtempSync(join(tmpdir(), 'moku-embedded-'));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

/** A user's program, as a file that runs on its own. */
const program = join(dir, 'program.mjs');
const entry = pathToFileURL(join(import.meta.dirname, '../../packages/moku/dist/index.js'));
writeFileSync(
  program,
  `import { open } from ${JSON.stringify(entry.href)};
const [dir, mode] = process.argv.slice(2);
const db = await open({ dir });
const space = await db.keyspace('k', { mode: 'hash', regions: 8 });
const before = await space.get('count') ?? 0;
await space.put('count', before + 1);
process.stdout.write(String(before + 1) + '\\n');
if (mode === 'close') await db.close();
if (mode === 'crash') process.kill(process.pid, 'SIGKILL');
if (mode === 'exit') process.exit(0);
`,
);

async function runProgram(place: string, mode: string) {
  return start([place, mode], {}, [program]).ended;
}

describe('open()', () => {
  it('keeps what was written from one opening to the next', async () => {
    const place = join(dir, 'reopen');
    const names = ['first', 'second', 'third'];
    for (const [i, name] of names.entries()) {
      const db = await open({ dir: place });
      const space = await db.keyspace<string>('k', { mode: 'range' });
      await space.put(name, name);
      const found = await space.getMany(names);
      expect(found).toEqual(names.map((other, at) => (at <= i ? other : undefined)));
      await db.close();
    }
  });

  it('a process that closed its database ends by itself, with everything kept', async () => {
    const place = join(dir, 'clean');
    for (const expected of ['1\n', '2\n', '3\n']) {
      const ended = await runProgram(place, 'close');
      expect(ended).toMatchObject({ exitCode: 0, out: expected, err: '' });
      expect(ended.elapsedMs).toBeLessThan(15_000);
    }
  });

  it('a process that is killed loses nothing that it acknowledged', async () => {
    const place = join(dir, 'crash');
    expect(await runProgram(place, 'crash')).toMatchObject({ signal: 'SIGKILL', out: '1\n' });
    expect(await runProgram(place, 'crash')).toMatchObject({ signal: 'SIGKILL', out: '2\n' });
    expect(await runProgram(place, 'close')).toMatchObject({ exitCode: 0, out: '3\n' });
  });

  it('a process that exits without closing its database loses nothing and can open it again', async () => {
    const place = join(dir, 'exit');
    expect(await runProgram(place, 'exit')).toMatchObject({ exitCode: 0, out: '1\n' });
    expect(await runProgram(place, 'exit')).toMatchObject({ exitCode: 0, out: '2\n' });
    expect(await runProgram(place, 'close')).toMatchObject({ exitCode: 0, out: '3\n' });
  });

  it('refuses a directory that is open already, in this process too', async () => {
    const place = join(dir, 'locked');
    const db = await open({ dir: place });
    await expect(open({ dir: place })).rejects.toMatchObject({ code: 'DIR_LOCKED' });
    await db.close();
    await (await open({ dir: place })).close();
  });

  it('a closed database refuses calls, and closing twice is one closing', async () => {
    const db = await open({ dir: join(dir, 'closed') });
    const space = await db.keyspace('k', { mode: 'hash', regions: 1 });
    await Promise.all([db.close(), db.close()]);
    await expect(space.put('a', 1)).rejects.toMatchObject({ code: 'CLOSED', outcome: 'definite' });
  });

  it('putMany that meets a bad record says what was written, once nothing is under way', async () => {
    const db = await open({ dir: join(dir, 'bulk') });
    const space = await db.keyspace<number>('k', { mode: 'hash', regions: 4 });
    function* records(): Generator<[string, number]> {
      for (let i = 0; i < 10_000; i++) yield [`k${i}`, i];
      yield ['', -1];
    }
    const error = await space.putMany(records()).then(
      () => undefined,
      (thrown: unknown) => thrown,
    );
    expect(error).toMatchObject({ code: 'KEY_EMPTY', outcome: 'maybe', details: { field: 'key' } });
    const { written } = (error as { details: { written: number } }).details;
    let there = 0;
    for await (const _ of space.scan()) there += 1;
    expect(written).toBeGreaterThan(0);
    expect(there).toBe(written);
    await db.close();
  });

  it('names the field of what cannot be used', async () => {
    const cases: [Parameters<typeof open>[0], string][] = [
      [{ dir: '' }, 'dir'],
      [{ dir: 'd', listen: 'localhost' }, 'listen'],
      [{ dir: 'd', admin: 'h:0' }, 'admin'],
      [{ dir: 'd', listen: 'h:1', cluster: { nodeId: 1, clusterId: 'c', nodes: [] } }, 'listen'],
      [{ dir: 'd', cluster: { nodeId: 1, clusterId: 'c', nodes: [] } }, 'cluster.nodes'],
      [{ dir: 'd', cluster: { nodeId: 0, clusterId: 'c', nodes: [] } }, 'nodeId'],
    ];
    for (const [options, field] of cases) {
      await expect(open(options)).rejects.toMatchObject({ details: { field } });
    }
    expect(() => connect({ nodes: [] })).toThrow(/field=nodes/);
    expect(() => connect({ nodes: ['x'] })).toThrow(/field=nodes/);
  });

  it('lets other processes in when it listens', async () => {
    const [port] = await freePorts(1);
    const listen = `127.0.0.1:${port}`;
    const db = await open({ dir: join(dir, 'listen'), listen });
    const space = await db.keyspace<number>('k', { mode: 'hash', regions: 4 });
    const other = connect({ nodes: [listen] });
    const theirs = await other.keyspace<number>('k');
    await theirs.put('a', 1);
    expect(await space.get('a')).toBe(1);
    await other.close();
    await db.close();
  });

  it('three processes-worth of nodes in one process are a cluster', async () => {
    const ports = await freePorts(6);
    const nodes = [1, 2, 3].map((nodeId) => ({
      nodeId,
      peerAddress: `127.0.0.1:${ports[nodeId - 1]}`,
      clientAddress: `127.0.0.1:${ports[nodeId + 2]}`,
    }));
    const all: EmbeddedDatabase[] = await Promise.all(
      nodes.map(({ nodeId }) => {
        const cluster = { nodeId, nodes, clusterId: 'three' };
        return open({ dir: join(dir, `three-${nodeId}`), cluster });
      }),
    );
    const [first, second, third] = all;
    const space = await first?.keyspace<number>('k', { mode: 'hash', regions: 6 });
    for (let i = 0; i < 50; i++) await space?.put(`k${i}`, i);
    const theirs = await second?.keyspace<number>('k');
    expect(await theirs?.get('k49')).toBe(49);
    // Two of three go on without the third.
    await third?.close();
    await space?.put('after', 1);
    expect(await theirs?.get('after')).toBe(1);
    await Promise.all([first?.close(), second?.close()]);
  });
});
