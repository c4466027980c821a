/** What a schedule may look like, as one regular expression that the API server checks too. */

/** A list of values, ranges and steps, such as `*\/5` or `1-4,8`. `value`: one of them. */
const listOf = (value: string): string => {
  const item = `([*?]|(${value})(-(${value}))?)(/[1-9][0-9]?)?`;
  return `${item}(,${item})*`;
};

const SIXTY = '[0-5]?[0-9]';
const HOUR = '[01]?[0-9]|2[0-3]';
/** L: the last day; 15W: the weekday next to it. */
const DAY = '(0?[1-9]|[12][0-9]|3[01])W?|L';
const MONTH = '0?[1-9]|1[0-2]|(?i:JAN|FEB|MAR|APR|MAY|JUN|JUL|AUG|SEP|OCT|NOV|DEC)';
/** FRI#2: the second one of the month, FRI#L and 5L the last one. */
const WEEKDAY = '([0-7]|(?i:SUN|MON|TUE|WED|THU|FRI|SAT))(#[1-5L]|L)?';
const BLANK = '[ \\t]+';

const FIVE = [SIXTY, HOUR, DAY, MONTH, WEEKDAY].map(listOf).join(BLANK);

/** Five fields, six with seconds first, or a word such as @daily; each number in its range. */
export const SCHEDULE_PATTERN = `^(@(yearly|annually|monthly|weekly|daily|hourly)|(${listOf(SIXTY)}${BLANK})?${FIVE})$`;
