// An OpenID provider that nobody here wrote: the certified oidc-provider, with the sandbox's people. Its one page asks who one
// is and how one proves it, so that a test decides what the provider says of acr and amr.

import { generateKeyPairSync, randomBytes } from "node:crypto";
import { createServer } from "node:http";
import { after } from "node:test";
import Provider, { interactionPolicy } from "oidc-provider";

import { freePort } from "./demo.js";

export const CLIENT_ID = "curfew";
export const CLIENT_SECRET = randomBytes(24).toString("hex");

/** How somebody proves who they are, and what the provider says of it. */
const WAYS = {
  password: { acr: "urn:okta:loa:1fa:pwd", amr: ["pwd"] },
  code: { acr: "urn:okta:loa:2fa:any", amr: ["pwd", "otp", "mfa"] },
  passkey: { acr: "phr", amr: ["hwk", "pop", "mfa"] },
};

/** The sandbox's name for the same person: what SCIM would have brought. */
const subjectOf = (name) => `00u${name.padStart(17, "x")}`;

const newKey = (kid) => {
  const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  return { ...privateKey.export({ format: "jwk" }), kid, use: "sig", alg: "RS256" };
};

/** Starts a provider for the one client whose pages are at `url`; the end of the test file stops it. */
export const startProvider = async (url) => {
  const port = await freePort();
  const issuer = `http://127.0.0.1:${port}`;
  const keys = [newKey("first")];
  const proved = new Map();
  let handle = configure(issuer, url, keys, proved);
  const server = createServer((request, response) => handle(request, response));
  await new Promise((done) => { server.listen(port, "127.0.0.1", done); });
  after(() => { server.closeAllConnections(); server.close(); });
  return {
    issuer,
    /** Signs with a new key from now on. Its sessions are forgotten; the old key is still published. */
    rotateKeys() {
      keys.unshift(newKey(`key-${keys.length + 1}`));
      handle = configure(issuer, url, keys, proved);
    },
  };
};

const configure = (issuer, url, keys, proved) => {
  const policy = interactionPolicy.base();
  const { Check } = interactionPolicy;
  const isTooWeak = (ctx) => {
    const asked = ctx.oidc.params.acr_values?.split(" ") ?? [];
    return asked.length > 0 && !asked.includes(ctx.oidc.session.acr);
  };
  policy.get("login").checks.add(new Check("too_weak", "a stronger sign-in is asked for", (ctx) => isTooWeak(ctx)));
  const provider = new Provider(issuer, {
    jwks: { keys },
    clients: [{
      client_id: CLIENT_ID,
      client_secret: CLIENT_SECRET,
      redirect_uris: [`${url}/auth/callback`],
      post_logout_redirect_uris: [`${url}/login`],
      backchannel_logout_uri: `${url}/auth/backchannel-logout`,
      backchannel_logout_session_required: true,
    }],
    acrValues: Object.values(WAYS).map((way) => way.acr),
    claims: {
      acr: null, auth_time: null, iss: null, sid: null,
      openid: ["sub", "amr"], email: ["email", "email_verified"], profile: ["name", "preferred_username"],
    },
    conformIdTokenClaims: false,
    cookies: { keys: [randomBytes(16).toString("hex")] },
    features: { devInteractions: { enabled: false }, backchannelLogout: { enabled: true }, rpInitiatedLogout: SIGN_OUT },
    // Its own guard refuses to call an address of this machine, and that is where Curfew is.
    fetch: (target, options) => { delete options.dispatcher; return globalThis.fetch(target, options); },
    findAccount: (_, id) => ({
      accountId: id,
      claims: () => ({
        sub: id, email: `${proved.get(id).name}@example.com`, email_verified: true, name: proved.get(id).name,
        preferred_username: `${proved.get(id).name}@example.com`, amr: proved.get(id).amr,
      }),
    }),
    interactions: { policy, url: (_, interaction) => `/interaction/${interaction.uid}` },
    loadExistingGrant: async (ctx) => {
      const grant = new ctx.oidc.provider.Grant({ accountId: ctx.oidc.session.accountId, clientId: ctx.oidc.client.clientId });
      grant.addOIDCScope("openid email profile");
      await grant.save();
      return grant;
    },
    pkce: { required: () => true },
    ttl: { AccessToken: 600, AuthorizationCode: 60, Grant: 3600, IdToken: 600, Interaction: 600, Session: 3600 },
  });
  const callback = provider.callback();
  return async (request, response) => {
    if (!request.url.startsWith("/interaction/")) return callback(request, response);
    if (request.method === "GET") {
      response.setHeader("Content-Type", "text/html; charset=utf-8");
      return response.end(PAGE);
    }
    let body = "";
    for await (const part of request) body += part;
    const { name, way } = Object.fromEntries(new URLSearchParams(body));
    const id = subjectOf(name);
    proved.set(id, { name, amr: WAYS[way].amr });
    const login = { accountId: id, acr: WAYS[way].acr, amr: WAYS[way].amr, remember: true };
    return provider.interactionFinished(request, response, { login }, { mergeWithLastSubmission: false });
  };
};

const page = (title, content) => `<!doctype html><html lang="en"><title>${title}</title><link rel="icon" href="data:,"><h1>${title}</h1>${content}</html>`;

const PAGE = page("The company's sign-in", `<form method="post"><label>Name <input name="name"></label>
${Object.keys(WAYS).map((way) => `<button name="way" value="${way}">With a ${way}</button>`).join("\n")}
</form>`);

/** In place of its own pages, which load fonts from elsewhere. */
const SIGN_OUT = {
  enabled: true,
  logoutSource: (ctx, form) => { ctx.body = page("Sign out?", `${form}<button form="op.logoutForm" name="logout" value="yes">Sign out everywhere</button>`); },
  postLogoutSuccessSource: (ctx) => { ctx.body = page("You are signed out everywhere", ""); },
};
