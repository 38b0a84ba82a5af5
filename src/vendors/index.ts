import type { Surface } from '../http/surface.js';
import { sendcloud } from './sendcloud/index.js';

/** The vendors whose APIs we speak. One line each; without its line, folder and test, a vendor is gone. */
export const vendors: readonly Surface[] = [sendcloud];
