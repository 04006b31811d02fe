/*
 * The JSON scanner. One small function per token returns the place behind it, or NULL if it is malformed;
 * the open containers are a stack of bits. Nothing is allocated and nothing recurses.
 */
#include "wire/json.h"

#include <endian.h>
#include <errno.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "base/hex.h"

/* What comes next in a value under way. */
enum scan_next { NEXT_REST, NEXT_VALUE };

struct scan {
	const char	*p;
	const char	*end;
	uint64_t	 objects;	/* a bit for each open container, the innermost lowest; 1 = object */
	unsigned	 depth;
	unsigned	 members;	/* begun so far, on all levels */
};

_Static_assert(JSON_MAX_DEPTH <= 64, "scan.objects has 64 bits");

/* A byte that cannot stand for itself in a string. */
static inline bool
is_special(char c)
{
	return c == '"' || c == '\\' || (unsigned char)c < 0x20;
}

static inline bool
is_blank(char c)
{
	return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static inline const char *
blanks_end(const char *p, const char *end)
{
	while (p < end && is_blank(*p))
		p++;
	return p;
}

/* The top bit of each byte that is special. Those above the lowest one may be false. */
static inline uint64_t
special_bits(uint64_t w)
{
	const uint64_t ones = 0x0101010101010101, tops = ones << 7;
	const uint64_t quote = w ^ ones * '"', backslash = w ^ ones * '\\';
	const uint64_t control = (w - ones * 0x20) & ~w;

	return (((quote - ones) & ~quote) | ((backslash - ones) & ~backslash) | control) & tops;
}

/* Skips bytes that stand for themselves in a string, eight at a time. */
static const char *
plain_end_by_8(const char *p, const char *end)
{
	uint64_t w, bits;

	for (; end - p >= 8; p += 8) {
		memcpy(&w, p, sizeof(w));
		bits = special_bits(le64toh(w));
		if (bits != 0)
			return p + __builtin_ctzll(bits) / 8;
	}
	while (p < end && !is_special(*p))
		p++;
	return p;
}

#ifdef __SSE2__

/* The same, sixteen at a time. */
static inline const char *
plain_end(const char *p, const char *end)
{
	const __m128i quote = _mm_set1_epi8('"'), backslash = _mm_set1_epi8('\\');
	const __m128i control = _mm_set1_epi8(0x1f);

	for (; end - p >= 16; p += 16) {
		__m128i	 in = _mm_loadu_si128((const __m128i *)(const void *)p);
		__m128i	 special = _mm_or_si128(_mm_cmpeq_epi8(in, quote), _mm_cmpeq_epi8(in, backslash));
		unsigned bits;

		/* The smaller of a byte and 0x1f is the byte itself in control characters alone. */
		special = _mm_or_si128(special, _mm_cmpeq_epi8(_mm_min_epu8(in, control), in));
		bits = (unsigned)_mm_movemask_epi8(special);
		if (bits != 0)
			return p + __builtin_ctz(bits);
	}
	return plain_end_by_8(p, end);
}

#else

static inline const char *
plain_end(const char *p, const char *end)
{
	return plain_end_by_8(p, end);
}

#endif

/* What follows the backslash, but for \u; 0 if there is no such escape. */
static char
escape_char(char c)
{
	switch (c) {
	case '"':
	case '\\':
	case '/':
		return c;
	case 'b':
		return '\b';
	case 'f':
		return '\f';
	case 'n':
		return '\n';
	case 'r':
		return '\r';
	case 't':
		return '\t';
	default:
		return 0;
	}
}

/* p is at the backslash. */
static const char *
escape_end(const char *p, const char *end)
{
	if (end - p < 2)
		return NULL;
	if (p[1] != 'u')
		return escape_char(p[1]) != 0 ? p + 2 : NULL;
	if (end - p < 6)
		return NULL;
	for (int i = 2; i < 6; i++)
		if (hex_digit(p[i]) < 0)
			return NULL;
	return p + 6;
}

/* p is at the opening quote. */
static inline const char *
string_end(const char *p, const char *end)
{
	p = plain_end(p + 1, end);
	while (p < end && *p == '\\') {
		p = escape_end(p, end);
		if (p == NULL)
			return NULL;
		p = plain_end(p, end);
	}
	return p < end && *p == '"' ? p + 1 : NULL;
}

static inline const char *
digits_end(const char *p, const char *end)
{
	while (p < end && *p >= '0' && *p <= '9')
		p++;
	return p;
}

/* At least one digit. */
static inline const char *
digits_needed(const char *p, const char *end)
{
	const char *q = digits_end(p, end);

	return q > p ? q : NULL;
}

/* From behind the digits before the point. */
static const char *
fraction_end(const char *p, const char *end)
{
	if (p < end && *p == '.') {
		p = digits_needed(p + 1, end);
		if (p == NULL)
			return NULL;
	}
	if (p == end || ascii_lower(*p) != 'e')
		return p;
	p++;
	if (p < end && (*p == '+' || *p == '-'))
		p++;
	return digits_needed(p, end);
}

static inline const char *
number_end(const char *p, const char *end)
{
	const char *whole = *p == '-' ? p + 1 : p;

	p = digits_needed(whole, end);
	if (p == NULL || (*whole == '0' && p > whole + 1))
		return NULL;
	return fraction_end(p, end);
}

static inline const char *
literal_end(const char *p, const char *end, struct slice word)
{
	return slice_starts(slice(p, (size_t)(end - p)), word) ? p + word.n : NULL;
}

/* Sets the type that the first byte promises; false if no value begins with it. */
static inline bool
type_of(char c, enum json_kind *type)
{
	switch (c) {
	case '{':
		*type = JSON_OBJECT;
		return true;
	case '[':
		*type = JSON_ARRAY;
		return true;
	case '"':
		*type = JSON_STRING;
		return true;
	case 't':
	case 'f':
		*type = JSON_BOOL;
		return true;
	case 'n':
		*type = JSON_NULL;
		return true;
	case '-':
	case '0' ... '9':
		*type = JSON_NUMBER;
		return true;
	default:
		return false;
	}
}

/* Begins a member of the innermost container: in an object, takes its key and the colon. */
static inline int
scan_member(struct scan *s)
{
	const char *p;

	if (s->members++ == JSON_MAX_MEMBERS)
		return -E2BIG;
	if (!(s->objects & 1))
		return NEXT_VALUE;
	if (s->p == s->end || *s->p != '"')
		return -EBADMSG;
	p = string_end(s->p, s->end);
	if (p == NULL)
		return -EBADMSG;
	p = blanks_end(p, s->end);
	if (p == s->end || *p != ':')
		return -EBADMSG;
	s->p = blanks_end(p + 1, s->end);
	return NEXT_VALUE;
}

/* Takes the opening bracket, and what comes before the first value. */
static inline int
scan_open(struct scan *s, bool object)
{
	if (s->depth == JSON_MAX_DEPTH)
		return -E2BIG;
	s->depth++;
	s->objects = s->objects << 1 | object;
	s->p = blanks_end(s->p + 1, s->end);
	if (s->p < s->end && *s->p == (object ? '}' : ']'))
		return NEXT_REST;
	return scan_member(s);
}

/* Takes a scalar whole, of a container the beginning. */
static inline int
scan_value(struct scan *s)
{
	if (s->p == s->end)
		return -EBADMSG;
	switch (*s->p) {
	case '{':
		return scan_open(s, true);
	case '[':
		return scan_open(s, false);
	case '"':
		s->p = string_end(s->p, s->end);
		break;
	case 't':
		s->p = literal_end(s->p, s->end, SLICE("true"));
		break;
	case 'f':
		s->p = literal_end(s->p, s->end, SLICE("false"));
		break;
	case 'n':
		s->p = literal_end(s->p, s->end, SLICE("null"));
		break;
	case '-':
	case '0' ... '9':
		s->p = number_end(s->p, s->end);
		break;
	default:
		return -EBADMSG;
	}
	return s->p != NULL ? NEXT_REST : -EBADMSG;
}

/* Behind a value: closes containers until there is a next member, or nothing left open. */
static inline int
scan_rest(struct scan *s)
{
	while (s->depth > 0) {
		s->p = blanks_end(s->p, s->end);
		if (s->p == s->end)
			return -EBADMSG;
		if (*s->p == ',') {
			s->p = blanks_end(s->p + 1, s->end);
			return scan_member(s);
		}
		if (*s->p != (s->objects & 1 ? '}' : ']'))
			return -EBADMSG;
		s->p++;
		s->objects >>= 1;
		s->depth--;
	}
	return NEXT_REST;
}

ssize_t
json_scan(struct slice in, enum json_kind *type)
{
	struct scan s;
	int	r;

	if (in.n == 0 || !type_of(*in.p, type))
		return -EBADMSG;
	s = (struct scan){ .p = in.p, .end = in.p + in.n };
	do {
		r = scan_value(&s);
		if (r == NEXT_REST)
			r = scan_rest(&s);
	} while (r == NEXT_VALUE);
	return r < 0 ? r : s.p - in.p;
}

size_t
json_blanks(struct slice in)
{
	size_t n = 0;

	while (n < in.n && is_blank(in.p[n]))
		n++;
	return n;
}

static uint32_t
hex4(const char *p)
{
	uint32_t v = 0;

	for (int i = 0; i < 4; i++)
		v = v << 4 | (uint32_t)hex_digit(p[i]);
	return v;
}

static int
utf8_put(uint32_t c, char out[4])
{
	if (c < 0x80) {
		out[0] = (char)c;
		return 1;
	}
	if (c < 0x800) {
		out[0] = (char)(0xc0 | c >> 6);
		out[1] = (char)(0x80 | (c & 0x3f));
		return 2;
	}
	if (c < 0x10000) {
		out[0] = (char)(0xe0 | c >> 12);
		out[1] = (char)(0x80 | (c >> 6 & 0x3f));
		out[2] = (char)(0x80 | (c & 0x3f));
		return 3;
	}
	out[0] = (char)(0xf0 | c >> 18);
	out[1] = (char)(0x80 | (c >> 12 & 0x3f));
	out[2] = (char)(0x80 | (c >> 6 & 0x3f));
	out[3] = (char)(0x80 | (c & 0x3f));
	return 4;
}

static inline bool
is_low_surrogate(uint32_t c)
{
	return c >= 0xdc00 && c <= 0xdfff;
}

/* Takes a \u escape, or a pair of them, from the front. Returns the length of its UTF-8. */
static int
next_unicode(struct slice *in, char out[4])
{
	uint32_t c = hex4(in->p + 2), low;

	*in = slice_from(*in, 6);
	if (c == 0 || is_low_surrogate(c))
		return -EILSEQ;
	if (c < 0xd800 || c > 0xdfff)
		return utf8_put(c, out);
	if (!slice_starts(*in, SLICE("\\u")))
		return -EILSEQ;
	low = hex4(in->p + 2);
	if (!is_low_surrogate(low))
		return -EILSEQ;
	*in = slice_from(*in, 6);
	return utf8_put(0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00), out);
}

