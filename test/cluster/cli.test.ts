/**
 * The command line against real nodes: what users type, what they get, and what a node refuses.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DevCluster } from 'moku/dev';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  type Ended,
  freePorts,
  holdPort,
  isAlive,
  moku,
  releasePort,
  ServedNode,
  start,
} from '../support/cli.js';

const dir = mkdtempSync(join(tmpdir(), 'moku-cli-'));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

function json(ended: Ended): unknown {
  return JSON.parse(ended.out.trimEnd().split('\n').at(-1) ?? '');
}

describe('one node', () => {
  let node: ServedNode;

  /** A command against the node; its failure is shown. */
  async function ok(args: readonly string[], stdin?: string): Promise<string> {
    const ended = await moku([...args, '--nodes', node.clientAddress], stdin);
    expect(ended, `${args.join(' ')}: ${ended.err}`).toMatchObject({ exitCode: 0 });
    return ended.out;
  }

  beforeAll(async () => {
    node = await ServedNode.start(join(dir, 'one'));
    await ok(['create', 'users', '--mode', 'hash', '--regions', '4']);
    await ok(['create', 'names', '--mode', 'range', '--bounds', 'g,m']);
  });
  afterAll(() => node?.stop());

  it('puts, gets, deletes and scans, and every command ends by itself at once', async () => {
    const put = await moku(['put', 'users', 'a/1', '{"n":1}', '--nodes', node.clientAddress]);
    expect(put.exitCode).toBe(0);
    // Far below any timeout or idle limit of a connection, far above a slow machine's start of Node.
    expect(put.elapsedMs).toBeLessThan(8_000);
    expect(await ok(['get', 'users', 'a/1'])).toBe('{"n":1}\n');
    await ok(['put', 'users', 'a/2', '-', '--values', 'utf8'], 'two\n');
    expect(await ok(['scan', 'users', '--bucket', 'a/', '--values', 'utf8'])).toBe(
      'a/1\t{"n":1}\na/2\ttwo\\u000a\n',
    );
    await ok(['del', 'users', 'a/2']);
    const gone = await moku(['get', 'users', 'a/2', '--nodes', node.clientAddress]);
    expect(gone).toMatchObject({ exitCode: 4, out: '' });
  });

  it('imports a file and gives it back in order', async () => {
    const lines = Array.from({ length: 12_000 }, (_, i) => {
      return JSON.stringify({ key: `n${String(i).padStart(6, '0')}`, value: { i } });
    });
    const file = join(dir, 'names.jsonl');
    writeFileSync(file, lines.join('\n'));
    const summary = await ok(['import', 'names', file, '--json']);
    expect(JSON.parse(summary)).toMatchObject({ ok: true, lines: 12_000, written: 12_000 });
    const keys = (await ok(['scan', 'names', '--keys-only'])).trimEnd().split('\n');
    expect(keys).toHaveLength(12_000);
    expect(keys).toEqual([...keys].sort());
    const one = await ok(['scan', 'names', '--start', 'n000005', '--end', 'n000006', '--json']);
    expect(JSON.parse(one)).toMatchObject({ key: 'n000005', value: { i: 5 } });
  });

  it('stops an import at a bad line and tells what was written', async () => {
    const given = 'x1\t1\nx2\t2\nx3 broken\nx4\t4\n';
    const ended = await moku(
      ['import', 'users', '-', '--json', '--nodes', node.clientAddress],
      given,
    );
    expect(ended.exitCode).toBe(3);
    expect(json(ended)).toMatchObject({
      error: { code: 'INVALID_ARGUMENT', outcome: 'maybe', details: { line: 3, written: 2 } },
    });
    expect(await ok(['get', 'users', 'x2'])).toBe('2\n');
    expect((await moku(['get', 'users', 'x4', '--nodes', node.clientAddress])).exitCode).toBe(4);
  });

  it('an interrupted import says what it wrote', async () => {
    const running = start(['import', 'users', '-', '--json', '--nodes', node.clientAddress]);
    const lines = Array.from({ length: 30_000 }, (_, i) => `interrupted${i}\t${i}\n`);
    running.child.stdin.write(lines.join(''));
    // Some of it is there, the input goes on.
    await expect
      .poll(() => ok(['scan', 'users', '--prefix', 'interrupted', '--limit', '1', '--keys-only']), {
        timeout: 30_000,
      })
      .not.toBe('');
    running.child.kill('SIGINT');
    const ended = await running.ended;
    expect(ended.exitCode).toBe(130);
    const report = json(ended) as { error: { code: string; details: { written: number } } };
    expect(report.error.code).toBe('ABORTED');
    const keys = await ok(['scan', 'users', '--prefix', 'interrupted', '--keys-only']);
    const there = keys.split('\n').length - 1;
    expect(there).toBeGreaterThanOrEqual(report.error.details.written);
  });

  it('a reader that has seen enough ends a scan without a word', async () => {
    const running = start(['scan', 'names', '--nodes', node.clientAddress]);
    running.child.stdout.once('data', () => running.child.stdout.destroy());
    const ended = await running.ended;
    expect({ exitCode: ended.exitCode, err: ended.err }).toEqual({ exitCode: 0, err: '' });
  });

  it('shows itself and its regions', async () => {
    const status = JSON.parse(await ok(['status', '--json'])) as {
      status: { node: { regions: number; leaders: number }; process: { rssBytes: number } };
    };
    expect(status.status.node).toMatchObject({ regions: 8, leaders: 8 });
    expect(status.status.process.rssBytes).toBeGreaterThan(10_000_000);
    const regions = await ok(['regions', '--keyspace', 'names', '--why']);
    expect(regions).toMatch(/names +-∞ … g +node 1 +1 /);
    expect(regions).toMatch(/names +m … ∞ /);
    expect(await ok(['keyspaces'])).toMatch(/users +hash +4 +4/);
  });

  it('refuses what is too large, empty or unknown, with the bound', async () => {
    const at = ['--nodes', node.clientAddress];
    const large = await moku(['put', 'users', 'k'.repeat(4097), '1', ...at]);
    expect(large).toMatchObject({ exitCode: 2 });
    expect(large.err).toContain('KEY_TOO_LARGE: field=key bytes=4097 max=4096');
    const value = JSON.stringify('v'.repeat(1024 * 1024));
    const heavy = await moku(['put', 'users', 'k', '-', ...at], value);
    expect(heavy.err).toContain('VALUE_TOO_LARGE: field=value bytes=1048578 max=1048576');
    expect((await moku(['put', 'users', '', '1', ...at])).err).toContain('KEY_EMPTY: field=key');
    const unknown = await moku(['get', 'none', 'k', ...at]);
    expect(unknown).toMatchObject({ exitCode: 1 });
    expect(unknown.err).toContain('KEYSPACE_UNKNOWN: field=keyspace name=none');
    const other = await moku(['create', 'users', '--mode', 'range', ...at]);
    expect(other).toMatchObject({ exitCode: 2 });
    expect(other.err).toContain('KEYSPACE_EXISTS: field=mode');
  });

  it('a second process on its directory is refused, and the first goes on', async () => {
    const [port] = await freePorts(1);
    const args = ['serve', '--dir', node.dir, '--listen', `127.0.0.1:${port}`];
    const ended = await moku(args);
    expect(ended).toMatchObject({ exitCode: 2 });
    expect(ended.err).toContain('DIR_LOCKED');
    expect(await ok(['get', 'users', 'a/1'])).toBe('{"n":1}\n');
  });

  it('keeps what it acknowledged through SIGTERM, which exits 0, and through SIGKILL', async () => {
    await ok(['put', 'users', 'before-term', '1']);
    node.process.child.kill('SIGINT');
    const ended = await node.end('SIGTERM');
    expect({ exitCode: ended.exitCode, err: ended.err }).toEqual({ exitCode: 0, err: '' });
    expect(ended.out).toContain('"msg":"closed"');
    await node.start();
    expect(await ok(['get', 'users', 'before-term'])).toBe('1\n');
    await ok(['put', 'users', 'before-kill', '2']);
    expect(await node.end('SIGKILL')).toMatchObject({ signal: 'SIGKILL' });
    await node.start();
    expect(await ok(['get', 'users', 'before-term'])).toBe('1\n');
    expect(await ok(['get', 'users', 'before-kill'])).toBe('2\n');
  });

  it('ends with its standard input when told so', async () => {
    await node.end('SIGTERM');
    await node.start(['--until-stdin-ends']);
    const { process: running } = node;
    running.child.stdin.end();
    const ended = await running.ended;
    expect(ended.exitCode).toBe(0);
    expect(ended.out).toContain('end of standard input');
    await node.start();
  });

  it('its directory is for no other node and no other cluster', async () => {
    await node.end('SIGTERM');
    const [port] = await freePorts(1);
    const args = ['serve', '--dir', node.dir, '--listen', `127.0.0.1:${port}`];
    const otherNode = await moku([...args, '--node-id', '2']);
    expect(otherNode).toMatchObject({ exitCode: 2 });
    expect(otherNode.err).toContain('DIR_FOREIGN');
    const otherCluster = await moku([...args, '--cluster', 'another']);
    expect(otherCluster).toMatchObject({ exitCode: 2 });
    expect(otherCluster.err).toContain('DIR_FOREIGN');
    await node.start();
    expect(await ok(['get', 'users', 'a/1'])).toBe('{"n":1}\n');
  });
});

