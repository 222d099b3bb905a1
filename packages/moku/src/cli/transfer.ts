/**
 * `moku transfer`: hands a region's leadership to another node and waits until it is there.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { MokuError, type NodeId, type RegionId, toNodeId, toRegionId } from '@moku/base';
import type { Command } from 'commander';
import type { Cli, ClientSession } from './cli.js';
import { addConnectionOptions, defaultTimeoutMs } from './client-options.js';
import { exitCodes } from './exit-codes.js';

const lookEveryMs = 25;

export function addTransfer(program: Command, cli: Cli): void {
  const command = program
    .command('transfer <region> <node>')
    .description("hand a region's leadership to another node and wait until it is there")
    .action((region: string, node: string) =>
      cli.withDatabase(command, (session) => transfer(session, region, node)),
    );
  addConnectionOptions(command);
  command.addHelpText(
    'after',
    `
Example:
  moku transfer 12 3`,
  );
}

async function transfer(session: ClientSession, region: string, node: string): Promise<number> {
  const { db, out, call } = session;
  const regionId = toRegionId(idOf(region, 'REGION'));
  const to = toNodeId(idOf(node, 'NODE'));
  const startMs = performance.now();
  const before = await leaderOf(session, regionId);
  if (before !== to) {
    await db.admin.transferLeadership(regionId, to, call);
    await untilLeads(session, regionId, to);
  }
  const elapsedMs = Math.round(performance.now() - startMs);
  if (out.isJson) await out.json({ ok: true, regionId, from: before, to, elapsedMs });
  else if (before === to) await out.line(`node ${to} leads region ${regionId} already`);
  else await out.line(`node ${to} leads region ${regionId} after ${elapsedMs} ms`);
  return exitCodes.done;
}

/** Throws TIMEOUT (maybe): the transfer may still happen. */
async function untilLeads(session: ClientSession, regionId: RegionId, to: NodeId): Promise<void> {
  const timeoutMs = session.settings.timeoutMs ?? defaultTimeoutMs;
  const dueMs = performance.now() + timeoutMs;
  while (performance.now() < dueMs) {
    if ((await leaderOf(session, regionId)) === to) return;
    await delay(lookEveryMs);
  }
  throw new MokuError('TIMEOUT', { regionId, to, timeoutMs });
}

async function leaderOf({ db, call }: ClientSession, regionId: RegionId): Promise<number> {
  const { leaders } = await db.view(call);
  return leaders.find((leader) => leader.regionId === regionId)?.nodeId ?? 0;
}

function idOf(given: string, field: string): number {
  if (/^\d{1,15}$/.test(given)) return Number(given);
  throw new MokuError('INVALID_ARGUMENT', { field, value: given, rule: 'a whole number' });
}