/* Takes a byte or an escape from the front of a string's inside. Returns how many bytes it stands for. */
static int
next_char(struct slice *in, char out[4])
{
	size_t len = 1;

	out[0] = in->p[0];
	if (out[0] == '\\') {
		if (in->p[1] == 'u')
			return next_unicode(in, out);
		out[0] = escape_char(in->p[1]);
		len = 2;
	}
	*in = slice_from(*in, len);
	return 1;
}

static inline struct slice
inside(struct slice token)
{
	return slice(token.p + 1, token.n - 2);
}

static inline bool
has_escape(struct slice inner)
{
	return memchr(inner.p, '\\', inner.n) != NULL;
}

static int
unescape(struct slice in, char *scratch, size_t size, struct slice *text)
{
	size_t	n = 0;
	char	c[4];
	int	r;

	while (in.n > 0) {
		r = next_char(&in, c);
		if (r < 0)
			return r;
		if ((size_t)r > size - n)
			return -ENAMETOOLONG;
		memcpy(scratch + n, c, (size_t)r);
		n += (size_t)r;
	}
	*text = slice(scratch, n);
	return 0;
}

int
json_text(struct slice token, char *scratch, size_t size, struct slice *text)
{
	struct slice in = inside(token);

	if (has_escape(in))
		return unescape(in, scratch, size, text);
	if (in.n > size)
		return -ENAMETOOLONG;
	*text = in;
	return 0;
}