describe('a node that cannot start', () => {
  it('says which port is taken, and for what', async () => {
    const { port, server } = await holdPort();
    const [free] = await freePorts(1);
    const listen = `127.0.0.1:${port}`;
    const client = await moku(['serve', '--dir', join(dir, 'p1'), '--listen', listen]);
    expect(client).toMatchObject({ exitCode: 2 });
    expect(client.err).toMatch(new RegExp(`PORT_IN_USE: field=\\S+ host=127.0.0.1 port=${port}`));
    const adminArgs = ['--listen', `127.0.0.1:${free}`, '--admin', listen];
    const admin = await moku(['serve', '--dir', join(dir, 'p2'), ...adminArgs]);
    expect(admin).toMatchObject({ exitCode: 2 });
    expect(admin.err).toContain(`PORT_IN_USE: field=admin host=127.0.0.1 port=${port}`);
    await releasePort(server);
  });

  it('refuses a directory that is a file', async () => {
    const file = join(dir, 'file');
    writeFileSync(file, '');
    const ended = await moku(['serve', '--dir', file]);
    expect(ended).toMatchObject({ exitCode: 2 });
    expect(ended.err).toContain('DIR_UNUSABLE');
  });

  it('prints the configuration it would run with, and refuses a bad one', async () => {
    const printed = await moku([
      'serve',
      '--dir',
      'd',
      '--tick-ms',
      '60',
      '--print-config',
      '--json',
    ]);
    expect(json(printed)).toMatchObject({
      settings: { tickMs: { value: 60, from: 'flag', name: '--tick-ms' } },
    });
    expect((await moku(['serve', '--dir', 'd', '--print-config'])).out).toMatch(
      /tickMs +50 +default/,
    );
    const bad = await moku(['serve', '--dir', 'd', '--tick-ms', 'NaN']);
    expect(bad).toMatchObject({ exitCode: 2 });
    expect(bad.err).toContain('CONFIG_INVALID: field=tickMs value=NaN');
  });

  it('a command without a node says so within its timeout', async () => {
    const [port] = await freePorts(1);
    const args = ['get', 'users', 'a', '--nodes', `127.0.0.1:${port}`, '--timeout', '700'];
    const ended = await moku(args);
    expect(ended).toMatchObject({ exitCode: 1, out: '' });
    expect(ended.err).toMatch(/TIMEOUT: timeoutMs=700 last=UNAVAILABLE/);
    expect(ended.err).toContain('moku dev');
    expect(ended.elapsedMs).toBeLessThan(8_000);
  });
});

