/**
 * Runs every script in scenarios/ and compares its trace with the one in the file. To rewrite the
 * files after a change that is meant: RAFT_UPDATE=1 npx vitest run packages/raft/test/scenarios.test.ts,
 * then review the diff.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { runScenario } from './harness/scenario.js';

const folder = fileURLToPath(new URL('./scenarios/', import.meta.url));
const isUpdating = process.env['RAFT_UPDATE'] !== undefined;
const names = readdirSync(folder).filter((name) => name.endsWith('.txt'));

describe('scenarios', () => {
  test('there are at least thirty', () => {
    expect(names.length).toBeGreaterThanOrEqual(30);
  });

  test.each(names)('%s happens as written', (name) => {
    const file = folder + name;
    const text = readFileSync(file, 'utf8');
    const now = runScenario(text);
    if (isUpdating && now !== text) writeFileSync(file, now);
    else expect(now).toBe(text);
  });
});
