/*
 * Base64: the vectors of RFC 4648, round trips, and all that is refused.
 */
#include <check.h>
#include <errno.h>
#include <stdlib.h>

#include "base/b64.h"
#include "base/mem.h"

Suite *b64_suite(void);

static const struct {
	const char *plain, *padded, *url;
} vectors[] = {
	{ "", "", "" },
	{ "f", "Zg==", "Zg" },
	{ "fo", "Zm8=", "Zm8" },
	{ "foo", "Zm9v", "Zm9v" },
	{ "foob", "Zm9vYg==", "Zm9vYg" },
	{ "fooba", "Zm9vYmE=", "Zm9vYmE" },
	{ "foobar", "Zm9vYmFy", "Zm9vYmFy" },
	{ "\xfb\xff\xfe", "+//+", "-__-" },
	{ "\xfb\xef", "++8=", "--8" },
};

static void
decodes_to(enum b64_kind kind, const char *in, const char *plain)
{
	uint8_t out[32];
	ssize_t n = b64_decode(kind, slice_str(in), out);

	ck_assert_int_eq(n, (ssize_t)strlen(plain));
	ck_assert_int_eq(memcmp(out, plain, (size_t)n), 0);
}

START_TEST(encodes)
{
	const char *plain = vectors[_i].plain;
	char	    out[32];
	size_t	    n;

	n = b64_encode(plain, strlen(plain), out);
	ck_assert_uint_eq(n, B64_LEN(strlen(plain)));
	ck_assert(slice_is(slice(out, n), vectors[_i].padded));
	n = b64url_encode(plain, strlen(plain), out);
	ck_assert(slice_is(slice(out, n), vectors[_i].url));
}
END_TEST

START_TEST(decodes)
{
	decodes_to(B64_STRICT, vectors[_i].padded, vectors[_i].plain);
	decodes_to(B64_URL, vectors[_i].url, vectors[_i].plain);
	decodes_to(B64_EITHER, vectors[_i].padded, vectors[_i].plain);
	decodes_to(B64_EITHER, vectors[_i].url, vectors[_i].plain);
}
END_TEST

#define STRICT	(1 << B64_STRICT)
#define URL	(1 << B64_URL)
#define EITHER	(1 << B64_EITHER)
#define ALL	(STRICT | URL | EITHER)

static const struct {
	struct slice in;
	unsigned     by;	/* the kinds that refuse it */
} refused[] = {
	{ { "Z", 1 }, ALL },
	{ { "Zm9vY", 5 }, ALL },
	{ { "A", 1 }, ALL },
	{ { "Zm9vA", 5 }, ALL },
	{ { "=", 1 }, ALL },
	{ { "==", 2 }, ALL },
	{ { "===", 3 }, ALL },
	{ { "====", 4 }, ALL },
	{ { "Z===", 4 }, ALL },
	{ { "Zg=", 3 }, ALL },
	{ { "Zg===", 5 }, ALL },
	{ { "Zm8==", 5 }, ALL },
	{ { "Zm9v=", 5 }, ALL },
	{ { "Zm9v====", 8 }, ALL },
	{ { "Zg==Zg==", 8 }, ALL },
	{ { "Z=g=", 4 }, ALL },
	{ { "=Zg=", 4 }, ALL },
	/* stray bits */
	{ { "Zh==", 4 }, ALL },
	{ { "Zh", 2 }, ALL },
	{ { "Zm9", 3 }, ALL },
	{ { "Zm9=", 4 }, ALL },
	/* blanks and strangers */
	{ { "Zm9v\n", 5 }, ALL },
	{ { " Zm9v", 5 }, ALL },
	{ { "Zm 9", 4 }, ALL },
	{ { "Zm9v\0\0\0\0", 8 }, ALL },
	{ { "Zm9\xc3", 4 }, ALL },
	{ { "Zm9.", 4 }, ALL },
	{ { "@[`{", 4 }, ALL },
	{ { "/:+,", 4 }, ALL },
	/* right for one, wrong for another */
	{ { "Zg", 2 }, STRICT },
	{ { "Zg==", 4 }, URL },
	{ { "++++", 4 }, URL },
	{ { "////", 4 }, URL },
	{ { "----", 4 }, STRICT },
	{ { "____", 4 }, STRICT },
	{ { "+-/_", 4 }, STRICT | URL },
};

START_TEST(refuses)
{
	struct slice in = refused[_i].in;

	for (enum b64_kind kind = B64_STRICT; kind <= B64_EITHER; kind++) {
		/* Exactly the room that the header asks for: the sanitizer sees what goes beyond. */
		autofree uint8_t *out = xmalloc(in.n / 4 * 3 + 3);
		ssize_t		  n = b64_decode(kind, in, out);

		ck_assert_int_eq(n == -EINVAL, (refused[_i].by >> kind) & 1);
	}
}
END_TEST

START_TEST(round_trips)
{
	uint8_t bytes[256], back[300];
	char	text[B64_LEN(sizeof(bytes))];
	size_t	n;

	for (unsigned i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i * 167);
	for (size_t len = 0; len <= sizeof(bytes); len++) {
		n = b64_encode(bytes, len, text);
		ck_assert_int_eq(b64_decode(B64_STRICT, slice(text, n), back), (ssize_t)len);
		ck_assert_int_eq(memcmp(back, bytes, len), 0);
		n = b64url_encode(bytes, len, text);
		ck_assert_int_eq(b64_decode(B64_URL, slice(text, n), back), (ssize_t)len);
		ck_assert_int_eq(memcmp(back, bytes, len), 0);
	}
}
END_TEST

#define ROWS(a) (int)(sizeof(a) / sizeof((a)[0]))

Suite *
b64_suite(void)
{
	Suite *s = suite_create("b64");
	TCase *tc = tcase_create("b64");

	tcase_add_loop_test(tc, encodes, 0, ROWS(vectors));
	tcase_add_loop_test(tc, decodes, 0, ROWS(vectors));
	tcase_add_loop_test(tc, refuses, 0, ROWS(refused));
	tcase_add_test(tc, round_trips);
	suite_add_tcase(s, tc);
	return s;
}
