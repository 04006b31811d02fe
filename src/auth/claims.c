/*
 * Claims by name. A claim that we read must be there once, as two readers of one token could differ about
 * the second.
 */
#include "auth/claims.h"

#include <errno.h>

#include "auth/auth.h"
#include "wire/json.h"

#define SECONDS_MAX	253402300799	/* the end of the year 9999 */

enum claim { EXP, NBF, IAT, ISS, AUD, SUB, USER_ID, USERNAME, NAME, N_CLAIMS };

static const char *const claim_names[N_CLAIMS] = {
	[EXP] = "exp", [NBF] = "nbf", [IAT] = "iat", [ISS] = "iss", [AUD] = "aud",
	[SUB] = "sub", [USER_ID] = "user_id", [USERNAME] = "username", [NAME] = "name",
};

/* Returns N_CLAIMS for one that means nothing to us. */
static enum claim
claim_called(struct slice name)
{
	enum claim i = 0;

	while (i < N_CLAIMS && !slice_is(name, claim_names[i]))
		i++;
	return i;
}

/*
 * The raw value of each known claim, p == NULL for one that is not there. Returns false if one is there
 * twice, or a name is not text.
 */
static bool
find_claims(struct slice payload, struct slice found[N_CLAIMS])
{
	char	     scratch[16];
	struct slice key, value, name;
	size_t	     at = 0;

	while (json_next_member(payload, &at, &key, &value) == 1) {
		enum claim i = N_CLAIMS;
		int	   r = json_text(key, scratch, sizeof(scratch), &name);

		if (r == 0)
			i = claim_called(name);
		else if (r != -ENAMETOOLONG)
			return false;
		if (i == N_CLAIMS)
			continue;
		if (found[i].p != NULL)
			return false;
		found[i] = value;
	}
	return true;
}

static bool
is_digits(struct slice token)
{
	for (size_t i = 0; i < token.n; i++)
		if (token.p[i] < '0' || token.p[i] > '9')
			return false;
	return token.n > 0;
}

/* An integer, written as one, of a year that people will see. */
static bool
read_seconds(struct slice token, int64_t *seconds)
{
	int64_t n = 0;

	if (!is_digits(token) || token.n > 12)
		return false;
	for (size_t i = 0; i < token.n; i++)
		n = n * 10 + (token.p[i] - '0');
	*seconds = n;
	return n <= SECONDS_MAX;
}

static const char *
read_times(struct claims_times *t, const struct slice found[N_CLAIMS])
{
	*t = (struct claims_times){ .nbf = 0, .iat = -1 };
	if (found[EXP].p == NULL)
		return "no exp";
	if (!read_seconds(found[EXP], &t->exp))
		return "exp is not a time";
	if (found[NBF].p != NULL && !read_seconds(found[NBF], &t->nbf))
		return "nbf is not a time";
	if (found[IAT].p != NULL && !read_seconds(found[IAT], &t->iat))
		return "iat is not a time";
	return NULL;
}

/* No control character: neither C0 and DEL, nor C1 (which are 0xc2 0x80 to 0xc2 0x9f in UTF-8). */
static bool
is_printable(struct slice text)
{
	for (size_t i = 0; i < text.n; i++) {
		uint8_t c = (uint8_t)text.p[i];

		if (c < 0x20 || c == 0x7f)
			return false;
		if (c == 0xc2 && i + 1 < text.n && (uint8_t)text.p[i + 1] < 0xa0)
			return false;
	}
	return true;
}

/* A string of 1 to CLAIM_NAME_MAX bytes, fit for a log and a screen. */
static bool
read_text(struct slice token, char *scratch, struct slice *text)
{
	if (token.p == NULL || token.p[0] != '"')
		return false;
	if (json_text(token, scratch, CLAIM_NAME_MAX, text) != 0)
		return false;
	return text->n > 0 && text->n <= CLAIM_NAME_MAX && is_printable(*text);
}

/* A user's id is such a string, or an integer, of which the digits are taken. */
static const char *
read_user(struct claims *c, const struct slice found[N_CLAIMS])
{
	struct slice token = found[USER_ID].p != NULL ? found[USER_ID] : found[SUB];

	if (token.p == NULL)
		return "no user";
	if (is_digits(token) && token.n <= CLAIM_NAME_MAX) {
		c->user = token;
		return NULL;
	}
	return read_text(token, c->user_text, &c->user) ? NULL : "unfit user";
}

static void
read_name(struct claims *c, const struct slice found[N_CLAIMS])
{
	if (read_text(found[USERNAME], c->name_text, &c->name))
		return;
	if (!read_text(found[NAME], c->name_text, &c->name))
		c->name = c->user;
}

const char *
claims_read(struct claims *c, struct slice payload)
{
	struct slice found[N_CLAIMS] = { 0 };
	const char  *why;

	if (!find_claims(payload, found))
		return "malformed token";
	why = read_times(&c->times, found);
	if (why == NULL)
		why = read_user(c, found);
	if (why != NULL)
		return why;
	read_name(c, found);
	c->iss = found[ISS];
	c->aud = found[AUD];
	return NULL;
}

static bool
is_string(struct slice token, const char *text)
{
	char	     scratch[AUTH_MAX_TOKEN];
	struct slice said;

	if (token.p == NULL || token.p[0] != '"')
		return false;
	return json_text(token, scratch, sizeof(scratch), &said) == 0 && slice_is(said, text);
}

/* Takes the next element off a valid array's inside; p == NULL at its end. */
static struct slice
next_element(struct slice *rest)
{
	enum json_kind type;
	struct slice   element;
	ssize_t	       n;

	while (rest->n > 0 && (json_blanks(*rest) > 0 || rest->p[0] == ','))
		*rest = slice_from(*rest, 1);
	n = json_scan(*rest, &type);
	if (n < 0)
		return slice(NULL, 0);
	element = slice(rest->p, (size_t)n);
	*rest = slice_from(*rest, (size_t)n);
	return element;
}

/* One of the strings in an array of strings and nothing else. */
static bool
is_among(struct slice array, const char *text)
{
	struct slice rest = slice_from(array, 1), element;
	bool	     found = false;

	for (element = next_element(&rest); element.p != NULL; element = next_element(&rest)) {
		if (element.p[0] != '"')
			return false;
		found = found || is_string(element, text);
	}
	return found;
}

static bool
is_for(struct slice aud, const char *audience)
{
	if (aud.p != NULL && aud.p[0] == '[')
		return is_among(aud, audience);
	return is_string(aud, audience);
}

const char *
claims_check_parties(const struct claims *c, const char *issuer, const char *audience)
{
	if (issuer != NULL && *issuer != '\0' && !is_string(c->iss, issuer))
		return "wrong issuer";
	if (audience != NULL && *audience != '\0' && !is_for(c->aud, audience))
		return "wrong audience";
	return NULL;
}

const char *
claims_check_times(const struct claims_times *t, const struct claims_clock *clock, int64_t now)
{
	if (now >= t->exp * 1000 + clock->leeway)
		return "expired";
	if (t->nbf * 1000 > now + clock->leeway || t->iat * 1000 > now + clock->leeway)
		return "not yet valid";
	if (clock->max_age == 0)
		return NULL;
	if (t->iat < 0)
		return "no iat";
	return now < t->iat * 1000 + clock->max_age + clock->leeway ? NULL : "too old";
}