/* True if the string token says `text`, however it is escaped. */
static bool
string_is(struct slice token, struct slice text)
{
	struct slice in = inside(token);
	char	c[4];
	int	r;

	if (!has_escape(in))
		return slice_eq(in, text);
	while (in.n > 0) {
		r = next_char(&in, c);
		if (r < 0 || !slice_starts(text, slice(c, (size_t)r)))
			return false;
		text = slice_from(text, (size_t)r);
	}
	return text.n == 0;
}

/* The letter behind the backslash, where there is a short escape; else 0. */
static char
escape_letter(char c)
{
	switch (c) {
	case '"':
	case '\\':
		return c;
	case '\b':
		return 'b';
	case '\f':
		return 'f';
	case '\n':
		return 'n';
	case '\r':
		return 'r';
	case '\t':
		return 't';
	default:
		return 0;
	}
}

static char *
quote_special(char *out, char c)
{
	static const char hex[] = "0123456789abcdef";
	const char letter = escape_letter(c);

	*out++ = '\\';
	if (letter != 0) {
		*out++ = letter;
		return out;
	}
	memcpy(out, "u00", 3);
	out[3] = hex[c >> 4];
	out[4] = hex[c & 15];
	return out + 5;
}

/* Takes the bytes from the front that need no escape. */
static struct slice
take_plain(struct slice *text)
{
	struct slice plain = slice(text->p, (size_t)(plain_end(text->p, text->p + text->n) - text->p));

	*text = slice_from(*text, plain.n);
	return plain;
}

