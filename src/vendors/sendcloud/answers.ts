import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http';
import Negotiator from 'negotiator';
import { sendJson } from '../../http/respond.js';
import type { Reason } from '../../core/receipts.js';

/** What SendCloud's envelope says, by its code. The English texts are ours where its documentation has none. */
const messages = {
  200: ['请求成功', 'request was successful'],
  501: ['服务器异常', 'server error'],
  6001: ['你没有权限访问', 'you have no permission to access this'],
  40002: ['start非法', 'start is invalid'],
  40004: ['limit非法', 'limit is invalid'],
  40005: ['认证失败', 'authentication failed'],
  40006: ['days格式非法,必须是大于0的正整数', 'days is invalid: it must be a whole number above 0'],
  40007: ["startDate格式错误,应该类似'2013-03-19'", "startDate is invalid: it should look like '2013-03-19'"],
  40008: ["endDate格式错误,应该类似'2013-03-19'", "endDate is invalid: it should look like '2013-03-19'"],
  40011: ['email不能为空', 'email must not be empty'],
  40012: ['email格式非法', 'email is invalid'],
  40015: ['标签ID格式错误', 'labelIdList is invalid'],
  40016: ['apiUserList格式非法', 'apiUserList is invalid'],
  40401: ['取消订阅记录创建成功', 'unsubscribe record was created'],
  40402: ['取消订阅记录创建失败', 'unsubscribe record could not be created'],
} as const;
export type Code = keyof typeof messages;

const successes: readonly Code[] = [200, 40401];

/** What a call comes to, short of success. */
export class Failure extends Error {
  override name = 'Failure';
  constructor(
    readonly code: Code,
    /** Says more than its message does. */
    readonly detail?: string,
  ) {
    super(messages[code][1]);
  }
}

/** The HTTP status is 200 whatever happens: programs read `result` and `statusCode`. */
export function answer(
  req: IncomingMessage,
  res: ServerResponse,
  code: Code,
  info: unknown = {},
  detail?: string,
  headers: OutgoingHttpHeaders = {},
): void {
  const isEnglish = new Negotiator(req).language(['zh', 'zh-CN', 'en']) === 'en';
  const message = messages[code][isEnglish ? 1 : 0];
  sendJson(
    res,
    200,
    {
      result: successes.includes(code),
      statusCode: code,
      message: detail === undefined ? message : `${message}: ${detail}`,
      info,
    },
    { ...headers, 'Content-Type': 'application/json; charset=utf-8' },
  );
}

/** The four answers of a recipient who is asked why; our words for them stand in core/receipts.ts. */
const types: readonly (readonly [reason: Reason, text: string])[] = [
  ['unwanted', '我不想再收到此类邮件'],
  ['never-signed-up', '这不是我订阅的'],
  ['spam', '这是垃圾邮件'],
  ['fraud', '这是欺诈邮件，我想举报'],
];

/** 0 where nobody has answered, or in other words. */
export function typeOf(reason: string | null): { unsubscribeType: number; unsubscribeTypeDesc: string } {
  const index = Math.max(
    0,
    types.findIndex(([known]) => known === reason),
  );
  return { unsubscribeType: index, unsubscribeTypeDesc: types[index]?.[1] ?? '' };
}
