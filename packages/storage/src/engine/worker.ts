/**
 * Where the writer's thread begins: a worker on the machine's own disk.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { present } from '@moku/base';
import { diskMedium } from '../disk-medium.js';
import type { ToWriter } from './messages.js';
import { WriterLoop, type WriterPort } from './writer-loop.js';

const port = present(parentPort, 'the writer runs in a worker thread');
const { directory } = workerData as { readonly directory: string };
const link: WriterPort = {
  post: (message) => port.postMessage(message),
  soon: (task) => {
    setImmediate(task);
  },
  close: () => port.close(),
};

const loop = new WriterLoop(directory, link, diskMedium);
port.on('message', (message: ToWriter) => loop.handle(message));
