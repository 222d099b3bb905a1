/**
 * The writer's thread: pumps messages into a `Writer`, reports back, and reclaims space whenever no
 * flush is under way. After a failure it says so once and does nothing more.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { present, unreachable } from '@moku/base';
import { engineError } from './errors.js';
import type { FromWriter, ToWriter } from './messages.js';
import { Writer } from './writer.js';

const port = present(parentPort, 'the writer runs in a worker thread');
const { directory } = workerData as { readonly directory: string };

let writer: Writer | undefined;
let isFlushing = false;
let isReclaimScheduled = false;

function post(message: FromWriter): void {
  port.postMessage(message);
}

function guarded(task: (writer: Writer) => void): void {
  if (writer === undefined) return;
  try {
    task(writer);
  } catch (cause) {
    fail(cause);
  }
}

function fail(cause: unknown): void {
  const { code, details } = engineError(cause, { dir: directory });
  const failed = writer;
  writer = undefined;
  post({ type: 'failed', code, details: printable(details) });
  try {
    failed?.close();
  } catch {
    // The failure was reported; closing what failed can only fail again.
  }
}

/** Details as plain values, which any thread can receive. */
function printable(details: Readonly<Record<string, unknown>>): Record<string, string | number> {
  const plain: Record<string, string | number> = {};
  for (const [name, value] of Object.entries(details)) {
    plain[name] = typeof value === 'number' ? value : String(value);
  }
  return plain;
}

function reclaimSoon(): void {
  if (isReclaimScheduled) return;
  isReclaimScheduled = true;
  setImmediate(() => {
    isReclaimScheduled = false;
    if (isFlushing) return;
    guarded((open) => {
      if (open.reclaimStep()) reclaimSoon();
    });
  });
}

function receive(open: Writer, message: ToWriter): void {
  switch (message.type) {
    case 'chunk':
      open.adoptChunk(message.slot, message.memory);
      return;
    case 'begin':
      isFlushing = true;
      open.begin(message);
      return;
    case 'rows':
      open.rows(message);
      return;
    case 'end': {
      const { appliedIndexes, stats } = open.end();
      isFlushing = false;
      post({ type: 'flushed', appliedIndexes, stats });
      reclaimSoon();
      return;
    }
    case 'close':
      writer = undefined;
      open.close();
      post({ type: 'closed' });
      port.close();
      return;
    default:
      unreachable(message);
  }
}

try {
  writer = new Writer(directory);
  const { replicas, nextStoreId } = writer.recover();
  post({ type: 'ready', replicas, nextStoreId });
  reclaimSoon();
} catch (cause) {
  fail(cause);
}
port.on('message', (message: ToWriter) => {
  guarded((open) => receive(open, message));
});
