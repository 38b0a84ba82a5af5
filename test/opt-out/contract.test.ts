import { recordsOptOuts } from '../support/door-contract.js';
import { doors } from '../support/doors.js';

for (const door of doors) recordsOptOuts(door);
