/*
 * Tokens. Input that begins with "{" is a header, a newline and a payload, which are signed here, so that
 * what is behind the signature is reached too; anything else is a token. What is taken must bear a signature
 * that OpenSSL makes alike, and say to json-c what it says to us.
 */
#include <json-c/json.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>

#include "auth/auth.h"
#include "base/b64.h"
#include "base/buf.h"

#define SECRET	"0123456789abcdef0123456789abcdef"
#define NOW_MS	INT64_C(1700000000000)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct auth *lax, *strict;

static void
must(bool holds)
{
	if (!holds)
		abort();
}

static void
prepare(void)
{
	struct auth_key_options key = { .secret = SECRET };
	struct auth_options	o = { .keys = &key, .n_keys = 1, .leeway_ms = 30000, .cache = 16 };
	char		       *why;

	if (lax != NULL)
		return;
	lax = auth_new(&o, &why);
	o.issuer = "https://id.example";
	o.audience = "roost";
	o.max_age_ms = 3600000;
	o.cache = 0;
	strict = auth_new(&o, &why);
}

/* The signature of `text` as it is written in a token: 43 characters and a NUL. */
static void
signature_of(struct slice text, char out[44 + 1])
{
	unsigned char mac[32];
	unsigned      n;

	HMAC(EVP_sha256(), SECRET, sizeof(SECRET) - 1, (const unsigned char *)text.p, text.n, mac, &n);
	EVP_EncodeBlock((unsigned char *)out, mac, sizeof(mac));
	for (char *c = out; *c != '\0'; c++)
		*c = *c == '+' ? '-' : *c == '/' ? '_' : *c;
	out[43] = '\0';
}

static void
add_part(struct buf *b, struct slice text)
{
	b->n += b64url_encode(text.p, text.n, buf_room(b, B64_LEN(text.n)));
}

/* Makes a token of a header, a newline and a payload. */
static void
sign(struct buf *b, struct slice in)
{
	const char  *nl = memchr(in.p, '\n', in.n);
	struct slice header = slice(in.p, nl != NULL ? (size_t)(nl - in.p) : in.n);
	char	     sig[45];

	add_part(b, header);
	buf_add_char(b, '.');
	add_part(b, nl != NULL ? slice_from(in, header.n + 1) : SLICE("{}"));
	signature_of(buf_slice(b), sig);
	buf_add_char(b, '.');
	buf_add_str(b, sig);
}

static void
check_signature(struct slice token)
{
	const char *dot = memrchr(token.p, '.', token.n);
	char	    sig[45];

	must(dot != NULL);
	signature_of(slice(token.p, (size_t)(dot - token.p)), sig);
	must(slice_is(slice_from(token, (size_t)(dot + 1 - token.p)), sig));
}

static void
check_identity(const struct identity *who)
{
	char		   *text = strndup(who->claims.p, who->claims.n);
	struct json_object *claims = json_tokener_parse(text), *user, *exp;

	must(strlen(text) == who->claims.n && json_object_is_type(claims, json_type_object));
	must(json_object_object_get_ex(claims, "exp", &exp) && json_object_is_type(exp, json_type_int));
	must(json_object_get_int64(exp) == who->expires);
	if (!json_object_object_get_ex(claims, "user_id", &user))
		must(json_object_object_get_ex(claims, "sub", &user));
	must(slice_is(who->user, json_object_get_string(user)));
	must(who->user.n > 0 && who->user.n <= 128 && who->name.n > 0 && who->name.n <= 128);
	json_object_put(claims);
	free(text);
}

static void
check_taken(struct slice token, struct identity *who)
{
	struct identity *again;
	const char	*why;

	check_signature(token);
	check_identity(who);
	must(auth_verify(lax, token, NOW_MS, &again, &why) == 0 && again == who);
	identity_unref(again);
}

static void
check(struct slice token)
{
	struct identity *who = NULL, *same = NULL;
	const char	*why = NULL;
	int		 r = auth_verify(lax, token, NOW_MS, &who, &why);

	must((r == 0) == (who != NULL) && (r == 0) == (why == NULL));
	if (r == 0)
		check_taken(token, who);
	if (auth_verify(strict, token, NOW_MS, &same, &why) == 0)
		must(r == 0 && slice_eq(same->user, who->user));
	identity_unref(who);
	identity_unref(same);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf   b autobuf = { 0 };
	struct slice in = slice((const char *)data, size);

	prepare();
	if (size == 0 || data[0] != '{') {
		check(in);
		return 0;
	}
	sign(&b, in);
	check(buf_slice(&b));
	return 0;
}
