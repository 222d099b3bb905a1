/**
 * Four projects: `unit` (the packages and the scripts), `conformance` (one suite per contract, run on
 * every adapter), `cluster` (real processes as people run them, one file at a time) and `process` (real processes under
 * faults, judged by what clients saw). Every test has a bound.
 */
import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

const unitTimeoutMs = 20_000;
const conformanceTimeoutMs = 60_000;
const clusterTimeoutMs = 180_000;
const processTimeoutMs = process.env['MOKU_PROCESS_LONG'] === '1' ? 900_000 : 180_000;

export default defineConfig({
  root: fileURLToPath(new URL('..', import.meta.url)),
  test: {
    pool: 'forks',
    maxWorkers: 2,
    passWithNoTests: true,
    teardownTimeout: 10_000,
    projects: [
      {
        extends: true,
        test: {
          name: 'unit',
          include: ['packages/*/test/**/*.test.ts', 'test/*.test.ts'],
          testTimeout: unitTimeoutMs,
          hookTimeout: unitTimeoutMs,
        },
      },
      {
        extends: true,
        test: {
          name: 'conformance',
          include: ['test/conformance/**/*.test.ts'],
          testTimeout: conformanceTimeoutMs,
          hookTimeout: conformanceTimeoutMs,
        },
      },
      {
        extends: true,
        test: {
          name: 'cluster',
          include: ['test/cluster/**/*.test.ts'],
          testTimeout: clusterTimeoutMs,
          hookTimeout: clusterTimeoutMs,
          fileParallelism: false,
        },
      },
      {
        extends: true,
        test: {
          name: 'process',
          include: ['test/process/**/*.test.ts'],
          testTimeout: processTimeoutMs,
          hookTimeout: clusterTimeoutMs,
        },
      },
    ],
  },
});
