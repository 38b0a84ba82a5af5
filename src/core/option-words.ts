/** A refusal in words for whoever has no command line: what that could be told is no help to a program. */
export function withoutOptions(message: string): string {
  return message.replace(/: say which with --.*$/, '.').replace(/^--[\w-]+ /, 'Column ');
}
