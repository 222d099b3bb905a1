/**
 * What the transport costs: `npx tsx bench/transport.bench.ts` after a build. Two processes on the
 * loopback interface: this one sends, a child receives and answers. CPU figures are of each process by
 * itself, and stand on a busy machine too.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { cpus } from 'node:os';
import { createPrng, type NodeId, type RegionId } from '@moku/base';
import type { LinkSession, TransportEvents } from '@moku/region';
import {
  type ClientRequest,
  createLinks,
  createRequestServer,
  createSystemClock,
  dialRequestChannel,
  formatAddress,
  type Links,
  type RequestChannel,
} from '@moku/transport';

const secondsPerCase = Number(process.env.BENCH_SECONDS ?? '2');
const queuedBytesMax = 2 * 1024 * 1024;

/** What the child tells the parent. */
interface Ready {
  readonly peerAddress: string;
  readonly clientAddress: string;
}
interface Usage {
  readonly frames: number;
  readonly bytes: number;
  readonly cpuUs: number;
}

function linksOf(id: number, peers: { nodeId: NodeId; address: string }[]): Promise<Links> {
  return createLinks({
    nodeId: id as NodeId,
    clusterId: 'bench',
    storeId: `store-${id}`,
    incarnation: 1,
    listen: { host: '127.0.0.1', port: 0 },
    peers,
    knownStoreId: () => undefined,
    rememberStoreId: () => {},
    clock: createSystemClock(),
    prng: createPrng(id),
  });
}

function cpuUs(): number {
  const { user, system } = process.cpuUsage();
  return user + system;
}

// The child: node 2, which dials nobody; answers frames of one byte, counts others.

async function runChild(): Promise<void> {
  let frames = 0;
  let bytes = 0;
  const links = await linksOf(2, [{ nodeId: 1 as NodeId, address: '127.0.0.1:1' }]);
  links.subscribe({
    onSessionOpen: () => {},
    onSessionClose: () => {},
    onFrame: (session, lane, frame) => {
      frames += 1;
      bytes += frame.length;
      if (frame.length === 1) links.send(session, lane, frame);
    },
  });
  const server = await createRequestServer({
    listen: { host: '127.0.0.1', port: 0 },
    handler: {
      handle: (request) =>
        Promise.resolve(
          request.kind === 'execute'
            ? { kind: 'bytes', bytes: request.command }
            : { kind: 'json', value: null },
        ),
    },
  });
  process.on('message', () => {
    process.send?.({ frames, bytes, cpuUs: cpuUs() } satisfies Usage);
  });
  process.on('disconnect', () => process.exit(0));
  process.send?.({
    peerAddress: formatAddress(links.address),
    clientAddress: formatAddress(server.address),
  } satisfies Ready);
}

// The parent: node 1, which dials.

class Sender implements TransportEvents {
  session: LinkSession | undefined;
  onAnswer: () => void = () => {};
  onOpen: () => void = () => {};
  onClose: (reason: string) => void = () => {};

  onSessionOpen(session: LinkSession): void {
    this.session = session;
    this.onOpen();
  }

  onFrame(): void {
    this.onAnswer();
  }

  onSessionClose(_session: LinkSession, reason: string): void {
    this.session = undefined;
    this.onClose(reason);
  }
}

class Bench {
  readonly child: ChildProcess;
  readonly links: Links;
  readonly sender: Sender;

  constructor(child: ChildProcess, links: Links, sender: Sender) {
    this.child = child;
    this.links = links;
    this.sender = sender;
  }

  usage(): Promise<Usage> {
    return new Promise((resolve) => {
      this.child.once('message', (usage) => resolve(usage as Usage));
      this.child.send('usage');
    });
  }

  get session(): LinkSession {
    if (this.sender.session === undefined) throw new Error('no session');
    return this.sender.session;
  }
}

function line(name: string, ...cells: string[]): void {
  console.log(`${name.padEnd(44)} ${cells.map((cell) => cell.padStart(18)).join('')}`);
}

function perSecond(count: number, elapsedMs: number): string {
  return Math.round((count / elapsedMs) * 1_000).toLocaleString('en');
}

/** Resolves in a later turn of the event loop. */
function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

async function throughput(bench: Bench, frameBytes: number, framesPerTurn: number): Promise<void> {
  const { links, session } = bench;
  const frame = new Uint8Array(frameBytes);
  const before = await bench.usage();
  const ownBefore = cpuUs();
  const startMs = performance.now();
  let sent = 0;
  while (performance.now() - startMs < secondsPerCase * 1_000) {
    if (links.bufferedBytes(session, 'control') < queuedBytesMax) {
      for (let i = 0; i < framesPerTurn; i++) links.send(session, 'control', frame);
      sent += framesPerTurn;
    }
    await nextTurn();
  }
  while (links.bufferedBytes(session, 'control') > 0) await nextTurn();
  const ownUs = cpuUs() - ownBefore;
  const elapsedMs = performance.now() - startMs;
  const after = await bench.usage();
  const received = after.frames - before.frames;
  const mbPerSecond = (after.bytes - before.bytes) / 1e6 / (elapsedMs / 1_000);
  line(
    `${frameBytes} B, ${framesPerTurn} a turn`,
    `${perSecond(received, elapsedMs)} frames/s`,
    `${mbPerSecond.toFixed(0)} MB/s`,
    `${(ownUs / sent).toFixed(2)} µs to send`,
    `${((after.cpuUs - before.cpuUs) / received).toFixed(2)} µs to take`,
  );
}

