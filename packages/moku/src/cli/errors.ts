/**
 * How errors are told: the code and its details, how certain it is that nothing happened, and what to do
 * about it where there is something to do.
 */
import { type ErrorCode, MokuError } from '@moku/base';
import { CommanderError } from 'commander';
import { exitCodeOf, exitCodes } from './exit-codes.js';
import { type Output, printable } from './output.js';

const hints: Partial<Record<ErrorCode, string>> = {
  CLOSED: 'the node is ending; ask another one with --nodes',
  DIR_FOREIGN: 'a directory belongs to one node of one cluster; give another --dir',
  DIR_FORMAT_NEWER: 'a newer version of Moku wrote this directory',
  DIR_LOCKED: 'another process has this directory open',
  KEYSPACE_UNKNOWN: '`moku keyspaces` lists them, `moku create` makes one',
  PORT_IN_USE: 'another process listens there; choose another port',
  UNAVAILABLE: 'is a node running there? `moku dev` starts three; --nodes says where they are',
  VALUE_NOT_DECODABLE: 'it was stored in another form; try --values utf8 or --values bytes',
};

const certainty = {
  definite: 'it certainly had no effect',
  maybe: 'it had, or may have had, effects',
} as const;

/** What was wrong, as a coded error. */
export function codedError(error: unknown): MokuError {
  if (error instanceof MokuError) return error;
  if (error instanceof CommanderError) {
    const rule = error.message
      .replace(/^error: /, '')
      .replace(/\s+/g, ' ')
      .trim();
    return new MokuError('INVALID_ARGUMENT', { rule }, { cause: error });
  }
  const message = error instanceof Error ? error.message : String(error);
  return new MokuError('INTERNAL', { message }, { cause: error });
}

/** Says what went wrong and gives the exit code. */
export async function reportError(error: unknown, out: Output): Promise<number> {
  const coded = codedError(error);
  if (out.isJson) {
    await out.json({ ok: false, error: coded.toJSON(), hint: hintOf(coded) });
    return exitCodeOf(coded);
  }
  await out.note(`moku: ${printable(coded.message)}`);
  const exitCode = exitCodeOf(coded);
  const said: string[] = exitCode === exitCodes.usage ? [] : [certainty[coded.outcome]];
  const hint = hintOf(coded);
  if (hint !== undefined) said.push(hint);
  if (said.length > 0) await out.note(`      ${said.join('; ')}`);
  if (coded.code === 'INTERNAL' && error instanceof Error) await out.note(error.stack ?? '');
  return exitCode;
}

function hintOf(error: MokuError): string | undefined {
  // A call that ended while no node could be reached did not fail for being slow.
  const isUnreachable = error.code === 'TIMEOUT' && error.details['last'] === 'UNAVAILABLE';
  return hints[isUnreachable ? 'UNAVAILABLE' : error.code];
}
