/**
 * All that the history notes, by what it is about. Each has its text, `history.action.<noun>.<verb>`; a test finds
 * what is missing here.
 */
export const actionGroups = {
  lists: [
    'list.created',
    'list.edited',
    'list.archived',
    'list.unarchived',
    'list.named',
    'list.unnamed',
    'list.tried',
    'tags.added',
    'links.minted',
    'link-key.rotated',
    'global-list.marked',
    'global-list.unmarked',
    'alerts.edited',
  ],
  optOuts: [
    'opt-out.recorded',
    'opt-out.removed',
    'opt-out.restored',
    'opt-out.reverted',
    'opt-out.undone',
    'opt-out.evicted',
    'opt-outs.removed',
    'opt-outs.restored',
    'person.erased',
  ],
  imports: ['list.import-started', 'list.imported', 'list.import-restarted'],
  downloads: ['list.downloaded', 'list.searched', 'list.scrubbed', 'list.export-started', 'list.exported'],
  mailers: [
    'mailer.created',
    'mailer.edited',
    'mailer.granted',
    'mailer.revoked',
    'access-key.rotated',
    'access-key.revoked',
  ],
  credentials: ['credential.created', 'credential.ended'],
  abuse: ['block.lifted', 'burst.reverted'],
  people: [
    'user.created',
    'user.edited',
    'user.email-asked',
    'user.ended',
    'user.revived',
    'user.link-made',
    'user.password-set',
    'user.signed-in',
    'user.sessions-ended',
    'user.codes-on',
    'user.codes-off',
    'user.recovery-codes-made',
    'user.recovery-code-used',
    'user.wrong-codes',
  ],
  account: ['account.created', 'account.edited'],
} as const satisfies Record<string, readonly string[]>;

export type ActionGroup = keyof typeof actionGroups;

export function isActionGroup(name: string | null): name is ActionGroup {
  return name !== null && Object.hasOwn(actionGroups, name);
}
