/**
 * The machine's own disk: better-sqlite3 and node's file system.
 */
import { randomBytes } from 'node:crypto';
import {
  closeSync,
  existsSync,
  fstatSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  readSync,
  statSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { dirname } from 'node:path';
import Database from 'better-sqlite3';
import type {
  ConnectOptions,
  FileReading,
  FileWriting,
  Medium,
  SqlConnection,
  SqlValue,
} from './medium.js';

const timeoutMsDefault = 5_000;

export const diskMedium: Medium = {
  connect(path: string, options: ConnectOptions = {}): SqlConnection {
    const { readonly = false, timeoutMs = timeoutMsDefault } = options;
    const database = new Database(path, { readonly, fileMustExist: readonly, timeout: timeoutMs });
    return {
      prepare: (sql) => database.prepare<SqlValue[]>(sql),
      exec: (sql) => database.exec(sql),
      pragma: (source, pragmaOptions) => database.pragma(source, pragmaOptions),
      get inTransaction() {
        return database.inTransaction;
      },
      close: () => database.close(),
    };
  },
  makeDirectory(path: string): void {
    const made = mkdirSync(path, { recursive: true });
    if (!statSync(path).isDirectory()) throw new Error('not a directory');
    if (made === undefined) return;
    for (let at = path; at.length >= made.length; at = dirname(at)) syncPath(dirname(at));
  },
  exists: (path: string): boolean => existsSync(path),
  sizeOf: (path: string): number => (existsSync(path) ? statSync(path).size : 0),
  readText: (path: string): string => readFileSync(path, 'utf8'),
  writeText(path: string, text: string): void {
    const file = openSync(path, 'w');
    try {
      writeSync(file, text);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    syncPath(dirname(path));
  },
  remove(path: string): void {
    unlinkSync(path);
    syncPath(dirname(path));
  },
  openReading(path: string): FileReading | undefined {
    let file: number;
    try {
      file = openSync(path, 'r');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw error;
    }
    return {
      size: fstatSync(file).size,
      read: (into: Uint8Array, at: number): void => readFully(file, into, at),
      close: (): void => closeSync(file),
    };
  },
  openWriting(path: string): FileWriting {
    const file = openSync(path, 'w');
    return {
      write: (bytes: Uint8Array): void => {
        writeSync(file, bytes, 0, bytes.length, 0);
      },
      close: (): void => closeSync(file),
    };
  },
  randomBytes: (count: number): Uint8Array => randomBytes(count),
};

function readFully(file: number, into: Uint8Array, at: number): void {
  let done = 0;
  while (done < into.length) {
    const read = readSync(file, into, done, into.length - done, at + done);
    if (read === 0) throw new Error(`the file ends at byte ${at + done}`);
    done += read;
  }
}

function syncPath(path: string): void {
  const file = openSync(path, 'r');
  try {
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}
