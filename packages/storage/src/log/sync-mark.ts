/**
 * A note beside the log of how many commits were synced, so that the loss of the last ones, which looks
 * like a torn end, is noticed at the next opening.
 *
 * Invariants:
 *  Y1 Each commit holds its own number in the file's `user_version`, and is noted after its sync. The note
 *     never claims more than was synced, and what SQLite does to the write-ahead log by itself, such as
 *     emptying it when a connection ends with its process, makes no false alarm.
 *  Y2 It is not synced: what kills only the process leaves it exact; a power loss may leave an older one,
 *     or none, which says less.
 */
import { join } from 'node:path';
import { hash32, utf8 } from '@moku/base';
import type { FileWriting, Medium, SqlConnection } from '../medium.js';

const markName = 'log.mark';
const numberChars = 12;

export class SyncMark {
  /** Why commits that were noted are missing; empty: nothing speaks for it. */
  readonly loss: string;
  private readonly dir: string;
  private readonly medium: Medium;
  private readonly database: SqlConnection;
  private file: FileWriting | undefined = undefined;
  /** Number of the newest commit, modulo 2^32, signed. */
  private commits: number;

  /** `database` is the log's, recovered by SQLite. */
  constructor(dir: string, medium: Medium, database: SqlConnection) {
    this.dir = dir;
    this.medium = medium;
    this.database = database;
    this.commits = Number(database.pragma('user_version', { simple: true }));
    this.loss = lossSince(noted(join(dir, markName), medium), this.commits);
  }

  /** Numbers the transaction under way. */
  number(): void {
    if (this.medium.openWriting === undefined) return;
    this.database.exec(`PRAGMA user_version = ${following(this.commits)}`);
  }

  /** The transaction that was numbered is synced. */
  synced(): void {
    const { medium, dir } = this;
    if (medium.openWriting === undefined) return;
    this.commits = following(this.commits);
    this.file ??= medium.openWriting(join(dir, markName));
    this.file.write(utf8(format(this.commits)));
  }

  close(): void {
    this.file?.close();
    this.file = undefined;
  }
}

function following(commits: number): number {
  return (commits + 1) | 0;
}

function lossSince(commitsNoted: number | undefined, commits: number): string {
  if (commitsNoted === undefined) return '';
  const missing = (commitsNoted - commits) | 0;
  return missing <= 0 ? '' : `the last ${missing} commits that were synced are missing`;
}

/** What a former opening noted; undefined: nothing, or it was torn. */
function noted(path: string, medium: Medium): number | undefined {
  if (!medium.exists(path)) return undefined;
  const written = medium.readText(path);
  const commits = Number(written.slice(0, numberChars));
  return format(commits) === written ? commits : undefined;
}

function format(commits: number): string {
  const number = String(commits).padStart(numberChars);
  return `${number} ${hash32(utf8(number)).toString(16).padStart(8, '0')}\n`;
}
