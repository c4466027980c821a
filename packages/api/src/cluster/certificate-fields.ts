/** `spec.certificates`: certificates of one's own in place of those that the operator makes. */
import { list, object, optional, type Rule, text } from '../schema.ts';

const secretName = (description: string) =>
  text(description, { minLength: 1, maxLength: 253, pattern: '^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$' });

const rules: Rule[] = [
  {
    rule: '!has(self.serverTLSSecret) || has(self.serverCASecret)',
    message:
      'serverTLSSecret needs serverCASecret, by which clients and replicas verify it: name the secret with its ca.crt',
    fieldPath: '.serverCASecret',
  },
  {
    rule: '!has(self.replicationTLSSecret) || has(self.clientCASecret)',
    message:
      'replicationTLSSecret needs clientCASecret, by which the primary verifies it: name the secret with its ca.crt',
    fieldPath: '.clientCASecret',
  },
];

export const certificates = object(
  "Certificates of one's own for PostgreSQL. Each secret that is named is followed: a change of it takes effect without a restart. Default: an authority of the cluster's own, in the secret NAME-ca, signs everything.",
  {
    serverCASecret: optional(
      secretName(
        'Secret whose ca.crt verifies the certificate of the servers. With a ca.key besides, the operator signs that certificate with it, else serverTLSSecret has to be there.',
      ),
    ),
    serverTLSSecret: optional(
      secretName(
        'Secret of type kubernetes.io/tls with the certificate of the servers. It must be good for NAME-rw, NAME-rw.NAMESPACE and NAME-rw.NAMESPACE.svc.',
      ),
    ),
    clientCASecret: optional(
      secretName(
        'Secret whose ca.crt verifies client certificates. With a ca.key besides, the operator signs that of the replicas with it, else replicationTLSSecret has to be there.',
      ),
    ),
    replicationTLSSecret: optional(
      secretName(
        'Secret of type kubernetes.io/tls with the client certificate of the replicas, for the common name streaming_replica.',
      ),
    ),
    serverAltDNSNames: optional(
      list(
        'More names for which the certificate that the operator makes for the servers is good.',
        text('A DNS name.', { minLength: 1, maxLength: 253 }),
        { maxItems: 64 },
      ),
    ),
  },
  { rules },
);
