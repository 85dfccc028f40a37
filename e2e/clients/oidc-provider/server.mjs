// An OpenID provider for the tests: the npm package `oidc-provider` on a port of its own, over TLS.
//
// node server.mjs FOLDER, where FOLDER holds tls.key, tls.crt, callback (our client's redirect URI, read at the first
// request) and accounts.json (claims by account, read at each login). It prints its issuer when it listens.

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { createServer } from 'node:https';
import { join } from 'node:path';

const folder = process.argv[2];
// Where the packages are is the test's business.
const require = createRequire(join(process.env.PIERHEAD_OIDC_PROVIDER, 'package.json'));
const { default: Provider } = await import(require.resolve('oidc-provider'));
const read = (name) => readFileSync(join(folder, name), 'utf8');

let provider;
const server = createServer({ key: read('tls.key'), cert: read('tls.crt') }, (request, response) => {
  provider ??= make();
  provider.callback()(request, response);
});
server.listen(0, '127.0.0.1', () => console.log(issuer()));

function issuer() {
  return `https://127.0.0.1:${server.address().port}`;
}

function make() {
  return new Provider(issuer(), {
    clients: [{
      client_id: 'pierhead',
      client_secret: 'a secret: with % and +',
      redirect_uris: [read('callback').trim()],
      grant_types: ['authorization_code'],
      response_types: ['code'],
    }],
    claims: { openid: ['sub'], profile: ['preferred_username', 'name', 'groups'], email: ['email'] },
    pkce: { required: () => true },
    // Consent is not what is tested.
    async loadExistingGrant(context) {
      const grant = new context.oidc.provider.Grant({
        clientId: context.oidc.client.clientId,
        accountId: context.oidc.session.accountId,
      });
      grant.addOIDCScope('openid profile email');
      await grant.save();
      return grant;
    },
    async findAccount(_, id) {
      const claims = JSON.parse(read('accounts.json'))[id];
      return claims && { accountId: id, claims: () => ({ sub: id, ...claims }) };
    },
  });
}
