import { recordsOptOuts } from '../support/door-contract.js';
import { doors } from '../support/doors.js';
import { signedDoors } from '../support/signed-doors.js';
import { startTestService, type TestService } from '../support/service.js';

describe('Every door that records opt-outs', () => {
  let service: TestService;
  before(async () => {
    service = await startTestService();
  });
  after(() => service.close());

  for (const door of doors) recordsOptOuts(door, () => service);
  for (const door of signedDoors(() => service)) recordsOptOuts(door, () => service);
});
