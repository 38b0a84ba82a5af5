import QRCode from 'qrcode';
import { newSecret, secretOf, switchOffCodes, switchOnCodes, takeCode } from '../core/one-time-codes.js';
import { countRecoveryCodes, createRecoveryCodes } from '../core/recovery-codes.js';
import { noteOfUser } from '../core/users.js';
import type { Db } from '../db/connect.js';
import { Invalid, Refused } from '../errors.js';
import { changing } from './changing.js';
import { withCode } from './code-tries.js';
import { endOthers } from './profile-sessions.js';
import { checkReEnteredPassword } from './re-entered.js';
import { view, type Screen, type UserVisit } from './screen.js';

const page = view('console/profile-codes.ejs');
const offPage = view('console/profile-codes-off.ejs');
const recoveryPage = view('console/recovery-codes.ejs');
const newRecoveryPage = view('console/recovery-codes-new.ejs');

/** One-time codes: how they stand; or, where they are off, what it takes to switch them on. */
export const profileCodes: Screen<UserVisit> = {
  async show({ deps, t, user, form }) {
    if (user.hasOneTimeCodes) {
      return page(t('profile.codes.title'), { offered: null, left: await countRecoveryCodes(deps.db, user) });
    }
    // Whoever mistypes the first code need not scan anew.
    const before = /^[A-Z2-7]{32}$/.exec(form?.get('secret') ?? '')?.[0];
    const offered = before === undefined ? newSecret(user) : secretOf(user, before);
    return page(t('profile.codes.title'), { offered, picture: pictureOf(offered.uri), left: 0 });
  },
  async act(visit) {
    const { deps, form, user, actor, t } = visit;
    if (user.hasOneTimeCodes) throw new Refused('codes-on', 'One-time codes are switched on already.');
    await checkReEnteredPassword(visit);
    const given = { secret: form?.get('secret') ?? '', code: form?.get('code') ?? '' };
    const codes = await changing(deps, async (trx) => {
      const made = await switchOnCodes(trx, deps.secret, user, given, { actor });
      // They were begun without a code.
      await endOthers(trx, visit);
      return made;
    });
    return recoveryPage(t('profile.recovery.title'), { codes, isFirst: true });
  },
};

/** Password and a code: whoever has found one of them switches nothing off. */
export const profileCodesOff: Screen<UserVisit> = {
  show: ({ t, user }) =>
    Promise.resolve(
      user.hasOneTimeCodes ? offPage(t('profile.codes.offTitle')) : { redirect: '/console/profile/codes' },
    ),
  async act(visit) {
    await withPasswordAndCode(visit, (trx) => switchOffCodes(trx, visit.user, { actor: visit.actor }));
    return { redirect: '/console/profile', done: 'codes-off' };
  },
};

/** New recovery codes, in place of all before. */
export const profileRecovery: Screen<UserVisit> = {
  show: ({ t, user }) =>
    Promise.resolve(
      user.hasOneTimeCodes
        ? newRecoveryPage(t('profile.recovery.newTitle'))
        : { redirect: '/console/profile/codes' },
    ),
  async act(visit) {
    const { deps, user, actor, t } = visit;
    const codes = await withPasswordAndCode(visit, async (trx) => {
      await noteOfUser(trx, user, actor, 'user.recovery-codes-made');
      return createRecoveryCodes(trx, deps.secret, user);
    });
    return recoveryPage(t('profile.recovery.title'), { codes, isFirst: false });
  },
};

async function withPasswordAndCode<T>(visit: UserVisit, work: (trx: Db) => Promise<T>): Promise<T> {
  const { deps, form, user } = visit;
  await checkReEnteredPassword(visit);
  const code = form?.get('code') ?? '';
  if (code.trim() === '') throw new Invalid('code', 'missing', 'code must not be empty');
  return withCode(visit, user, () =>
    changing(deps, async (trx) => {
      await takeCode(trx, deps.secret, user, code);
      return work(trx);
    }),
  );
}

/** A QR code as one path of an SVG: a stroke for each row's dark runs. */
function pictureOf(text: string): { size: number; path: string } {
  const { size, data } = QRCode.create(text, { errorCorrectionLevel: 'M' }).modules;
  const runs: string[] = [];
  for (let y = 0; y < size; y++) {
    for (let x = 0; x < size; x++) {
      const start = x;
      while (x < size && data[y * size + x]) x++;
      if (x > start) runs.push(`M${start} ${y}h${x - start}v1h-${x - start}z`);
    }
  }
  return { size, path: runs.join('') };
}
