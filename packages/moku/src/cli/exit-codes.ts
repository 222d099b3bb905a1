/**
 * Exit codes: what a script may rely on.
 */
import { type ErrorCode, MokuError } from '@moku/base';

export const exitCodes = {
  done: 0,
  /** Certainly without effect. */
  failed: 1,
  /** What was handed in cannot be used: options, arguments, configuration, directories, ports. */
  usage: 2,
  /** It had, or may have had, effects. */
  maybe: 3,
  /** Not found, or a condition did not hold. */
  notFound: 4,
  /** sysexits.h EX_SOFTWARE: the node cannot go on; look at its log, then start it again. */
  fatal: 70,
  /** Ended by Ctrl-C. */
  interrupted: 130,
} as const;

/** For `--help`. */
export const exitCodesHelp = `Exit codes:
  0    done
  1    failed, certainly without effect
  2    an option, argument, setting, directory or port cannot be used
  3    failed, and it had or may have had effects
  4    not found, or a condition did not hold
  70   serve: the node cannot go on; its log says why
  130  ended by Ctrl-C`;

const usageCodes: ReadonlySet<ErrorCode> = new Set([
  'INVALID_ARGUMENT',
  'KEY_EMPTY',
  'KEY_TOO_LARGE',
  'VALUE_TOO_LARGE',
  'VALUE_NOT_ENCODABLE',
  'VALUE_NOT_DECODABLE',
  'KEYSPACE_EXISTS',
  'CONFIG_INVALID',
  'DIR_UNUSABLE',
  'DIR_LOCKED',
  'DIR_FOREIGN',
  'DIR_FORMAT_NEWER',
  'PORT_IN_USE',
  'LOG_CORRUPT',
  'LOG_AMNESIA',
  'ENGINE_CORRUPT',
]);

/** The exit code that an error stands for. */
export function exitCodeOf(error: unknown): number {
  if (!(error instanceof MokuError)) return exitCodes.maybe;
  // Only Ctrl-C aborts a command.
  if (error.code === 'ABORTED') return exitCodes.interrupted;
  if (error.outcome === 'maybe') return exitCodes.maybe;
  return usageCodes.has(error.code) ? exitCodes.usage : exitCodes.failed;
}
