/** What those who open a list's link say of themselves. */
export type Headers = Readonly<Record<string, string>>;

/** Ann's browser, opening a link. */
export const browser: Headers = {
  Accept: 'text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8',
  'Accept-Language': 'en-GB,en;q=0.9',
  'Sec-Fetch-Dest': 'document',
  'Sec-Fetch-Mode': 'navigate',
  'User-Agent': 'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0',
};

/** The same, where it loads an image of a page. */
export const imageOfBrowser: Headers = {
  Accept: 'image/avif,image/webp,image/png,image/svg+xml,image/*;q=0.8,*/*;q=0.5',
  'Accept-Language': 'en-GB,en;q=0.9',
  'Sec-Fetch-Dest': 'image',
  'Sec-Fetch-Mode': 'no-cors',
};

/** A mailer's server: neither a language nor HTML is asked for. */
export const program: Headers = { Accept: '*/*', 'User-Agent': 'mailer/1.0' };

/** Old Java asks for HTML without a language (java.net.HttpURLConnection's default). */
export const oldJava: Headers = {
  Accept: 'text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2',
  'User-Agent': 'Java/1.8.0_402',
};

/** Browsers that fetch what nobody has clicked on yet; they differ in how they say so. */
export const prefetches: Readonly<Record<string, Headers>> = {
  'a prefetch': { ...browser, 'Sec-Purpose': 'prefetch' },
  'a prerender': { ...browser, 'Sec-Purpose': 'prefetch;prerender' },
  'an older prefetch': { ...browser, Purpose: 'prefetch' },
  "an old Firefox's prefetch": { ...browser, 'X-Moz': 'prefetch' },
  "Safari's preview": { ...browser, 'X-Purpose': 'preview' },
  'a prefetched image': { ...imageOfBrowser, 'Sec-Purpose': 'prefetch' },
  'a prefetching program': { ...program, 'Sec-Purpose': 'PREFETCH' },
};

/** Programs that open every link of every mail, to look for malice. */
export const scanners: Readonly<Record<string, Headers>> = {
  curl: { Accept: '*/*', 'User-Agent': 'curl/8.5.0' },
  'python-requests': { Accept: '*/*', Connection: 'keep-alive', 'User-Agent': 'python-requests/2.32.3' },
  'a program without any headers': {},
  'a rewriter of links': {
    Accept: 'text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8',
    'User-Agent':
      'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0',
  },
  'a mail gateway': { Accept: '*/*', 'User-Agent': 'BarracudaCentral/1.0 (+link protection)', Via: '1.1 gw' },
  'a bot in the clothes of a browser': browser,
  'old Java': oldJava,
};
