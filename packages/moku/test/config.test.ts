import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MokuError } from '@moku/base';
import { afterAll, describe, expect, it } from 'vitest';
import { type RawSettings, resolveConfig, rosterOf } from '../src/cli/config.js';

const dir = mkdtempSync(join(tmpdir(), 'moku-config-'));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

function fileOf(content: unknown): string {
  const file = join(dir, `${Math.abs(JSON.stringify(content).length)}-${files++}.json`);
  writeFileSync(file, typeof content === 'string' ? content : JSON.stringify(content));
  return file;
}
let files = 0;

type Environment = Record<string, string>;

function refusal(flags: RawSettings, environment: Environment = {}, file?: string): MokuError {
  try {
    resolveConfig(flags, environment, file);
  } catch (error) {
    if (error instanceof MokuError) return error;
    throw error;
  }
  throw new Error('it was taken');
}

const three =
  '1=10.0.0.1:7500/10.0.0.1:7400,3=10.0.0.3:7500/10.0.0.3:7400,2=10.0.0.2:7500/10.0.0.2:7400';

describe('where a setting comes from', () => {
  it('an option beats the environment, which beats the file, which beats the default', () => {
    const file = fileOf({ dir: 'f', cluster: 'f', tickMs: 40, drainMs: 1 });
    const environment = { MOKU_DIR: 'e', MOKU_CLUSTER: 'e', MOKU_TICK_MS: '45' };
    const { config, origins } = resolveConfig({ dir: 'o' }, environment, file);
    expect(config).toMatchObject({ dir: 'o', cluster: 'e', tickMs: 45, drainMs: 1, nodeId: 1 });
    expect(origins.dir).toEqual({ from: 'flag', name: '--dir', value: 'o' });
    expect(origins.cluster).toEqual({ from: 'environment', name: 'MOKU_CLUSTER', value: 'e' });
    expect(origins.tickMs).toMatchObject({ from: 'environment', name: 'MOKU_TICK_MS', value: 45 });
    expect(origins.drainMs).toEqual({ from: 'file', name: file, value: 1 });
    expect(origins.nodeId).toEqual({ from: 'default', name: '', value: 1 });
  });

  it('an empty variable counts as not given', () => {
    expect(resolveConfig({ dir: 'd' }, { MOKU_CLUSTER: '' }, undefined).config.cluster).toBe(
      'solo',
    );
  });

  it('a node that is alone listens where every command looks for it', () => {
    const { config } = resolveConfig({ dir: 'd' }, {}, undefined);
    expect(config.listen).toBe('127.0.0.1:7400');
    expect(config.peerListen).toBeUndefined();
    expect(rosterOf(config)).toHaveLength(1);
  });

  it('a member listens where the list of nodes says, unless told otherwise', () => {
    const flags = { dir: 'd', nodeId: '2', nodes: three };
    const { config, origins } = resolveConfig(flags, {}, undefined);
    expect(config).toMatchObject({ listen: '10.0.0.2:7400', peerListen: '10.0.0.2:7500' });
    expect(origins.listen).toMatchObject({ from: 'default', name: 'of --nodes' });
    const other = resolveConfig({ ...flags, listen: '0.0.0.0:7400' }, {}, undefined);
    expect(other.config).toMatchObject({ listen: '0.0.0.0:7400', peerListen: '10.0.0.2:7500' });
  });

  it('the roster is in order of the ids, however it was written', () => {
    const { config } = resolveConfig({ dir: 'd', nodeId: '2', nodes: three }, {}, undefined);
    expect(rosterOf(config).map((node) => node.nodeId)).toEqual([1, 2, 3]);
  });

  it('the file may give nodes as a list or as text', () => {
    const member = { nodeId: 1, peer: '10.0.0.1:7500', client: '10.0.0.1:7400' };
    const asList = resolveConfig({ dir: 'd' }, {}, fileOf({ nodes: [member] }));
    const asText = resolveConfig(
      { dir: 'd' },
      {},
      fileOf({ nodes: '1=10.0.0.1:7500/10.0.0.1:7400' }),
    );
    expect(asText.config.nodes).toEqual(asList.config.nodes);
  });

  it('variables that are no setting are told, not taken', () => {
    const environment = { MOKU_DRI: 'd', MOKU_CONNECT: 'a:1', MOKU_CONFIG: 'x', HOME: '/' };
    const { unknownVariables } = resolveConfig({ dir: 'd' }, environment, undefined);
    expect(unknownVariables).toEqual(['MOKU_DRI']);
  });
});