interface Dev {
  readonly nodes: readonly {
    readonly nodeId: number;
    readonly clientAddress: string;
    readonly pid: number;
  }[];
}

describe('moku dev', () => {
  async function dev(name: string): Promise<{ running: ReturnType<typeof start>; told: Dev }> {
    const [port] = await freePorts(1);
    const running = start(['dev', '--dir', join(dir, name), '--port', String(port), '--json']);
    await expect.poll(() => running.out(), { timeout: 60_000 }).toContain('\n');
    return { running, told: JSON.parse(running.out()) as Dev };
  }

  it('runs three nodes that work together, and Ctrl-C ends them all', async () => {
    const { running, told } = await dev('dev1');
    const at = ['--nodes', told.nodes[2]?.clientAddress ?? ''];
    expect((await moku(['create', 'k', '--mode', 'hash', '--regions', '6', ...at])).exitCode).toBe(
      0,
    );
    expect((await moku(['put', 'k', 'a', '1', ...at])).exitCode).toBe(0);
    const region =
      (await moku(['regions', '--json', ...at])).out.trimEnd().split('\n').at(-1) ?? '';
    const { regionId, leaderNodeId } = JSON.parse(region) as Record<string, number>;
    const to = ((leaderNodeId ?? 0) % 3) + 1;
    const moved = await moku(['transfer', String(regionId), String(to), '--json', ...at]);
    expect(json(moved)).toMatchObject({ ok: true, regionId, from: leaderNodeId, to });
    const status = await moku(['status', ...at]);
    expect(status.exitCode).toBe(0);
    expect(status.out.match(/ 2\/2 /g)).toHaveLength(3);
    // As npm and terminals do: the same wish arrives twice.
    running.child.kill('SIGINT');
    running.child.kill('SIGTERM');
    expect(await running.ended).toMatchObject({ exitCode: 0 });
    expect(told.nodes.filter(({ pid }) => isAlive(pid))).toEqual([]);
  });

  it('leaves no node behind when it is killed', async () => {
    const { running, told } = await dev('dev2');
    running.child.kill('SIGKILL');
    await running.ended;
    await expect
      .poll(() => told.nodes.filter(({ pid }) => isAlive(pid)), { timeout: 30_000 })
      .toEqual([]);
  });
});

