/** A program that mails are sent with, and what it replaces in them for each recipient. */
export interface MailProgram {
  readonly id: string;
  readonly name: string;
  /** The recipient's address. */
  readonly emailTag: string;
  /** A field of one's own called `link`: for signed links, which are merged in as such. */
  readonly linkTag: string;
  /** Its API takes variables whose names, and values, the caller gives: these are what they are called here. */
  readonly isByApi?: true;
}

/** What an unknown program, or one's own, replaces. */
export const ownProgram: MailProgram = {
  id: 'own',
  name: '',
  emailTag: '{{email}}',
  linkTag: '{{link}}',
};

/** Each from its vendor's documentation, and from templates that are in use. */
export const mailPrograms: readonly MailProgram[] = [
  { id: 'activecampaign', name: 'ActiveCampaign', emailTag: '%EMAIL%', linkTag: '%LINK%' },
  { id: 'brevo', name: 'Brevo', emailTag: '{{ contact.EMAIL }}', linkTag: '{{ contact.LINK }}' },
  { id: 'campaign-monitor', name: 'Campaign Monitor', emailTag: '[email]', linkTag: '[link]' },
  { id: 'getresponse', name: 'GetResponse', emailTag: '[[email]]', linkTag: '[[link]]' },
  { id: 'hubspot', name: 'HubSpot', emailTag: '{{ contact.email }}', linkTag: '{{ contact.link }}' },
  { id: 'klaviyo', name: 'Klaviyo', emailTag: '{{ email }}', linkTag: "{{ person|lookup:'link' }}" },
  {
    id: 'listmonk',
    name: 'listmonk',
    emailTag: '{{ .Subscriber.Email }}',
    linkTag: '{{ .Subscriber.Attribs.link }}',
  },
  { id: 'mailchimp', name: 'Mailchimp', emailTag: '*|EMAIL|*', linkTag: '*|LINK|*' },
  { id: 'mailerlite', name: 'MailerLite', emailTag: '{$email}', linkTag: '{$link}' },
  {
    id: 'mailgun',
    name: 'Mailgun',
    emailTag: '%recipient.email%',
    linkTag: '%recipient.link%',
    isByApi: true,
  },
  { id: 'salesforce', name: 'Salesforce Marketing Cloud', emailTag: '%%emailaddr%%', linkTag: '%%link%%' },
  { id: 'sendcloud', name: 'SendCloud', emailTag: '%email%', linkTag: '%link%', isByApi: true },
  { id: 'sendgrid', name: 'SendGrid Marketing Campaigns', emailTag: '{{email}}', linkTag: '{{link}}' },
  { id: 'sendgrid-api', name: 'SendGrid API', emailTag: '-email-', linkTag: '-link-', isByApi: true },
];

/** Our own of an id that there is not. */
export function mailProgramOf(id: string | null): MailProgram {
  return mailPrograms.find((program) => program.id === id) ?? ownProgram;
}