describe('a refusal names the field and the bound', () => {
  const cases: [string, RawSettings, Record<string, unknown>][] = [
    ['no directory', {}, { field: 'dir', rule: 'required: --dir or MOKU_DIR' }],
    ['an empty directory', { dir: '' }, { field: 'dir', min: 1 }],
    ['a node id of 0', { dir: 'd', nodeId: '0' }, { field: 'nodeId', value: 0, min: 1 }],
    ['a node id too large', { dir: 'd', nodeId: '65536' }, { field: 'nodeId', max: 65_535 }],
    [
      'a node id with a fraction',
      { dir: 'd', nodeId: '1.5' },
      { field: 'nodeId', value: 1.5, expected: 'a whole number' },
    ],
    ['NaN', { dir: 'd', tickMs: 'NaN' }, { field: 'tickMs', value: 'NaN', expected: 'number' }],
    ['no number', { dir: 'd', tickMs: '' }, { field: 'tickMs', value: '', expected: 'number' }],
    ['a tick too short', { dir: 'd', tickMs: '4' }, { field: 'tickMs', value: 4, min: 5 }],
    ['a drain too long', { dir: 'd', drainMs: '600001' }, { field: 'drainMs', max: 600_000 }],
    [
      'a level that is none',
      { dir: 'd', logLevel: 'loud' },
      { field: 'logLevel', allowed: 'fatal|error|warn|info|debug|silent' },
    ],
    [
      'an address without port',
      { dir: 'd', listen: 'localhost' },
      { field: 'listen', value: 'localhost', rule: 'host:port, port 1 … 65535' },
    ],
    ['a port too large', { dir: 'd', admin: 'h:65536' }, { field: 'admin', value: 'h:65536' }],
    [
      'a cluster name too long',
      { dir: 'd', cluster: 'x'.repeat(65) },
      { field: 'cluster', max: 64 },
    ],
    [
      'nodes that are no list',
      { dir: 'd', nodes: '1=a:1' },
      { field: 'nodes', value: '1=a:1', rule: 'ID=host:peerPort/host:clientPort,…' },
    ],
    [
      'a bad address within nodes',
      { dir: 'd', nodes: '1=a:1/b:x' },
      { field: 'nodes.0.client', value: 'b:x', from: '--nodes' },
    ],
    [
      'nodes without this one',
      { dir: 'd', nodeId: '4', nodes: three },
      { field: 'nodes', rule: 'lists this node (nodeId 4)' },
    ],
    [
      'one id twice',
      { dir: 'd', nodes: '1=a:1/b:1,1=a:2/b:2' },
      { field: 'nodes', value: 1, rule: 'ids differ' },
    ],
    [
      'a peer address without peers',
      { dir: 'd', peerListen: 'a:1' },
      { field: 'peerListen', from: '--peer-listen' },
    ],
    [
      'elections shorter than three heartbeats',
      { dir: 'd', electionTicks: '6' },
      { field: 'electionTicks', value: 6, min: 7 },
    ],
  ];
  it.each(cases)('%s', (_name, flags, details) => {
    const error = refusal(flags);
    expect(error.code).toBe('CONFIG_INVALID');
    expect(error.details).toMatchObject(details);
  });

  it('a bad value says where it stood', () => {
    expect(refusal({ dir: 'd' }, { MOKU_TICK_MS: 'x' }).details).toMatchObject({
      field: 'tickMs',
      from: 'MOKU_TICK_MS',
    });
    const file = fileOf({ tickMs: true });
    expect(refusal({ dir: 'd' }, {}, file).details).toMatchObject({ field: 'tickMs', from: file });
  });

  it('a file that is missing, no JSON, no object or has an unknown setting', () => {
    expect(refusal({ dir: 'd' }, {}, join(dir, 'none')).details).toMatchObject({ field: 'config' });
    expect(refusal({ dir: 'd' }, {}, fileOf('{')).details).toMatchObject({ field: 'config' });
    expect(refusal({ dir: 'd' }, {}, fileOf([])).details).toMatchObject({
      field: 'config',
      rule: 'a JSON object',
    });
    expect(refusal({ dir: 'd' }, {}, fileOf({ tickMS: 5 })).details).toMatchObject({
      field: 'tickMS',
      rule: 'no such setting',
    });
  });
});
