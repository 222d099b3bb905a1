import type { RegionId } from '@moku/base';
import { describe, expect, it } from 'vitest';
import { Session, Sessions } from '../src/sessions.js';

describe('a session', () => {
  it('never reports a sequence as answered while it may be sent again', () => {
    const session = new Session(9);
    const first = session.begin();
    const second = session.begin();
    const third = session.begin();
    session.end(second);
    expect(session.ref(third)).toEqual({ sessionId: 9, sequence: 3, answeredBelow: first });
    session.end(first);
    expect(session.ref(third).answeredBelow).toBe(third);
    session.end(third);
    expect(session.ref(session.begin()).answeredBelow).toBe(4);
  });
});

describe('sessions of a client', () => {
  const region = 5 as RegionId;

  it('are opened once per region, however many wait for it', async () => {
    const sessions = new Sessions();
    let opened = 0;
    const open = async (): Promise<number> => {
      opened += 1;
      return 70 + opened;
    };
    const all = await Promise.all([1, 2, 3].map(() => sessions.get(region, open)));
    expect(new Set(all).size).toBe(1);
    expect(opened).toBe(1);
  });

  it('are opened anew after a failure, and after the region forgot them', async () => {
    const sessions = new Sessions();
    await expect(sessions.get(region, () => Promise.reject(new Error('lost')))).rejects.toThrow(
      'lost',
    );
    const session = await sessions.get(region, async () => 1);
    sessions.forget(region, session);
    const next = await sessions.get(region, async () => 2);
    expect(next.sessionId).toBe(2);
    sessions.forget(region, session);
    expect(sessions.current(region)).toBe(next);
  });
});