async function roundTrips(bench: Bench, isBulkFull: boolean): Promise<void> {
  const { links, session, sender } = bench;
  const ping = Uint8Array.of(1);
  const chunk = new Uint8Array(256 * 1024);
  const timesMs: number[] = [];
  let sentMs = performance.now();
  sender.onAnswer = () => {
    timesMs.push(performance.now() - sentMs);
    sentMs = performance.now();
    links.send(session, 'control', ping);
  };
  links.send(session, 'control', ping);
  const before = await bench.usage();
  const startMs = performance.now();
  while (performance.now() - startMs < secondsPerCase * 1_000) {
    while (isBulkFull && links.bufferedBytes(session, 'bulk') < queuedBytesMax) {
      links.send(session, 'bulk', chunk);
    }
    await nextTurn();
  }
  sender.onAnswer = () => {};
  const elapsedMs = performance.now() - startMs;
  const after = await bench.usage();
  timesMs.sort((x, y) => x - y);
  const at = (share: number): string =>
    `p${share * 100} ${(timesMs[Math.floor(timesMs.length * share)] ?? 0).toFixed(2)} ms`;
  const bulkMb = (after.bytes - before.bytes) / 1e6 / (elapsedMs / 1_000);
  line(
    isBulkFull ? 'round trip, bulk lane full' : 'round trip, idle',
    at(0.5),
    at(0.99),
    `${bulkMb.toFixed(0)} MB/s bulk`,
  );
}

async function requests(bench: Bench, channel: RequestChannel, concurrency: number): Promise<void> {
  const request: ClientRequest = {
    kind: 'execute',
    regionId: 7 as RegionId,
    command: new Uint8Array(100),
  };
  const before = await bench.usage();
  const ownBefore = cpuUs();
  const startMs = performance.now();
  let done = 0;
  const worker = async (): Promise<void> => {
    while (performance.now() - startMs < secondsPerCase * 1_000) {
      await channel.request(request);
      done += 1;
    }
  };
  await Promise.all(Array.from({ length: concurrency }, worker));
  const elapsedMs = performance.now() - startMs;
  const ownUs = cpuUs() - ownBefore;
  const after = await bench.usage();
  line(
    `requests of 100 B, ${concurrency} at once`,
    `${perSecond(done, elapsedMs)} /s`,
    `${((elapsedMs * concurrency) / done).toFixed(3)} ms each`,
    `${(ownUs / done).toFixed(2)} µs client`,
    `${((after.cpuUs - before.cpuUs) / done).toFixed(2)} µs server`,
  );
}

/** How long a stopped process goes unnoticed. */
async function silence(bench: Bench): Promise<void> {
  const { child, sender } = bench;
  const timesMs: number[] = [];
  for (let i = 0; i < 3; i++) {
    const closed = new Promise<string>((resolve) => {
      sender.onClose = resolve;
    });
    const startMs = performance.now();
    child.kill('SIGSTOP');
    const reason = await closed;
    timesMs.push(performance.now() - startMs);
    if (reason !== 'PEER_SILENT') throw new Error(`closed for ${reason}`);
    const opened = new Promise<void>((resolve) => {
      sender.onOpen = resolve;
    });
    child.kill('SIGCONT');
    await opened;
  }
  line('a stopped peer is noticed after', ...timesMs.map((ms) => `${ms.toFixed(0)} ms`));
}

async function runParent(): Promise<void> {
  const child = fork(new URL(import.meta.url), ['child']);
  const ready = await new Promise<Ready>((resolve) =>
    child.once('message', (message) => resolve(message as Ready)),
  );
  const sender = new Sender();
  const links = await linksOf(1, [{ nodeId: 2 as NodeId, address: ready.peerAddress }]);
  const opened = new Promise<void>((resolve) => {
    sender.onOpen = resolve;
  });
  links.subscribe(sender);
  await opened;
  const bench = new Bench(child, links, sender);
  console.log(`node ${process.version}, ${cpus().length} × ${cpus()[0]?.model ?? 'unknown'}\n`);
  for (const [frameBytes, framesPerTurn] of [
    [100, 1],
    [100, 32],
    [1_000, 32],
    [64 * 1024, 1],
    [256 * 1024, 1],
  ] as const) {
    await throughput(bench, frameBytes, framesPerTurn);
  }
  await roundTrips(bench, false);
  await roundTrips(bench, true);
  const channel = await dialRequestChannel({ address: ready.clientAddress });
  for (const concurrency of [1, 64, 1_000]) await requests(bench, channel, concurrency);
  await channel.close();
  await silence(bench);
  await links.close();
  child.disconnect();
}

if (process.argv[2] === 'child') await runChild();
else await runParent();