size_t
json_quoted_len(struct slice text)
{
	size_t n = 2;

	while (text.n > 0) {
		n += take_plain(&text).n;
		if (text.n == 0)
			break;
		n += escape_letter(*text.p) != 0 ? 2 : 6;
		text = slice_from(text, 1);
	}
	return n;
}

char *
json_quote_to(char *out, struct slice text)
{
	struct slice plain;

	*out++ = '"';
	while (text.n > 0) {
		plain = take_plain(&text);
		memcpy(out, plain.p, plain.n);
		out += plain.n;
		if (text.n == 0)
			break;
		out = quote_special(out, *text.p);
		text = slice_from(text, 1);
	}
	*out++ = '"';
	return out;
}

void
json_quote(struct buf *out, struct slice text)
{
	const size_t n = json_quoted_len(text);

	json_quote_to(buf_room(out, n), text);
	out->n += n;
}

/* Between the calls *at stands on the opening brace, on a comma, or on the closing brace. */
int
json_next_member(struct slice object, size_t *at, struct slice *key, struct slice *value)
{
	struct slice rest = slice_from(object, *at);
	enum json_kind type;

	if (!json_take(&rest, *at == 0 ? '{' : ','))
		return 0;
	if (json_take_value(&rest, key, &type) < 0 || type != JSON_STRING || !json_take(&rest, ':'))
		return 0;
	if (json_take_value(&rest, value, &type) < 0)
		return 0;
	*at = object.n - rest.n;
	return 1;
}

struct slice
json_member(struct slice object, const char *name)
{
	struct slice key, value, found = { NULL, 0 };
	size_t at = 0;

	while (json_next_member(object, &at, &key, &value))
		if (string_is(key, slice_str(name)))
			found = value;
	return found;
}

int
json_member_text(struct slice object, const char *name, char *scratch, size_t size, struct slice *text)
{
	struct slice token = json_member(object, name);

	if (token.p == NULL || *token.p != '"' || json_text(token, scratch, size, text) < 0 || text->n == 0) {
		*text = slice("", 0);
		return -EBADMSG;
	}
	return 0;
}
