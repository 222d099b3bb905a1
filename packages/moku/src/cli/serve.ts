/**
 * `moku serve`: one node until it is told to end. SIGTERM and SIGINT hand over leaderships, drain and
 * exit 0; a node that cannot go on exits 70 with a named reason (P7).
 */
import { isMokuError, toNodeId } from '@moku/base';
import { type RunningNode, startNode } from '@moku/node';
import pino from 'pino';
import { parseAddress } from '../address.js';
import { rosterOf, type ServeConfig } from './config.js';

/** sysexits.h EX_SOFTWARE: the supervisor should start the node again, and look at its log. */
const exitFatal = 70;

export async function serve(config: ServeConfig): Promise<void> {
  const logger = pino({ level: config.logLevel, base: { node: config.nodeId } });
  const fatal = (error: Error): never => {
    const code = isMokuError(error) ? error.code : error.name;
    logger.fatal({ err: error, code }, 'the node stops');
    logger.flush();
    // Nothing more may be acknowledged, so nothing is drained.
    process.exit(exitFatal);
  };
  process.on('uncaughtException', fatal);
  process.on('unhandledRejection', (reason) => fatal(reason instanceof Error ? reason : new Error(String(reason))));
  const node = await start(config, logger, fatal);
  logger.info(
    { client: node.clientAddress, peer: node.peerAddress, admin: node.adminAddress, dir: config.dir },
    'serving',
  );
  await endOf(node, config, logger);
}

async function start(config: ServeConfig, logger: pino.Logger, onFatal: (error: Error) => void): Promise<RunningNode> {
  const nodes = rosterOf(config);
  const self = nodes.find((node) => node.nodeId === config.nodeId);
  const isAlone = config.nodes.length === 0;
  return startNode({
    dir: config.dir,
    clusterId: config.cluster,
    nodeId: toNodeId(config.nodeId),
    nodes,
    timings: {
      tickMs: config.tickMs,
      electionTicks: config.electionTicks,
      heartbeatMs: config.heartbeatMs,
    },
    ...(isAlone || self === undefined ? {} : { peerListen: parseAddress(self.peerAddress, 'nodes.peer') }),
    clientListen: parseAddress(self?.clientAddress ?? config.listen, 'listen'),
    ...(config.admin === undefined ? {} : { adminListen: parseAddress(config.admin, 'admin') }),
    logger,
    onFatal,
  });
}

/** Resolves when a signal came and everything was drained. A second signal ends at once. */
function endOf(node: RunningNode, config: ServeConfig, logger: pino.Logger): Promise<void> {
  return new Promise((resolve, reject) => {
    let isEnding = false;
    const end = (signal: NodeJS.Signals): void => {
      if (isEnding) process.exit(1);
      isEnding = true;
      logger.info({ signal, drainMs: config.drainMs }, 'draining');
      node.close(config.drainMs).then(() => {
        logger.info('closed');
        logger.flush();
        resolve();
      }, reject);
    };
    process.on('SIGTERM', end);
    process.on('SIGINT', end);
  });
}
