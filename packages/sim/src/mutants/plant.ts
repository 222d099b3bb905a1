/**
 * Prepares a process for a mutant: `node --import plant.js?NAME …`. Only the simulator's runner starts
 * processes so.
 */
import { register } from 'node:module';

const name = decodeURIComponent(new URL(import.meta.url).search.slice(1));
register(new URL('./hooks.js', import.meta.url), { data: name });
