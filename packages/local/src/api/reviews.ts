/** Questions posted to the API: may I, who am I, is this token good. */
import type { Authenticator } from './authn.ts';
import type { Authorizer } from './rbac.ts';
import { badRequest, forbidden } from './status.ts';
import { type Obj, objectAt, type Resource, stringAt, type User } from './types.ts';

/** Answers one of the kinds in `REVIEWS`. */
export function answerReview(
  resource: Resource,
  body: Obj,
  user: User,
  authorizer: Authorizer,
  authenticator: Authenticator,
  namespace: string | undefined,
): Obj {
  const head = {
    kind: resource.kind,
    apiVersion: `${resource.group}/v1`,
    metadata: { creationTimestamp: null },
  };
  const spec = objectAt(body, 'spec');
  switch (resource.kind) {
    case 'SelfSubjectAccessReview':
      return { ...head, spec, status: access(spec, user, authorizer) };
    case 'SubjectAccessReview':
    case 'LocalSubjectAccessReview':
      return { ...head, spec, status: access(spec, subjectOf(spec), authorizer) };
    case 'SelfSubjectRulesReview':
      return { ...head, spec, status: rules(user, stringAt(spec, 'namespace') ?? namespace, authorizer) };
    case 'SelfSubjectReview':
      return { ...head, status: { userInfo: userInfo(user) } };
    case 'TokenReview':
      return { ...head, spec, status: tokenStatus(spec, authenticator) };
    default:
      throw badRequest(`cannot answer a ${resource.kind}`);
  }
}

function subjectOf(spec: Obj): User {
  const groups = Array.isArray(spec.groups) ? spec.groups.map(String) : [];
  return { name: stringAt(spec, 'user') ?? '', groups };
}

function access(spec: Obj, user: User, authorizer: Authorizer): Obj {
  const resource = objectAt(spec, 'resourceAttributes');
  const path = objectAt(spec, 'nonResourceAttributes');
  const allowed = authorizer.allows({
    user,
    verb: stringAt(resource, 'verb') ?? stringAt(path, 'verb') ?? '',
    group: stringAt(resource, 'group') ?? '',
    resource: stringAt(resource, 'resource') ?? '',
    subresource: stringAt(resource, 'subresource') || undefined,
    namespace: stringAt(resource, 'namespace') || undefined,
    name: stringAt(resource, 'name') || undefined,
    path: stringAt(path, 'path'),
  });
  return { allowed, ...(allowed ? { reason: 'RBAC: allowed by a rule' } : {}) };
}

function rules(user: User, namespace: string | undefined, authorizer: Authorizer): Obj {
  const all = user.groups.includes('system:masters')
    ? [
        { verbs: ['*'], apiGroups: ['*'], resources: ['*'], resourceNames: [], nonResourceURLs: [] },
        { verbs: ['*'], apiGroups: [], resources: [], resourceNames: [], nonResourceURLs: ['*'] },
      ]
    : authorizer.rulesFor(user, namespace);
  return {
    resourceRules: all
      .filter((rule) => rule.resources.length)
      .map(({ verbs, apiGroups, resources, resourceNames }) => ({
        verbs,
        apiGroups,
        resources,
        ...(resourceNames.length ? { resourceNames } : {}),
      })),
    nonResourceRules: all
      .filter((rule) => rule.nonResourceURLs.length)
      .map(({ verbs, nonResourceURLs }) => ({ verbs, nonResourceURLs })),
    incomplete: false,
  };
}

function userInfo(user: User): Obj {
  return {
    username: user.name,
    ...(user.uid ? { uid: user.uid } : {}),
    groups: user.groups,
    ...(user.extra ? { extra: user.extra } : {}),
  };
}

function tokenStatus(spec: Obj, authenticator: Authenticator): Obj {
  const audiences = Array.isArray(spec.audiences) ? spec.audiences.map(String) : undefined;
  const user = authenticator.userOfToken(stringAt(spec, 'token') ?? '', audiences);
  if (!user) return { authenticated: false, error: 'invalid bearer token', user: {} };
  return { authenticated: true, user: userInfo(user), ...(audiences ? { audiences } : {}) };
}

/** The 403 that RBAC gives, in Kubernetes' words. */
export function accessDenied(
  user: User,
  asked: {
    verb: string;
    group: string;
    resource: string;
    subresource?: string;
    namespace?: string;
    name?: string;
  },
): Error {
  const full = asked.subresource ? `${asked.resource}/${asked.subresource}` : asked.resource;
  const where = asked.namespace
    ? `in the namespace ${JSON.stringify(asked.namespace)}`
    : 'at the cluster scope';
  return forbidden(
    { group: asked.group, plural: asked.resource, kind: '' },
    asked.name ?? '',
    `User ${JSON.stringify(user.name)} cannot ${asked.verb} resource ${JSON.stringify(full)} in API group ${JSON.stringify(asked.group)} ${where}`,
  );
}
