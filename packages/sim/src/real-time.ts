/**
 * Keeps real time and real chance out of a run: while a simulation goes on, the host's timers, clocks and
 * random numbers throw. The simulator itself keeps one: `nextTask`, which lets promises settle.
 */
import { InvariantError } from '@moku/base';

const realSetImmediate = globalThis.setImmediate;

/** Resolves once every promise that can settle now has run its continuations. */
export function nextTask(): Promise<void> {
  return new Promise((resolve) => {
    realSetImmediate(resolve);
  });
}

type Replaced = [target: object, name: string];

const replaced: readonly Replaced[] = [
  [globalThis, 'setTimeout'],
  [globalThis, 'setInterval'],
  [globalThis, 'setImmediate'],
  [globalThis, 'Date'],
  [performance, 'now'],
  [Math, 'random'],
];

/** Replaces them by versions that throw; returns what puts them back. */
export function forbidRealTime(onUse: (name: string) => void): () => void {
  const former = replaced.map(([target, name]) => Object.getOwnPropertyDescriptor(target, name));
  const refuse = (name: string): never => {
    onUse(name);
    throw new InvariantError(`a simulated run used ${name}`);
  };
  for (const [target, name] of replaced) {
    const value = name === 'Date' ? timelessDate(refuse) : () => refuse(name);
    Object.defineProperty(target, name, { value, configurable: true, writable: true });
  }
  return () => {
    replaced.forEach(([target, name], at) => {
      const descriptor = former[at];
      if (descriptor === undefined) Reflect.deleteProperty(target, name);
      else Object.defineProperty(target, name, descriptor);
    });
  };
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
