/*
 * Compact tokens: three parts in base64url, of which the first two are JSON objects.
 */
#include "auth/jws.h"

#include <errno.h>

#include "base/b64.h"
#include "net/utf8.h"
#include "wire/json.h"

#define MALFORMED	"malformed token"
#define NOT_JWT		"type is not JWT"
#define N_PARTS		3

/* Cuts at the dots. Returns false unless there are just two. */
static bool
split(struct slice token, struct slice parts[N_PARTS])
{
	for (unsigned i = 0; i < N_PARTS; i++) {
		const char *dot = token.n > 0 ? memchr(token.p, '.', token.n) : NULL;
		size_t	    n = dot != NULL ? (size_t)(dot - token.p) : token.n;

		if ((dot != NULL) != (i < N_PARTS - 1))
			return false;
		parts[i] = slice(token.p, n);
		token = slice_from(token, dot != NULL ? n + 1 : n);
	}
	return true;
}

/* The JSON object that `text` consists of, blanks around it aside; p == NULL if it is something else. */
static struct slice
object_in(struct slice text)
{
	const struct slice none = { NULL, 0 };
	enum json_kind	   type;
	struct slice	   object, rest;
	ssize_t		   n;

	if (!utf8_valid(text))
		return none;
	object = slice_from(text, json_blanks(text));
	n = json_scan(object, &type);
	if (n < 0 || type != JSON_OBJECT)
		return none;
	rest = slice_from(object, (size_t)n);
	return json_blanks(rest) == rest.n ? slice(object.p, (size_t)n) : none;
}

/*
 * Decodes the parts, one behind the other, into j->text: they are shorter than the token was. Returns false
 * if one is not base64url.
 */
static bool
decode(struct jws *j, const struct slice parts[N_PARTS], struct slice out[N_PARTS])
{
	char *at = j->text;

	for (unsigned i = 0; i < N_PARTS; i++) {
		ssize_t n = b64_decode(B64_URL, parts[i], (uint8_t *)at);

		if (n < 0)
			return false;
		out[i] = slice(at, (size_t)n);
		at += n;
	}
	return true;
}

/* Header parameters that we refuse to see. */
static const char *
forbidden(struct slice name)
{
	static const struct { const char *name, *why; } list[] = {
		{ "jku", "key named by the token" },
		{ "x5u", "key named by the token" },
		{ "jwk", "key named by the token" },
		{ "x5c", "key named by the token" },
		{ "crit", "critical header" },
		{ "b64", "critical header" },
	};

	for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++)
		if (slice_is(name, list[i].name))
			return list[i].why;
	return NULL;
}

/*
 * A header parameter that must be a string, and must not have been there before. Returns NULL or the reason
 * to refuse.
 */
static const char *
take_string(struct slice value, char *scratch, size_t size, struct slice *text, const char *too_long)
{
	int r;

	if (text->p != NULL || value.p[0] != '"')
		return MALFORMED;
	r = json_text(value, scratch, size, text);
	if (r == -ENAMETOOLONG)
		return too_long;
	return r == 0 ? NULL : MALFORMED;
}

static const char *
take_parameter(struct jws *j, struct slice name, struct slice value)
{
	const char *why = forbidden(name);

	if (why != NULL)
		return why;
	if (slice_is(name, "alg"))
		return take_string(value, j->alg_text, sizeof(j->alg_text), &j->alg, "unknown algorithm");
	if (slice_is(name, "kid"))
		return take_string(value, j->kid_text, sizeof(j->kid_text), &j->kid, "unknown kid");
	if (slice_is(name, "typ"))
		return take_string(value, j->typ_text, sizeof(j->typ_text), &j->typ, NOT_JWT);
	return NULL;
}

static const char *
read_header(struct jws *j, struct slice header)
{
	char	     scratch[32];
	struct slice key, name, value;
	const char  *why = NULL;
	size_t	     at = 0;

	while (why == NULL && json_next_member(header, &at, &key, &value) == 1) {
		int r = json_text(key, scratch, sizeof(scratch), &name);

		if (r == 0)
			why = take_parameter(j, name, value);
		else if (r != -ENAMETOOLONG)
			why = MALFORMED;
	}
	if (why != NULL)
		return why;
	if (j->alg.p == NULL)
		return MALFORMED;
	if (slice_eq_nocase(j->alg, SLICE("none")))
		return "algorithm none";
	/* libjwt would refuse it too, but not say why. */
	return j->typ.p == NULL || slice_eq_nocase(j->typ, SLICE("JWT")) ? NULL : NOT_JWT;
}

const char *
jws_parse(struct jws *j, struct slice token)
{
	struct slice parts[N_PARTS], decoded[N_PARTS], header;

	if (token.n > AUTH_MAX_TOKEN)
		return "token too long";
	if (!split(token, parts) || !decode(j, parts, decoded))
		return MALFORMED;
	header = object_in(decoded[0]);
	j->payload = object_in(decoded[1]);
	if (header.p == NULL || j->payload.p == NULL)
		return MALFORMED;
	j->alg = j->kid = j->typ = (struct slice){ NULL, 0 };
	j->is_signed = decoded[2].n > 0;
	return read_header(j, header);
}
