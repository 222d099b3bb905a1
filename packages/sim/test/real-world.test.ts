import { randomBytes } from 'node:crypto';
import { lookup } from 'node:dns';
import { readFileSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import { describe, expect, it } from 'vitest';
import { forbidRealWorld } from '../src/world/real-world.js';

describe('the real world during a run', () => {
  it('is refused in every form, and back afterwards', () => {
    const uses: readonly (readonly [string, () => unknown])[] = [
      ['Date.now', () => Date.now()],
      ['new Date()', () => new Date()],
      ['Math.random', () => Math.random()],
      ['performance.now', () => performance.now()],
      ['process.hrtime', () => process.hrtime()],
      ['process.hrtime', () => process.hrtime.bigint()],
      ['setImmediate', () => globalThis.setImmediate(() => {})],
      ['node:dns lookup', () => lookup('localhost', () => {})],
      ['node:crypto randomBytes', () => randomBytes(4)],
      ['crypto.getRandomValues', () => crypto.getRandomValues(new Uint8Array(2))],
      ['node:fs readFileSync', () => readFileSync('package.json')],
      ['node:worker_threads Worker', () => new Worker('0', { eval: true })],
      ['fetch', () => fetch('http://127.0.0.1:1')],
    ];
    const refused: string[] = [];
    const thrown: string[] = [];
    const restore = forbidRealWorld((name) => refused.push(name));
    for (const [, use] of uses) {
      try {
        use();
      } catch (error) {
        thrown.push(String(error));
      }
    }
    restore();
    expect(refused).toEqual(uses.map(([name]) => name));
    expect(thrown).toHaveLength(uses.length);
    expect(Date.now()).toBeGreaterThan(0);
    expect(readFileSync('package.json', 'utf8')).toContain('moku');
    expect(randomBytes(4)).toHaveLength(4);
  });

  it('leaves dates of given instants', () => {
    const restore = forbidRealWorld(() => {});
    const ms = new Date(5).getTime();
    restore();
    expect(ms).toBe(5);
  });
});
