import { api } from './api/index.js';
import type { Surface } from './http/surface.js';
import { vendors } from './vendors/index.js';

/** All APIs that we speak: our own, and the vendors'. */
export const surfaces: readonly Surface[] = [api, ...vendors];
