/**
 * Keeps the real world out of a run: while a simulation goes on, the host's timers, clocks, random numbers,
 * files, sockets, threads and processes throw, whoever uses them. The simulator itself keeps one:
 * `nextTask` and `afterPromises`, which let promises settle.
 */
import childProcess from 'node:child_process';
import crypto from 'node:crypto';
import dgram from 'node:dgram';
import dns from 'node:dns';
import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import net from 'node:net';
import timers from 'node:timers';
import timersPromises from 'node:timers/promises';
import workerThreads from 'node:worker_threads';
import { InvariantError } from '@moku/base';

const realSetImmediate = globalThis.setImmediate;
const realNextTick = process.nextTick.bind(process);

const settled = Promise.resolve();

/**
 * Runs `task` once every promise that can settle now has run its continuations: Node runs a tick when no
 * such continuation is left, if it was asked for by one of them (a tick's own tick comes before them).
 * Cheaper than `nextTask`, but rejections that nobody handles are found, and signals served, only by the
 * host's own loop, which this does not go through.
 */
export function afterPromises(task: () => void): void {
  void settled.then(() => realNextTick(task));
}

/**
 * Resolves once every promise that can settle now has run its continuations, and rejections that nobody
 * handles were reported.
 */
export function nextTask(): Promise<void> {
  return new Promise((resolve) => {
    realSetImmediate(resolve);
  });
}

interface Replaced {
  readonly target: object;
  readonly key: string;
  /** What a failure calls it. */
  readonly label: string;
}

function each(target: object, label: string, keys: readonly string[]): readonly Replaced[] {
  return keys.map((key) => ({ target, key, label: label + key }));
}

/** Functions of a module whose name matches. */
function functionsOf(target: object, label: string, matching = /^[a-z]/): readonly Replaced[] {
  const keys = Object.keys(target).filter(
    (key) => matching.test(key) && typeof Reflect.get(target, key) === 'function',
  );
  return each(target, label, keys);
}

const timerNames = ['setTimeout', 'setInterval', 'setImmediate'];

const replaced: readonly Replaced[] = [
  ...each(globalThis, '', [...timerNames, 'Date', 'fetch', 'WebSocket']),
  ...each(performance, 'performance.', ['now']),
  ...each(Math, 'Math.', ['random']),
  ...each(process, 'process.', ['hrtime']),
  ...each(globalThis.crypto, 'crypto.', ['getRandomValues', 'randomUUID']),
  ...functionsOf(crypto, 'node:crypto ', /^(random|getRandomValues|generate)/),
  ...each(timers, 'node:timers ', timerNames),
  ...functionsOf(timersPromises, 'node:timers/promises '),
  ...functionsOf(fs, 'node:fs '),
  ...functionsOf(fs.promises, 'node:fs/promises '),
  ...each(net, 'node:net ', ['connect', 'createConnection', 'createServer']),
  ...each(dgram, 'node:dgram ', ['createSocket']),
  ...functionsOf(dns, 'node:dns ', /^(lookup|resolve)/),
  ...functionsOf(childProcess, 'node:child_process '),
  ...each(workerThreads, 'node:worker_threads ', ['Worker']),
].filter(({ target, key }) => Object.getOwnPropertyDescriptor(target, key)?.configurable !== false);

/** Replaces them by versions that throw; returns what puts them back. */
export function forbidRealWorld(onUse: (name: string) => void): () => void {
  const former = replaced.map(({ target, key }) => Object.getOwnPropertyDescriptor(target, key));
  const refuse = (name: string): never => {
    onUse(name);
    throw new InvariantError(`a simulated run used ${name}`);
  };
  for (const { target, key, label } of replaced) {
    const value = key === 'Date' ? timelessDate(refuse) : replacementOf(key, () => refuse(label));
    Object.defineProperty(target, key, { value, configurable: true, writable: true });
  }
  // What was imported by name is replaced, too.
  syncBuiltinESMExports();
  return () => {
    replaced.forEach(({ target, key }, at) => {
      const descriptor = former[at];
      if (descriptor === undefined) Reflect.deleteProperty(target, key);
      else Object.defineProperty(target, key, descriptor);
    });
    syncBuiltinESMExports();
  };
}

function replacementOf(key: string, refuse: () => never): (...args: never[]) => unknown {
  return key === 'writeSync' ? printing(refuse) : refusing(refuse);
}

/** A trace that is printed to a file is written with it. */
function printing(refuse: () => never): (fd: number, ...rest: readonly unknown[]) => unknown {
  const { writeSync } = fs;
  return (fd, ...rest) =>
    fd === process.stdout.fd || fd === process.stderr.fd
      ? Reflect.apply(writeSync, fs, [fd, ...rest])
      : refuse();
}

/** May be called and constructed, and answers neither; so does its `bigint`, as of `process.hrtime`. */
function refusing(refuse: () => never): () => never {
  return Object.assign(
    function refused(): never {
      return refuse();
    },
    { bigint: refuse },
  );
}

/** `Date` for given instants only. */
function timelessDate(refuse: (name: string) => never): DateConstructor {
  return new Proxy(Date, {
    construct: (target, args): object =>
      args.length === 0 ? refuse('new Date()') : Reflect.construct(target, args),
    apply: () => refuse('Date()'),
    get: (target, name): unknown =>
      name === 'now' ? () => refuse('Date.now') : Reflect.get(target, name),
  });
}
