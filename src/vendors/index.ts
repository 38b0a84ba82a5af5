import type { Surface } from '../http/surface.js';
import { customersMailCloud } from './customers-mail-cloud/index.js';
import { mailgun } from './mailgun/index.js';
import { sendcloud } from './sendcloud/index.js';

/** The vendors whose APIs we speak. One line each; without its line, folder and test, a vendor is gone. */
export const vendors: readonly Surface[] = [customersMailCloud, mailgun, sendcloud];
