/*
 * Which wire format a client gets, by the version it asks for (semver.org).
 */
#include "wire/codec.h"

const struct codec *const codecs[] = { &codec_phoenix_v1, &codec_phoenix_v2, &codec_phoenix_v2_text, &codec_pusher, NULL };

static inline bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static inline bool
is_word(char c)
{
	return is_digit(c) || (ascii_lower(c) >= 'a' && ascii_lower(c) <= 'z') || c == '-';
}

/* Takes the longest run of such characters from the front. */
static struct slice
take_while(struct slice *in, bool (*of)(char))
{
	struct slice taken = slice(in->p, 0);

	while (taken.n < in->n && of(in->p[taken.n]))
		taken.n++;
	*in = slice_from(*in, taken.n);
	return taken;
}

static bool
take_char(struct slice *in, char c)
{
	if (in->n == 0 || in->p[0] != c)
		return false;
	*in = slice_from(*in, 1);
	return true;
}

/* Digits, without a zero in front. */
static bool
is_number(struct slice word)
{
	struct slice digits = take_while(&word, is_digit);

	return word.n == 0 && (digits.n == 1 || (digits.n > 1 && digits.p[0] != '0'));
}

static bool
is_all_digits(struct slice word)
{
	take_while(&word, is_digit);
	return word.n == 0;
}

/* Words joined by dots. Those of digits alone are numbers in a pre-release; in a build they need not be. */
static bool
take_words(struct slice *in, bool numbers)
{
	do {
		struct slice word = take_while(in, is_word);

		if (word.n == 0 || (numbers && is_all_digits(word) && !is_number(word)))
			return false;
	} while (take_char(in, '.'));
	return true;
}

struct version {
	struct slice	major;
	struct slice	minor;
	struct slice	patch;
	bool		pre;		/* a pre-release: sorts below the same version without it */
};

static bool
version_parse(struct slice in, struct version *v)
{
	v->major = take_while(&in, is_digit);
	if (!take_char(&in, '.'))
		return false;
	v->minor = take_while(&in, is_digit);
	if (!take_char(&in, '.'))
		return false;
	v->patch = take_while(&in, is_digit);
	v->pre = take_char(&in, '-');
	if (v->pre && !take_words(&in, true))
		return false;
	if (take_char(&in, '+') && !take_words(&in, false))
		return false;
	return in.n == 0 && is_number(v->major) && is_number(v->minor) && is_number(v->patch);
}

/* "~> MAJOR.0.0" */
static bool
version_fits(const struct version *v, const char *major)
{
	return slice_is(v->major, major) && slice_is(v->minor, "0") && !(slice_is(v->patch, "0") && v->pre);
}

const struct codec *
codec_for_vsn(struct slice vsn)
{
	struct version v;

	if (vsn.p == NULL)
		return &codec_phoenix_v1;
	if (!version_parse(vsn, &v))
		return NULL;
	if (version_fits(&v, "1"))
		return &codec_phoenix_v1;
	return version_fits(&v, "2") ? &codec_phoenix_v2 : NULL;
}

const struct codec *
codec_text_only(const struct codec *c)
{
	return c == &codec_phoenix_v2 ? &codec_phoenix_v2_text : c;
}
