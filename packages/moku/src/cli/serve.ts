/**
 * `moku serve`: one node until it is told to end. SIGTERM, SIGINT and SIGHUP hand over leaderships, drain
 * and exit 0; a node that cannot go on exits 70 with a named reason (P7).
 */
import type { Readable } from 'node:stream';
import { isMokuError, MokuError, toNodeId } from '@moku/base';
import { type RunningNode, startNode } from '@moku/node';
import { parseAddress } from '@moku/transport';
import pino from 'pino';
import { interrupted } from '../dev/interrupt.js';
import { type ResolvedConfig, rosterOf } from './config.js';
import { exitCodes } from './exit-codes.js';
import type { Output } from './output.js';
import { flagOf, type ServeConfig, settingNames } from './settings.js';

/** Where each setting comes from, and its value. */
export async function printConfig(resolved: ResolvedConfig, out: Output): Promise<void> {
  const { origins, unknownVariables } = resolved;
  if (out.isJson) {
    await out.json({ settings: origins, unknownVariables });
    return;
  }
  const rows = settingNames.map((name) => {
    const { value, from, name: origin } = origins[name];
    const shown = typeof value === 'object' ? JSON.stringify(value) : String(value ?? '');
    return [name, shown, origin === '' ? from : `${from} ${origin}`, flagOf(name)];
  });
  await out.table(['SETTING', 'VALUE', 'FROM', 'OPTION'], rows);
  for (const name of unknownVariables) await out.note(`moku: no setting is called ${name}`);
}

export interface ServeOptions {
  readonly resolved: ResolvedConfig;
  /** Its end is taken for SIGTERM: a node does not outlive the process that holds the other end. */
  readonly untilEndOf: Readable | undefined;
}

/** Runs the node. Resolves once it was told to end and has ended; throws what kept it from starting. */
export async function serve({ resolved, untilEndOf }: ServeOptions): Promise<void> {
  const { config } = resolved;
  const logger = pino({ level: config.logLevel, base: { node: config.nodeId } });
  for (const name of resolved.unknownVariables) logger.warn({ name }, 'no setting has this name');
  const fatal = (error: Error): never => {
    const code = isMokuError(error) ? error.code : error.name;
    logger.fatal({ err: error, code }, 'the node stops');
    logger.flush();
    process.stderr.write(`moku: the node stops: ${error.message}\n`);
    // Nothing more may be acknowledged, so nothing is drained.
    process.exit(exitCodes.fatal);
  };
  process.on('uncaughtException', fatal);
  process.on('unhandledRejection', (reason) => {
    fatal(reason instanceof Error ? reason : new Error(String(reason)));
  });
  const end = wishToEnd(logger, untilEndOf);
  try {
    await runUntil(end, await started(config, logger, fatal), { config, logger });
  } finally {
    // An input that is still open would keep the process alive.
    untilEndOf?.destroy();
    logger.flush();
  }
}

async function runUntil(
  end: Promise<string>,
  node: RunningNode,
  { config, logger }: { readonly config: ServeConfig; readonly logger: pino.Logger },
): Promise<void> {
  const { clientAddress: client, peerAddress: peer, adminAddress: admin } = node;
  logger.info({ client, peer, admin, dir: config.dir, cluster: config.cluster }, 'serving');
  const reason = await end;
  logger.info({ reason, drainMs: config.drainMs }, 'draining');
  await node.close(config.drainMs);
  logger.info('closed');
}

async function started(
  config: ServeConfig,
  logger: pino.Logger,
  onFatal: (error: Error) => void,
): Promise<RunningNode> {
  const { peerListen, admin, tickMs, electionTicks, heartbeatMs } = config;
  try {
    return await startNode({
      dir: config.dir,
      clusterId: config.cluster,
      nodeId: toNodeId(config.nodeId),
      nodes: rosterOf(config),
      timings: { tickMs, electionTicks, heartbeatMs },
      clientListen: parseAddress(config.listen, 'listen'),
      ...(peerListen === undefined ? {} : { peerListen: parseAddress(peerListen, 'peerListen') }),
      ...(admin === undefined ? {} : { adminListen: parseAddress(admin, 'admin') }),
      logger,
      onFatal,
    });
  } catch (error) {
    const { code, details } =
      error instanceof MokuError ? error : { code: 'INTERNAL', details: {} };
    logger.fatal({ err: error, code, details }, 'the node does not start');
    logger.flush();
    throw error;
  }
}

/** The wish to end: a signal, or the end of standard input. */
function wishToEnd(logger: pino.Logger, untilEndOf: Readable | undefined): Promise<string> {
  const signalled = interrupted(() => {
    logger.warn('ends at once');
    logger.flush();
  });
  if (untilEndOf === undefined) return signalled;
  const inputEnded = new Promise<string>((resolve) => {
    const onEnd = (): void => resolve('end of standard input');
    untilEndOf.once('end', onEnd).once('error', onEnd).once('close', onEnd).resume();
  });
  return Promise.race([signalled, inputEnded]);
}
