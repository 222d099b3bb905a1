/** What others rely on at the end of the gate's output. */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';

const gate = fileURLToPath(new URL('../scripts/gate.mjs', import.meta.url));

it('the last line counts passes and failures and the exit code agrees, also when nothing could run', () => {
  const run = spawnSync(process.execPath, [gate, '--only', 'nonsense'], { encoding: 'utf8' });
  expect(run.stdout.trimEnd().split('\n').at(-1)).toBe('0 passed, 1 failed');
  expect(run.stderr).toContain('no such stage: nonsense');
  expect(run.status).toBe(1);
});