describe('a development cluster', () => {
  it('that cannot start throws with what the node said, and leaves nothing running', async () => {
    const serveArguments = ['--tick-ms', '1'];
    const starting = DevCluster.start({ nodes: 2, dir: join(dir, 'dead'), serveArguments });
    await expect(starting).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      details: {
        reason: 'exit code 2',
        log: expect.stringContaining('CONFIG_INVALID: field=tickMs'),
      },
    });
  });

  it('takes other ports when somebody was faster', async () => {
    const { port, server } = await holdPort();
    const place = join(dir, 'ports');
    // The one port that every attempt asks for is free only after the first has failed.
    const serveArguments = ['--listen', `127.0.0.1:${port}`];
    const starting = DevCluster.start({ nodes: 1, dir: place, serveArguments });
    await expect
      .poll(() => logOf(join(place, 'node-1.log')), { timeout: 30_000 })
      .toContain('PORT_IN_USE');
    await releasePort(server);
    const cluster = await starting;
    expect(cluster.nodes.map(({ nodeId }) => cluster.pid(nodeId))).not.toContain(undefined);
    await cluster.stop();
    // In its own time, not by force.
    const ends = await Promise.all(cluster.nodes.map(({ nodeId }) => cluster.ended(nodeId)));
    expect(ends).toEqual(['exit code 0']);
  });
});

function logOf(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    // The process has not begun to write.
    return '';
  }
}
