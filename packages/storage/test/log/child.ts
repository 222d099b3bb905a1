/**
 * A process with an open log, for tests that kill it or count its syncs.
 *   child.ts hold DIR          opens and says so
 *   child.ts each DIR COUNT    writes COUNT batches, each after the one before is durable
 *   child.ts burst DIR COUNT   writes COUNT batches at once
 *   child.ts stream DIR COUNT  writes without end, and says which index is durable in all regions; kills
 *                              itself in the moment in which it is told so for the COUNTth time
 */
import { writeSync } from 'node:fs';
import { openLogStore } from '@moku/storage';
import { append, create, owner, region, streamBatch } from './histories.js';

const [mode, dir, count] = process.argv.slice(2);
const batches = Number(count);

const store = await openLogStore({
  dir: dir!,
  ...owner,
  garbageBytesMin: 0,
  checkpointBytes: 1 << 20,
});
let onDurable: (batchNumber: number) => void = () => {};
store.subscribe({
  onDurable: (batchNumber) => onDurable(batchNumber),
  onFetched() {},
  onFailure(error) {
    throw error;
  },
});

function say(text: string): void {
  writeSync(1, `${text}\n`);
}

function each(): void {
  store.write([create(1)]);
  onDurable = (batchNumber) => {
    if (batchNumber <= batches) store.write([append(1, batchNumber, batchNumber)]);
    else process.exit(0);
  };
}

function burst(): void {
  store.write([create(1)]);
  onDurable = (batchNumber) => {
    if (batchNumber === batches + 1) process.exit(0);
    if (batchNumber !== 1) return;
    for (let index = 1; index <= batches; index++) store.write([append(1, index, index)]);
  };
}

function stream(): void {
  const inFlightMax = 8;
  let next = (store.region(region(1))?.lastIndex() ?? 0) + 1;
  const indexOfBatch = new Map<number, number>();
  let told = 0;
  const writeMore = (): void => {
    while (indexOfBatch.size < inFlightMax) {
      indexOfBatch.set(store.write(streamBatch(next)), next);
      next += 1;
    }
  };
  onDurable = (batchNumber) => {
    say(String(indexOfBatch.get(batchNumber)));
    told += 1;
    if (told === batches) process.kill(process.pid, 'SIGKILL');
    for (const written of indexOfBatch.keys()) {
      if (written <= batchNumber) indexOfBatch.delete(written);
    }
    writeMore();
  };
  writeMore();
}

if (mode === 'each') each();
else if (mode === 'burst') burst();
else if (mode === 'stream') stream();
else say('open');
