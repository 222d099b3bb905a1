import { appendFileSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { codeOfFailure, lastLines, readFrom } from '../src/dev/node-log.js';
import { choosePorts } from '../src/dev/ports.js';

const host = '127.0.0.1';
const dir = mkdtempSync(join(tmpdir(), 'moku-devtest-'));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

function listen(port: number): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(port, host, () => resolve(server));
  });
}

describe('ports of a development cluster', () => {
  it('are all different and can be listened on', async () => {
    const ports = await choosePorts(9, host, {});
    const all = ports.flatMap(({ peer, client, admin }) => [peer, client, admin]);
    expect(new Set(all).size).toBe(27);
    for (const port of all) {
      const server = await listen(port);
      await new Promise((resolve) => server.close(resolve));
    }
  });

  it('follow the wish when those ports are free', async () => {
    const [free] = await choosePorts(1, host, {});
    const first = free?.client ?? 0;
    const [chosen] = await choosePorts(1, host, { firstClientPort: first });
    expect(chosen?.client).toBe(first);
  });

  it('a wish that cannot be granted gives other ports, a command PORT_IN_USE', async () => {
    const server = await listen(0);
    const address = server.address();
    const taken = typeof address === 'object' && address !== null ? address.port : 0;
    const [other] = await choosePorts(1, host, { firstClientPort: taken });
    expect(other?.client).not.toBe(taken);
    await expect(
      choosePorts(1, host, { firstClientPort: taken, isPortFixed: true }),
    ).rejects.toMatchObject({ code: 'PORT_IN_USE', details: { min: taken } });
    await new Promise((resolve) => server.close(resolve));
  });
});

describe("a node's log", () => {
  it('is read from where the process began, and says with which code it failed', () => {
    const file = join(dir, 'node.log');
    const before = '{"level":60,"code":"DIR_LOCKED","msg":"an earlier process"}\n';
    appendFileSync(file, before);
    const start = Buffer.byteLength(before);
    expect(codeOfFailure(readFrom(file, start))).toBeUndefined();
    appendFileSync(
      file,
      '{"level":30,"msg":"x"}\n{"level":60,"code":"PORT_IN_USE"}\nmoku: PORT…\n{"lev',
    );
    const log = readFrom(file, start);
    expect(codeOfFailure(log)).toBe('PORT_IN_USE');
    expect(lastLines(log)).toContain('moku: PORT… | {"lev');
    expect(readFrom(join(dir, 'none'), 0)).toBe('');
  });
});
