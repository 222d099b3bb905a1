/**
 * Where the log's thread begins: a worker on the machine's own disk.
 */
import { parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import { present } from '@moku/base';
import { diskMedium } from '../disk-medium.js';
import type { ThreadOptions, ToThread } from './protocol.js';
import { type LogPort, startLogThread } from './thread.js';

const port = present(parentPort, 'the log runs in a thread of its own');
const link: LogPort = {
  post: (message, transfer) => port.postMessage(message, transfer),
  next: () => receiveMessageOnPort(port)?.message as ToThread | undefined,
  close: () => port.close(),
};

const thread = startLogThread(link, workerData as ThreadOptions, diskMedium);
if (thread !== undefined) port.on('message', (message: ToThread) => thread.handle(message));
