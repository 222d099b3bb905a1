/**
 * The one table of operational errors: every code, whether the operation certainly did not happen
 * (`definite`) or may have happened (`maybe`), and whether a retry of the same request can succeed.
 * docs/errors.md explains each code; a test holds the two against each other.
 *
 * Invariant E1: a code whose outcome is `definite` is only used where the operation had no effect (P5).
 */

export type Outcome = 'definite' | 'maybe';

export interface ErrorTraits {
  /** `definite`: the operation certainly had no effect. `maybe`: it may have happened or may still happen. */
  readonly outcome: Outcome;
  /** True when the same request may succeed later without being changed. */
  readonly retryable: boolean;
}

const definite = { outcome: 'definite', retryable: false } as const;
const definiteRetry = { outcome: 'definite', retryable: true } as const;
const maybe = { outcome: 'maybe', retryable: false } as const;
const maybeRetry = { outcome: 'maybe', retryable: true } as const;

/** All codes, grouped by who raises them. */
export const errorTable = {
  // What the caller handed in.
  INVALID_ARGUMENT: definite,
  KEY_EMPTY: definite,
  KEY_TOO_LARGE: definite,
  VALUE_TOO_LARGE: definite,
  BATCH_TOO_LARGE: definite,
  BATCH_SPANS_REGIONS: definite,
  VALUE_NOT_ENCODABLE: definite,
  VALUE_NOT_DECODABLE: definite,
  CURSOR_INVALID: definite,
  // Keyspaces and regions.
  KEYSPACE_UNKNOWN: definite,
  KEYSPACE_EXISTS: definite,
  REGION_UNKNOWN: definiteRetry,
  EPOCH_MISMATCH: definiteRetry,
  NOT_LEADER: definiteRetry,
  BUSY: definiteRetry,
  // Requests under way.
  PROPOSAL_LOST: maybeRetry,
  SESSION_UNKNOWN: maybe,
  TIMEOUT: maybe,
  ABORTED: maybe,
  UNAVAILABLE: definiteRetry,
  CONNECTION_LOST: maybeRetry,
  CLOSED: definite,
  MALFORMED_REQUEST: definite,
  UNAUTHORIZED: definite,
  // Configuration and directories.
  CONFIG_INVALID: definite,
  DIR_UNUSABLE: definite,
  DIR_LOCKED: definite,
  DIR_FOREIGN: definite,
  DIR_FORMAT_NEWER: definite,
  PORT_IN_USE: definite,
  // Storage.
  LOG_IO: maybe,
  LOG_CORRUPT: definite,
  LOG_AMNESIA: definite,
  ENGINE_IO: maybe,
  ENGINE_CORRUPT: definite,
  SYNC_DISABLED: definite,
  // Links between nodes.
  FRAME_CORRUPT: definite,
  FRAME_TOO_LARGE: definite,
  FRAME_MALFORMED: definite,
  HANDSHAKE_TIMEOUT: definite,
  CLUSTER_MISMATCH: definite,
  VERSION_MISMATCH: definite,
  NODE_MISMATCH: definite,
  NODE_REPLACED: definite,
  PEER_SILENT: definite,
  PEER_OVERRUN: definite,
  LINK_REPLACED: definite,
  // The process.
  INTERNAL: maybe,
} as const satisfies Record<string, ErrorTraits>;

export type ErrorCode = keyof typeof errorTable;

export type ErrorDetails = Readonly<Record<string, unknown>>;

function sentence(code: ErrorCode, details: ErrorDetails): string {
  const parts: string[] = [];
  for (const [name, value] of Object.entries(details)) parts.push(`${name}=${String(value)}`);
  return parts.length === 0 ? code : `${code}: ${parts.join(' ')}`;
}

/** An operational error: has a code of the table, typed details (field, bound, ids) and a cause. */
export class MokuError extends Error {
  override readonly name = 'MokuError';
  readonly code: ErrorCode;
  readonly outcome: Outcome;
  readonly retryable: boolean;
  readonly details: ErrorDetails;

  constructor(code: ErrorCode, details: ErrorDetails = {}, options?: { cause?: unknown }) {
    super(sentence(code, details), options);
    const traits: ErrorTraits = errorTable[code];
    this.code = code;
    this.outcome = traits.outcome;
    this.retryable = traits.retryable;
    this.details = details;
  }

  /** The same error, known to be of another outcome than its code's usual one. */
  withOutcome(outcome: Outcome): MokuError {
    const error = new MokuError(this.code, this.details, { cause: this.cause });
    (error as { outcome: Outcome }).outcome = outcome;
    return error;
  }

  toJSON(): { code: ErrorCode; outcome: Outcome; retryable: boolean; details: ErrorDetails } {
    const { code, outcome, retryable, details } = this;
    return { code, outcome, retryable, details };
  }
}

/** True for a MokuError, of the given code when one is given. */
export function isMokuError(error: unknown, code?: ErrorCode): error is MokuError {
  return error instanceof MokuError && (code === undefined || error.code === code);
}

/** True when `code` (untrusted, e.g. from the wire) is a code of the table. */
export function isErrorCode(code: unknown): code is ErrorCode {
  return typeof code === 'string' && Object.hasOwn(errorTable, code);
}
