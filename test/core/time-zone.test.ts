import assert from 'node:assert/strict';
import { checkTimeZone, createLocalClock } from '../../src/core/time-zone.js';
import { Invalid } from '../../src/errors.js';

describe('A local clock', () => {
  const iso = (ms: number | null) => (ms === null ? null : new Date(ms).toISOString().slice(0, 16));

  it('tells what people there read on theirs', () => {
    const at = Date.parse('2026-03-09T16:30:05.999Z');
    const times: [zone: string, text: string][] = [
      ['Asia/Tokyo', '2026-03-10 01:30:05'],
      ['UTC', '2026-03-09 16:30:05'],
      ['America/New_York', '2026-03-09 12:30:05'],
      ['Asia/Kathmandu', '2026-03-09 22:15:05'],
      ['Pacific/Kiritimati', '2026-03-10 06:30:05'],
    ];
    for (const [zone, text] of times) assert.equal(createLocalClock(zone).text(at), text, zone);
  });

  it('goes along with summer time, to the second', () => {
    const { text } = createLocalClock('Europe/Berlin');
    const change = Date.parse('2026-03-29T01:00:00Z');
    assert.equal(text(change - 1000), '2026-03-29 01:59:59');
    assert.equal(text(change), '2026-03-29 03:00:00');
    const back = Date.parse('2026-10-25T01:00:00Z');
    assert.equal(text(back - 1000), '2026-10-25 02:59:59');
    assert.equal(text(back), '2026-10-25 02:00:00');
    assert.equal(text(0), '1970-01-01 01:00:00');
  });

  it('says the same as Intl does, at any time of many years and in any zone', () => {
    for (const zone of ['Asia/Tokyo', 'Australia/Lord_Howe', 'America/Sao_Paulo', 'Africa/Casablanca']) {
      const { text } = createLocalClock(zone);
      const format = new Intl.DateTimeFormat('sv-SE', {
        ...{ timeZone: zone, dateStyle: 'short', timeStyle: 'medium' },
      });
      for (let i = 0; i < 3000; i++) {
        const at = Math.floor((i * 7919 * 200_003_000) % Date.UTC(2035, 0));
        assert.equal(text(at), format.format(at).replace(',', ''), `${zone} ${at}`);
      }
    }
  });

  it('knows when a day begins there', () => {
    const starts: [zone: string, day: string, utc: string][] = [
      ['Asia/Tokyo', '2016-03-10', '2016-03-09T15:00'],
      ['Europe/Berlin', '2026-03-29', '2026-03-28T23:00'],
      ['Europe/Berlin', '2026-03-30', '2026-03-29T22:00'],
      ['America/New_York', '2026-11-02', '2026-11-02T05:00'],
      // Clocks went forward at midnight: the day began at 1.
      ['America/Sao_Paulo', '2018-11-04', '2018-11-04T03:00'],
      ['Asia/Beirut', '2022-03-27', '2022-03-26T22:00'],
      // They went back at midnight: the hour before it came twice.
      ['America/Sao_Paulo', '2018-02-18', '2018-02-18T03:00'],
      // They went back to midnight: that came twice, and the day began with the first.
      ['America/Havana', '2022-11-06', '2022-11-06T04:00'],
    ];
    for (const [zone, day, utc] of starts) {
      assert.equal(iso(createLocalClock(zone).dayStart(day)), utc, `${zone} ${day}`);
    }
    const { dayStart } = createLocalClock('Asia/Tokyo');
    assert.equal(iso(dayStart('2016-02-28', 1)), '2016-02-28T15:00');
    assert.equal(iso(dayStart('2016-12-31', 1)), '2016-12-31T15:00');
  });

  it('knows no days that are not in the calendar', () => {
    const { dayStart } = createLocalClock('Asia/Tokyo');
    const none = ['2016-02-30', '2015-02-29', '2016-13-01', '2016-00-10', '2016-1-1', '16-01-01', '', 'x'];
    for (const day of [...none, '2016-01-01 ', '2016-01-01T00:00', '0050-01-01x', '２０１６-01-01']) {
      assert.equal(dayStart(day), null, day);
    }
  });

  it('is only for zones of the IANA database', () => {
    assert.equal(checkTimeZone('timeZone', ' Europe/Berlin '), 'Europe/Berlin');
    for (const zone of ['', 'Tokyo', '+09:00', 'Asia/Nowhere', 'U TC', '../../etc/passwd', 'x'.repeat(100)]) {
      assert.throws(
        () => checkTimeZone('timeZone', zone),
        (error) => error instanceof Invalid && error.field === 'timeZone',
      );
    }
  });
});
