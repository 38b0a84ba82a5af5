/**
 * What can be wrong with a call, in English and Japanese, with its placeholders. Texts are the documentation's
 * to the letter: the English one of 15-002 repeats that of 15-001 there.
 *
 * Its page has no more than these calls' own errors. 02-001 is a guess. 10-001 is one as well: 10-002 and
 * 10-003 stand beside it, and clients know it as what a missing parameter comes to. Codes of 00- are ours,
 * for what only HTTP has words for: the status stands in them.
 */
const messages = {
  '02-001': ['Authentication failed.', '認証に失敗しました。'],
  '10-001': ['{0} is required.', '{0} は必須項目です。'],
  '10-002': [
    'Specified server configuration {0} does not exist.',
    '指定されたサーバ構成 {0} は存在しません。',
  ],
  '10-003': [
    'For the start_date please specify a date before the end_date.',
    '開始日には終了日以前の日付を指定してください。',
  ],
  '12-001': ['It does not exist the data specified in the email.', 'emailで指定されたデータは存在しません。'],
  '12-002': [
    'You do not have the permission to access the specified data.',
    '指定されたデータにアクセスする権限がありません。',
  ],
  '15-001': [
    'Specified value has invalid (Invalid JSON format).',
    '値の指定方法(JSONフォーマット)が不正です。',
  ],
  '15-002': ['Specified value has invalid (Invalid JSON format).', 'メールアドレスの指定がありません。'],
  '15-003': ['No email address is specified.({0})', 'メールアドレスの指定がありません。({0})'],
  '15-004': ['{0} is required.({1})', '{0} は必須項目です。({1})'],
  '15-005': ['You have exceeded the maximum numbers of address.', '指定可能なメールアドレス数を超えました。'],
  '15-006': ['Duplicate email address.({0})', 'メールアドレスが重複しています。({0})'],
  '15-007': [
    'It does not exist the data specified in the email.({0})',
    'emailで指定されたデータは存在しません。({0})',
  ],
  '00-400': ['{0} is invalid: {1}', '{0} の値が不正です: {1}'],
  '00-403': ['This is not allowed. {0}', '許可されていません。{0}'],
  '00-404': ['There is no such call.', '存在しない API です。'],
  '00-405': ['Use the POST method.', 'POST メソッドを使用してください。'],
  '00-413': ['The request body is too large.', 'リクエストボディが大きすぎます。'],
  '00-415': [
    'Send JSON or application/x-www-form-urlencoded, in UTF-8, without a Content-Encoding.',
    'UTF-8 の JSON または application/x-www-form-urlencoded を、Content-Encoding なしで送信してください。',
  ],
  '00-429': [
    'Too many requests. Please try again later.',
    'リクエストが多すぎます。しばらくしてから再度お試しください。',
  ],
  '00-500': ['An unexpected error has occurred. ({0})', '予期しないエラーが発生しました。({0})'],
  '00-503': [
    'The service is temporarily unavailable. Please try again later.',
    '一時的にサービスを利用できません。しばらくしてから再度お試しください。',
  ],
} as const;
export type Code = keyof typeof messages;

export const languages = ['en', 'ja'] as const;
export type Language = (typeof languages)[number];

/** One thing that is wrong; what fills the placeholders of its message. */
export interface Fault {
  readonly code: Code;
  /** The parameter; empty where it is none. */
  readonly field: string;
  readonly values: readonly string[];
  /** Says more than its message does. */
  readonly detail?: string;
}

export function fault(code: Code, field = '', ...values: readonly (string | number)[]): Fault {
  return { code, field, values: values.map(String) };
}

/** What a call comes to, short of success: all that is wrong with it. */
export class Failure extends Error {
  override name = 'Failure';
  constructor(
    readonly status: number,
    readonly faults: readonly Fault[],
    readonly headers: Readonly<Record<string, string>> = {},
  ) {
    super(faults.map(({ code }) => code).join(', '));
  }
}

/** Longer than any name that we give out; what is longer comes back cut. */
const longestValue = 300;

export function messageOf({ code, values, detail }: Fault, language: Language): string {
  const template = messages[code][languages.indexOf(language)] ?? messages[code][0];
  const text = template.replace(/\{(\d)\}/g, (_, i: string) =>
    (values[Number(i)] ?? '').slice(0, longestValue),
  );
  return detail === undefined ? text : `${text} ${detail}`;
}
