/** What the programs of this world call their columns; the first that is there counts. */
export const columnNames = {
  address: [
    ...['email', 'e-mail', 'email address', 'e-mail address', 'email_address', 'emailaddress', 'mail'],
    ...['address', 'recipient', 'item'],
  ],
  md5: ['md5', 'email_md5', 'md5_hash', 'hash_md5'],
  sha256: ['sha256', 'sha-256', 'email_sha256', 'sha256_hash', 'hash_sha256'],
  hash: ['hash', 'email_hash'],
  date: ['created_at', 'created', 'opted_out_at', 'unsubscribed_at', 'unsub_time', 'date'],
  tag: ['tag'],
  tags: ['tags', 'tag'],
  reason: ['reason', 'unsub_reason'],
};

/**
 * What is likely meant by other names: only where a person is asked whether it is so.
 */
export const likelyNames = {
  address: ['e-mail-adresse', 'e-mailadresse', 'correo', 'courriel', 'メールアドレス', 'メール', 'アドレス'],
  tag: ['label', 'filter', 'filtername', 'category', 'topic', 'タグ', 'ラベル', 'フィルタ', 'カテゴリ'],
  date: [
    ...[
      'unsubscribed at',
      'unsubscribed on',
      'unsubscribe date',
      'unsubscribe time',
      'opted out at',
      'opt-out date',
    ],
    ...[
      'optout_date',
      'unsub_date',
      'timestamp',
      '日時',
      '日付',
      '配信停止日',
      '配信停止日時',
      '解除日',
      '登録日時',
    ],
  ],
  reason: ['why', 'unsubscribe reason', 'unsub_reason_title', 'comment', '理由', '配信停止理由', '解除理由'],
};
